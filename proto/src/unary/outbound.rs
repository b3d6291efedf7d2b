//! One outbound call: the request goes out, the answer comes back, on a stream of its own.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{
    AsyncRead, AsyncWrite,
    channel::oneshot,
    future::{BoxFuture, FutureExt},
};
use futures_bounded::Delay;
use libp2p::{PeerId, core::upgrade::NegotiationError};

use super::{
    CallError, OutboundCall, Registry,
    codec::{self, CallId, Content},
    counters::count,
    frame_reader::{FrameReader, ReadError},
    latency::Measuring,
};
use crate::bare_name::HandlerName;

/// Where the result of a call goes. Dropped without one, as with its connection, it reports
/// [`CallError::ConnectionLost`].
pub(super) struct Reply {
    sender: Option<oneshot::Sender<Result<Vec<u8>, CallError>>>,
    registry: Registry,
    measuring: Option<Measuring>,
}

impl Reply {
    pub(super) fn send(mut self, result: Result<Vec<u8>, CallError>) {
        self.send_once(result);
    }

    fn send_once(&mut self, result: Result<Vec<u8>, CallError>) {
        if let Some(sender) = self.sender.take() {
            let cells = &self.registry.cells;
            count(if result.is_ok() { &cells.calls_ok } else { &cells.calls_failed });
            if let Some(measuring) = self.measuring.take() {
                measuring.end(result.is_ok());
            }
            // A caller that is gone has cancelled the call.
            let _ = sender.send(result);
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.sender.as_ref().is_none_or(oneshot::Sender::is_canceled)
    }

    fn poll_cancelled(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sender.as_mut().map_or(Poll::Ready(()), |sender| sender.poll_canceled(cx))
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.send_once(Err(CallError::ConnectionLost));
    }
}

/// A call on its way to a stream.
pub struct QueuedCall {
    pub(super) handler: HandlerName,
    pub(super) frame: Vec<u8>,
    pub(super) limit: usize,
    pub(super) timeout: std::time::Duration,
    pub(super) deadline: Delay,
    pub(super) reply: Reply,
}

impl std::fmt::Debug for QueuedCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "QueuedCall({}, {} bytes)", self.handler, self.frame.len())
    }
}

impl QueuedCall {
    /// Encodes `call`; its deadline runs from now on. `None` if it failed already.
    pub(super) fn new(peer: &PeerId, call: OutboundCall, limit: usize, registry: &Registry) -> Option<Self> {
        let OutboundCall { handler, data, deadline, reply } = call;
        let measuring = registry.outbound.begin(&handler);
        let reply = Reply { sender: Some(reply), registry: registry.clone(), measuring };
        let bytes = codec::call_bytes(&peer.to_bytes(), handler.as_str(), data.len());
        if bytes > limit {
            reply.send(Err(CallError::TooLarge { bytes, limit }));
            return None;
        }
        let id: CallId = rand::random();
        let frame = codec::encode_call(&id, peer, handler.as_str(), &data);
        Some(Self { handler, frame, limit, timeout: deadline, deadline: Delay::tokio(deadline), reply })
    }
}

