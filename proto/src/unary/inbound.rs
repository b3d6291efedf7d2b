//! One inbound call, from the stream's first byte to its end.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Poll, ready},
};

use futures::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::{
    Registry, Settings,
    callers::Caller,
    codec::{self, CALL_ID_BYTES, CallId, Content},
    counters::count,
    deadline::within,
    frame_reader::{FrameReader, ReadError},
    registry::{Answer, BUSY, DROPPED, Failure, Refusal},
};
use crate::bare_name::HandlerName;

/// How often the largest message fits into what is read and thrown away after a refusal. A caller
/// that writes before it reads, as p2pd does, must get rid of its request to see our answer.
const DRAINED_MESSAGES: usize = 4;

/// How much is thrown away at once, in bytes.
const DRAIN_CHUNK: usize = 4096;

/// What an answer says whose call's id we could not see: p2pd goes by the stream, not by the id.
const NO_ID: CallId = [0; CALL_ID_BYTES];

/// What all inbound calls of a connection share.
pub(super) struct Host {
    pub(super) caller: Arc<Caller>,
    pub(super) settings: Settings,
    pub(super) registry: Registry,
}

/// How the reading of a request ended.
enum Request {
    Queued(CallId, Answer),
    Refused(CallId, String),
    /// Nothing that could be answered.
    Closed,
}

