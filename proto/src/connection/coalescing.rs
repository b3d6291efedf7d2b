//! yamux over a connection that is flushed once for all frames that are ready, not once for each.
//!
//! yamux flushes after every frame. An answer and the end of its stream would be two encryptions, two system calls and
//! two wake-ups of the caller. Its connection writes and flushes whatever its streams have queued before it reads, and
//! always reads before it waits (`yamux::Connection`, `Active::poll`): so a flush may wait for that read.
//!
//! It also reads on while the remote takes nothing. What comes fills the windows of streams whose answers wait to be
//! written, 256 KiB each, so from some point on we do not read either, until something is taken, or pings tell that the
//! connection is dead.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::io::{AsyncRead, AsyncWrite, IoSlice};
use libp2p::{
    core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
    yamux,
};

/// So many bytes are read while the remote takes nothing of what we write: a message of the largest size.
const READ_UNHEARD: usize = 4 << 20;

/// The upgrade: that of yamux, over a [`Coalesced`] connection.
#[derive(Debug, Clone)]
pub(super) struct Coalescing(pub(super) yamux::Config);

impl UpgradeInfo for Coalescing {
    type Info = <yamux::Config as UpgradeInfo>::Info;
    type InfoIter = <yamux::Config as UpgradeInfo>::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.protocol_info()
    }
}

impl<C> InboundConnectionUpgrade<C> for Coalescing
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = <yamux::Config as InboundConnectionUpgrade<Coalesced<C>>>::Output;
    type Error = <yamux::Config as InboundConnectionUpgrade<Coalesced<C>>>::Error;
    type Future = <yamux::Config as InboundConnectionUpgrade<Coalesced<C>>>::Future;

    fn upgrade_inbound(self, connection: C, info: Self::Info) -> Self::Future {
        self.0.upgrade_inbound(Coalesced::new(connection), info)
    }
}

impl<C> OutboundConnectionUpgrade<C> for Coalescing
where
    C: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = <yamux::Config as OutboundConnectionUpgrade<Coalesced<C>>>::Output;
    type Error = <yamux::Config as OutboundConnectionUpgrade<Coalesced<C>>>::Error;
    type Future = <yamux::Config as OutboundConnectionUpgrade<Coalesced<C>>>::Future;

    fn upgrade_outbound(self, connection: C, info: Self::Info) -> Self::Future {
        self.0.upgrade_outbound(Coalesced::new(connection), info)
    }
}

/// A connection whose flushes wait for the next read.
#[derive(Debug)]
pub(super) struct Coalesced<C> {
    connection: C,
    /// A flush was asked for, or a write has to wait, and it has not been done.
    unflushed: bool,
    /// Bytes that were read since the remote took something.
    unheard: usize,
}

impl<C> Coalesced<C> {
    fn new(connection: C) -> Self {
        Self { connection, unflushed: false, unheard: 0 }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncRead for Coalesced<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.unflushed {
            // A flush that has to wait goes on with the next read: both wake the same task.
            match Pin::new(&mut self.connection).poll_flush(cx) {
                Poll::Ready(Ok(())) => (self.unflushed, self.unheard) = (false, 0),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                // The flush wakes us.
                Poll::Pending if self.unheard >= READ_UNHEARD => return Poll::Pending,
                Poll::Pending => {}
            }
        }
        let read = Pin::new(&mut self.connection).poll_read(cx, buf);
        if let (true, Poll::Ready(Ok(count))) = (self.unflushed, &read) {
            self.unheard += count;
        }
        read
    }
}

impl<C> Coalesced<C> {
    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => self.unflushed = true,
            Poll::Ready(_) => self.unheard = 0,
        }
        written
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Coalesced<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.connection).poll_write(cx, buf);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.connection).poll_write_vectored(cx, bufs);
        self.wrote(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.unflushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Closing flushes.
        Pin::new(&mut self.connection).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::{AsyncReadExt, AsyncWriteExt, io::Cursor};

    use super::*;

    /// Counts flushes.
    struct Counted {
        inner: Cursor<Vec<u8>>,
        flushes: usize,
        /// Nothing that is written gets away.
        stuck: bool,
    }

    impl AsyncRead for Counted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.inner).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Counted {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.inner).poll_write(cx, buf)
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.stuck {
                return Poll::Pending;
            }
            self.flushes += 1;
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.poll_flush(cx)
        }
    }

    #[tokio::test]
    async fn the_next_read_flushes_once_for_all_frames_before_it() {
        let mut coalesced =
            Coalesced::new(Counted { inner: Cursor::new(vec![0; 8]), flushes: 0, stuck: false });
        for frame in [b"a", b"b", b"c"] {
            coalesced.write_all(frame).await.unwrap();
            coalesced.flush().await.unwrap();
        }
        assert_eq!(coalesced.connection.flushes, 0);
        for _ in 0..2 {
            coalesced.read_exact(&mut [0; 1]).await.unwrap();
            assert_eq!(coalesced.connection.flushes, 1);
        }
        coalesced.close().await.unwrap();
        assert_eq!(coalesced.connection.flushes, 2);
    }

    #[test]
    fn whoever_takes_nothing_is_not_read_for_ever() {
        let sent = Cursor::new(vec![0; 3 * READ_UNHEARD]);
        let mut coalesced = Coalesced::new(Counted { inner: sent, flushes: 0, stuck: true });
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut read_on = |coalesced: &mut Coalesced<Counted>| {
            let mut buf = [0; 1 << 16];
            while let Poll::Ready(read) = Pin::new(&mut *coalesced).poll_read(&mut context, &mut buf) {
                if read.unwrap() == 0 {
                    break;
                }
            }
            coalesced.connection.inner.position() as usize
        };
        let _ = Pin::new(&mut coalesced).poll_flush(&mut Context::from_waker(std::task::Waker::noop()));
        assert_eq!(read_on(&mut coalesced), READ_UNHEARD);
        coalesced.connection.stuck = false;
        assert_eq!(read_on(&mut coalesced), 3 * READ_UNHEARD);
    }
}