/// Runs a call on its stream, and sends the result where it belongs.
pub(super) struct Exchange<S> {
    io: S,
    frame: Vec<u8>,
    written: usize,
    flushed: bool,
    /// Why the writing stopped. The peer may have said why on its side of the stream.
    broken: Option<io::Error>,
    reader: FrameReader,
    /// How the reading failed, told a turn later: if it was the connection that ended, the swarm drops us until then.
    failure: Option<(ReadError, BoxFuture<'static, ()>)>,
    deadline: Delay,
    reply: Option<Reply>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Exchange<S> {
    pub(super) fn new(io: S, call: QueuedCall) -> Self {
        Self {
            io,
            frame: call.frame,
            written: 0,
            flushed: false,
            broken: None,
            reader: FrameReader::new(call.limit, None),
            failure: None,
            deadline: call.deadline,
            reply: Some(call.reply),
        }
    }

    /// Writes what can be written. A failure ends the writing, not the call.
    fn write(&mut self, cx: &mut Context<'_>) {
        while self.written < self.frame.len() {
            match Pin::new(&mut self.io).poll_write(cx, &self.frame[self.written..]) {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => return self.stop_writing(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => self.written += count,
                Poll::Ready(Err(e)) => return self.stop_writing(e),
            }
        }
        if !self.flushed {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Pending => return,
                Poll::Ready(Ok(())) => self.flushed = true,
                Poll::Ready(Err(e)) => return self.stop_writing(e),
            }
        }
        // The request is not needed any more; the answer may be long in coming.
        self.stop_holding();
    }

    fn stop_writing(&mut self, error: io::Error) {
        self.broken = Some(error);
        self.flushed = true;
        self.stop_holding();
    }

    fn stop_holding(&mut self) {
        self.frame = Vec::new();
        self.written = 0;
    }

    /// The answer, or how the stream ended without one.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, ReadError>> {
        if self.failure.is_none() {
            match ready!(self.reader.poll_read(&mut self.io, cx)) {
                Err(error @ (ReadError::Nothing | ReadError::Cut | ReadError::Io(_))) => {
                    self.failure = Some((error, tokio::task::yield_now().boxed()));
                }
                read => return Poll::Ready(read),
            }
        }
        if let Some((_, turn)) = &mut self.failure {
            ready!(turn.poll_unpin(cx));
        }
        self.failure.take().map_or(Poll::Pending, |(error, _)| Poll::Ready(Err(error)))
    }

    fn failed(&mut self, error: io::Error) -> CallError {
        let refused = |error: &io::Error| {
            let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
            matches!(inner, Some(NegotiationError::Failed))
        };
        if refused(&error) {
            return CallError::UnknownHandler;
        }
        CallError::Io(self.broken.take().unwrap_or(error).to_string())
    }

    fn finish(&mut self, read: Result<Vec<u8>, ReadError>) -> Result<Vec<u8>, CallError> {
        match read {
            Ok(body) => understand(body),
            Err(ReadError::TooLarge { bytes, .. }) => {
                Err(CallError::TooLarge { bytes, limit: self.reader.limit() })
            }
            Err(ReadError::Length) => Err(CallError::Malformed("length of too many bytes".to_owned())),
            Err(ReadError::Excess { .. }) => Err(CallError::Malformed("bytes after the answer".to_owned())),
            Err(ReadError::NoRoom { .. }) => Err(CallError::Busy),
            Err(ReadError::Io(e)) => Err(self.failed(e)),
            Err(ReadError::Nothing | ReadError::Cut) => Err(self.failed(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the peer closed the stream before its answer was complete",
            ))),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Exchange<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(reply) = &mut this.reply else { return Poll::Ready(()) };
        if reply.poll_cancelled(cx).is_ready() {
            // The stream is dropped with us: the callee sees it reset.
            return Poll::Ready(());
        }
        // A stream that has failed must not be used again.
        if !this.flushed && this.failure.is_none() {
            this.write(cx);
        }
        // Also while writing: a peer that refuses says so before it has read everything.
        let result = match this.poll_read(cx) {
            Poll::Ready(read) => this.finish(read),
            Poll::Pending => match Pin::new(&mut this.deadline).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(_) => Err(CallError::Deadline),
            },
        };
        if let Some(reply) = mem::take(&mut this.reply) {
            reply.send(result);
        }
        Poll::Ready(())
    }
}

/// The application message within an answer.
fn understand(body: Vec<u8>) -> Result<Vec<u8>, CallError> {
    match codec::parse(&body) {
        Ok(codec::Parsed { content: Content::Response(response), .. }) => Ok(codec::keep(body, response)),
        Ok(codec::Parsed { content: Content::Error(error), .. }) => {
            Err(CallError::Handler(String::from_utf8_lossy(&body[error]).into_owned()))
        }
        Ok(_) => Err(CallError::Malformed("it holds no answer".to_owned())),
        Err(e) => Err(CallError::Malformed(e.to_string())),
    }
}