impl Host {
    /// Serves the call that comes on `io`, within the deadlines.
    pub(super) async fn serve<S>(&self, mut io: S, handler: HandlerName)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        match self.request(&mut io, handler).await {
            Request::Closed => {}
            Request::Refused(id, text) => self.refuse(&mut io, id, &text).await,
            Request::Queued(id, answer) => self.answer(&mut io, id, answer).await,
        }
    }

    /// Answers "busy" to the call that comes on `io`.
    pub(super) async fn turn_away<S>(&self, mut io: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        count(&self.registry.cells.refused_busy);
        // With a bound of nothing the reader stops after the call's id.
        let mut reader = FrameReader::new(0, None);
        let read = poll_fn(|cx| reader.poll_read(&mut io, cx));
        if let Ok(Err(ReadError::TooLarge { id, .. })) = within(self.settings.read_deadline, read).await {
            self.refuse(&mut io, id.unwrap_or(NO_ID), BUSY).await;
        }
    }

    async fn request<S: AsyncRead + Unpin>(&self, io: &mut S, handler: HandlerName) -> Request {
        let limit = self.settings.max_message_bytes;
        let cells = &self.registry.cells;
        let place = self.registry.budget.reserve(&self.caller.share, self.settings.inbound_bytes);
        let mut reader = FrameReader::new(limit, Some(place));
        let read = within(self.settings.read_deadline, poll_fn(|cx| reader.poll_read(io, cx))).await;
        let Ok(read) = read else {
            // One that announced too much may never have sent enough to be told so.
            count(if reader.is_oversized() { &cells.oversized } else { &cells.deadline });
            return Request::Closed;
        };
        let body = match read {
            Ok(body) => body,
            Err(ReadError::TooLarge { bytes, id }) => {
                count(&cells.oversized);
                let text = format!("request of {bytes} bytes, more than {limit}");
                return Request::Refused(id.unwrap_or(NO_ID), text);
            }
            Err(ReadError::NoRoom { id }) => {
                count(&cells.refused_busy);
                return Request::Refused(id.unwrap_or(NO_ID), BUSY.to_owned());
            }
            Err(ReadError::Excess { id }) => {
                count(&cells.malformed);
                let text = "malformed request: bytes after the message".to_owned();
                return Request::Refused(id.unwrap_or(NO_ID), text);
            }
            Err(ReadError::Cut | ReadError::Length) => {
                count(&cells.malformed);
                return Request::Closed;
            }
            // The caller thought better of it, or its connection broke.
            Err(ReadError::Nothing | ReadError::Io(_)) => {
                count(&cells.cancelled);
                return Request::Closed;
            }
        };
        let malformed = |text: String| {
            count(&cells.malformed);
            Request::Refused(codec::peek_id(&body).unwrap_or(NO_ID), text)
        };
        let (id, data) = match codec::parse(&body) {
            Ok(codec::Parsed { id, content: Content::Call { data, .. } }) => (id, data),
            Ok(_) => return malformed("malformed request: it holds no call".to_owned()),
            Err(e) => return malformed(format!("malformed request: {e}")),
        };
        let data = codec::keep(body, data);
        match self.registry.queue(self.caller.peer, handler, data, reader.into_reservation()) {
            Ok(answer) => Request::Queued(id, answer),
            Err(Refusal::Busy) => {
                count(&cells.refused_busy);
                Request::Refused(id, BUSY.to_owned())
            }
            Err(Refusal::Unknown) => Request::Refused(id, "this handler is not served".to_owned()),
        }
    }

    /// Waits for the answer, unless the caller goes away, and sends it.
    async fn answer<S>(&self, io: &mut S, id: CallId, mut answer: Answer)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let cells = &self.registry.cells;
        // Most answers take one turn of whoever serves the handler. As long as nobody reads on, such a one goes out
        // together with the stream's handshake.
        let (mut turn, mut has_passed) = (pin!(tokio::task::yield_now()), false);
        let outcome = poll_fn(|cx| {
            if let Poll::Ready(outcome) = Pin::new(&mut answer).poll(cx) {
                return Poll::Ready(Ok(outcome));
            }
            if !has_passed {
                ready!(turn.as_mut().poll(cx));
                has_passed = true;
            }
            // Nothing but the end may come now. Further bytes would fill the stream's buffer, so they
            // end the call as well.
            let end = Pin::new(&mut *io).poll_read(cx, &mut [0; 1]);
            end.map(|end| Err(if matches!(end, Ok(1..)) { &cells.malformed } else { &cells.cancelled }))
        });
        let result = match within(self.settings.answer_deadline, outcome).await {
            Err(_) => {
                count(&cells.deadline);
                Err("the handler did not answer in time".to_owned())
            }
            Ok(Err(cell)) => return count(cell),
            Ok(Ok(Err(_))) => {
                count(&cells.handler_errors);
                Err(DROPPED.to_owned())
            }
            Ok(Ok(Ok(Err(Failure::Handler(text))))) => {
                count(&cells.handler_errors);
                Err(text)
            }
            Ok(Ok(Ok(Err(Failure::NoRoom)))) => {
                count(&cells.refused_busy);
                Err(BUSY.to_owned())
            }
            Ok(Ok(Ok(Ok(response)))) => {
                let bytes = codec::answer_bytes(response.data.len());
                let limit = self.settings.max_message_bytes;
                if bytes > limit {
                    count(&cells.handler_errors);
                    Err(format!("answer of {bytes} bytes, more than {limit}"))
                } else {
                    Ok(response)
                }
            }
        };
        drop(answer);
        let ok = result.is_ok();
        let data = result.as_ref().map(|response| response.data.as_slice()).map_err(String::as_str);
        let frame = codec::encode_answer(&id, data);
        // The frame stands for the response, whose place it keeps until it is sent.
        let _place = result.map(|response| response.into_place());
        if self.send(io, &frame).await && ok {
            count(&cells.answered);
        }
    }

    /// Answers with an error, and lets the caller finish its writing.
    async fn refuse<S>(&self, io: &mut S, id: CallId, text: &str)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let frame = codec::encode_answer(&id, Err(text));
        if !self.send(io, &frame).await {
            return;
        }
        let mut left = DRAINED_MESSAGES * self.settings.max_message_bytes;
        let drained = poll_fn(|cx| {
            let mut chunk = [0; DRAIN_CHUNK];
            while left > 0 {
                match ready!(Pin::new(&mut *io).poll_read(cx, &mut chunk)) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => left = left.saturating_sub(count),
                }
            }
            Poll::Ready(())
        });
        // Whether it ended in time or not, the stream is closed now.
        let _ = within(self.settings.read_deadline, drained).await;
    }

    /// Writes `frame` and ends our side; whether it was taken in time.
    async fn send<S: AsyncWrite + Unpin>(&self, io: &mut S, frame: &[u8]) -> bool {
        let cells = &self.registry.cells;
        let send = async {
            io.write_all(frame).await?;
            io.close().await
        };
        match within(self.settings.read_deadline, send).await {
            Ok(Ok(())) => true,
            Ok(Err(_)) => {
                count(&cells.cancelled);
                false
            }
            Err(_) => {
                count(&cells.deadline);
                false
            }
        }
    }
}
