//! One substream: renames while multistream-select runs on it, passes through afterwards.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::io::{AsyncRead, AsyncWrite, IoSlice, IoSliceMut};

use super::{
    frame::{Progress, progress},
    negotiation::{Flow, Negotiation, Role},
};

/// How much of a frame is read at once, in bytes. Most handshake frames are shorter.
pub(super) const READ_CHUNK: usize = 256;

/// How much of the first data goes out together with the handshake, in bytes: yamux's largest frame. A
/// lazy dialer's request is then one frame, one encryption and one packet, not two.
const WITH_HANDSHAKE: usize = 16 * 1024;

/// A substream that renames protocols while multistream-select runs on it.
pub struct BareStream<S> {
    inner: S,
    /// `None` once both directions carry application data.
    negotiation: Option<Box<Negotiation>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> BareStream<S> {
    /// A substream that we opened: our side proposes.
    pub fn dialer(inner: S) -> Self {
        Self { inner, negotiation: Some(Box::new(Negotiation::new(Role::Dialer))) }
    }

    /// A substream that the remote opened: our side answers.
    pub fn listener(inner: S) -> Self {
        Self { inner, negotiation: Some(Box::new(Negotiation::new(Role::Listener))) }
    }

    /// A substream that the remote opened, and whose proposal is accepted: data follows in both directions.
    /// `confirmation` goes out with the first data that is written, or as soon as a reader waits.
    pub(super) fn accepted(inner: S, confirmation: Vec<u8>) -> Self {
        Self { inner, negotiation: Some(Box::new(Negotiation::accepted(confirmation))) }
    }

    /// A substream that the remote opened, of which whole frames, or one malformed one, were `read` by somebody else,
    /// who may have sent our header.
    pub(super) fn resumed(inner: S, read: &[u8], header_sent: bool) -> Self {
        Self { inner, negotiation: Some(Box::new(Negotiation::resumed(read, header_sent))) }
    }

    /// Whether the handshake is over and bytes pass untouched.
    pub fn is_transparent(&self) -> bool {
        self.negotiation.is_none()
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.negotiation.as_ref().map_or(0, |negotiation| negotiation.held_bytes())
    }

    fn retire(&mut self) {
        if self.negotiation.as_ref().is_some_and(|negotiation| negotiation.is_over()) {
            self.negotiation = None;
        }
    }

    /// Passes the translated handshake bytes on, without flushing.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(negotiation) = &mut self.negotiation {
            while !negotiation.tx_queue.is_empty() {
                let rest = negotiation.tx_queue.rest();
                match ready!(Pin::new(&mut self.inner).poll_write(cx, rest))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => negotiation.tx_queue.advance(count),
                }
            }
            self.retire();
        }
        Poll::Ready(Ok(()))
    }

    /// Before data is written: `Some(bytes taken)` if `data` is still handshake, or goes with it.
    fn poll_before_data(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<Option<usize>>> {
        let Some(negotiation) = &mut self.negotiation else { return Poll::Ready(Ok(None)) };
        if negotiation.tx == Flow::Frames {
            return Poll::Ready(Ok(Some(negotiation.take(data))));
        }
        let mut goes_along = std::mem::take(&mut negotiation.confirmation_waits);
        if negotiation.tx == Flow::Undecided {
            negotiation.tx = Flow::Raw;
            goes_along = true;
        }
        if goes_along && !negotiation.tx_queue.is_empty() {
            let room = WITH_HANDSHAKE.saturating_sub(negotiation.tx_queue.rest().len());
            let part = data.len().min(room);
            if part > 0 {
                negotiation.tx_queue.bytes.extend_from_slice(&data[..part]);
                // What cannot be sent now is sent before the next data, or by the flush.
                return match self.poll_send(cx) {
                    Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
                    _ => Poll::Ready(Ok(Some(part))),
                };
            }
        }
        ready!(self.poll_send(cx))?;
        self.retire();
        Poll::Ready(Ok(None))
    }

    /// Reads the bytes of one frame, or a part of them; ready when something changed.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(negotiation) = &mut self.negotiation else { return Poll::Ready(Ok(())) };
        match progress(&negotiation.rx_frame) {
            Progress::Need(missing) => {
                let mut chunk = [0; READ_CHUNK];
                let chunk = &mut chunk[..missing.min(READ_CHUNK)];
                match ready!(Pin::new(&mut self.inner).poll_read(cx, chunk))? {
                    // The stream ended, perhaps within a frame: both facts are passed on.
                    0 => negotiation.give_up_receiving(),
                    count => negotiation.rx_frame.extend_from_slice(&chunk[..count]),
                }
            }
            Progress::Done(head) => negotiation.on_received(head),
            Progress::Bad => negotiation.give_up_receiving(),
        }
        Poll::Ready(Ok(()))
    }

    /// Whether our header may wait for the answer to a proposal that has come already, as a Go dialer's
    /// does: both then go out together. Asked once, so that nothing piles up.
    fn answer_follows(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            match &mut self.negotiation {
                Some(negotiation) if negotiation.header_may_wait() => {}
                _ => return false,
            }
            // A failure is met again by the next read.
            if !matches!(self.poll_frame(cx), Poll::Ready(Ok(()))) {
                return false;
            }
            if let Some(negotiation) = &mut self.negotiation
                && negotiation.rx == Flow::Undecided
            {
                negotiation.header_waited = true;
                return true;
            }
        }
    }

    /// Whether our confirmation may wait for the first data that we send: the remote's has come already, as a lazy
    /// dialer's does, so it does not wait for us. Asked once, and over as soon as a reader waits for more.
    fn data_follows(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(negotiation) = self.negotiation.as_mut().filter(|n| n.confirmation_may_wait()) else {
            return false;
        };
        negotiation.confirmation_asked = true;
        let mut chunk = [0; READ_CHUNK];
        // A failure is met again by the next read.
        let Poll::Ready(Ok(count @ 1..)) = Pin::new(&mut self.inner).poll_read(cx, &mut chunk) else {
            return false;
        };
        negotiation.rx_queue.bytes.extend_from_slice(&chunk[..count]);
        negotiation.confirmation_waits = true;
        true
    }

    /// A reader waits for what has not come, so the remote may be waiting too: the confirmation goes out.
    fn poll_confirm(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.negotiation.as_ref().is_some_and(|negotiation| negotiation.confirmation_waits) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_send(cx))?;
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.confirmed();
        Poll::Ready(Ok(()))
    }

    fn confirmed(&mut self) {
        if let Some(negotiation) = &mut self.negotiation {
            negotiation.confirmation_waits = false;
        }
        self.retire();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for BareStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        loop {
            let Some(negotiation) = &mut this.negotiation else {
                return Pin::new(&mut this.inner).poll_read(cx, buf);
            };
            if !negotiation.rx_queue.is_empty() {
                let rest = negotiation.rx_queue.rest();
                let count = rest.len().min(buf.len());
                buf[..count].copy_from_slice(&rest[..count]);
                negotiation.rx_queue.advance(count);
                this.retire();
                return Poll::Ready(Ok(count));
            }
            match negotiation.rx {
                Flow::Raw => {
                    let read = Pin::new(&mut this.inner).poll_read(cx, buf);
                    if read.is_pending()
                        && let Poll::Ready(Err(e)) = this.poll_confirm(cx)
                    {
                        return Poll::Ready(Err(e));
                    }
                    return read;
                }
                Flow::Undecided => {
                    negotiation.reader = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Flow::Frames => ready!(this.poll_frame(cx))?,
            }
        }
    }

    fn poll_read_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_transparent() {
            return Pin::new(&mut self.inner).poll_read_vectored(cx, bufs);
        }
        match bufs.iter_mut().find(|buf| !buf.is_empty()) {
            Some(buf) => self.poll_read(cx, buf),
            None => Poll::Ready(Ok(0)),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for BareStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.negotiation.is_some()
            && let Some(taken) = ready!(self.poll_before_data(cx, buf))?
        {
            return Poll::Ready(Ok(taken));
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.is_transparent() {
            return Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        }
        match bufs.iter().find(|buf| !buf.is_empty()) {
            Some(buf) => self.poll_write(cx, buf),
            None => Poll::Ready(Ok(0)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.answer_follows(cx) || self.data_follows(cx) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_send(cx))?;
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.confirmed();
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(negotiation) = &mut self.negotiation {
            // Nothing more will be written, so nothing more will be answered either.
            negotiation.give_up_sending();
            negotiation.confirmation_waits = false;
            if negotiation.rx == Flow::Undecided {
                negotiation.set_rx(Flow::Raw);
            }
        }
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.inner).poll_close(cx)
    }
}
