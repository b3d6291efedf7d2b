//! The remote end of a stream, without a network.

use std::{
    cell::RefCell,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use futures::{AsyncRead, AsyncWrite};

/// Turns until a future must have ended: everything that the remote sends is there from the start.
const TURNS: usize = 1 << 20;

/// A remote that has sent everything already and ended its side, `chunk` bytes of which are read at a time, and that
/// takes what it is told.
pub(crate) struct Remote<'a> {
    pub(crate) sent: &'a [u8],
    pub(crate) chunk: usize,
    /// Where what it is told is kept.
    pub(crate) told: Option<&'a RefCell<Vec<u8>>>,
}

impl AsyncRead for Remote<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let count = self.chunk.min(buf.len()).min(self.sent.len());
        let (now, later) = self.sent.split_at(count);
        buf[..count].copy_from_slice(now);
        self.sent = later;
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Remote<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let taken = &buf[..self.chunk.min(buf.len())];
        if let Some(told) = self.told {
            told.borrow_mut().extend_from_slice(taken);
        }
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Polls until the end, which no wake has to bring about.
pub(crate) fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..TURNS {
        if let Poll::Ready(outcome) = future.as_mut().poll(&mut context) {
            return outcome;
        }
    }
    panic!("it does not end although everything is there");
}
