//! Reads the one message of a stream: its length as an unsigned varint, then its bytes.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::AsyncRead;

use super::{
    budget::Reservation,
    codec::{CALL_ID_BYTES, CallId, peek_id},
};

/// What is read first, in bytes. Almost every request fits. It may reach beyond the message, since
/// nothing may follow one.
const FIRST_READ: usize = 2048;

/// How much the buffer grows by at least, in bytes: not more than a stream costs anyway. It grows as
/// bytes come, not as the length promises.
const GROWTH: usize = 4 * 1024;

/// A length of 4 MiB has 4 bytes; one of more than 5 is over every bound.
const LENGTH_BYTES: usize = 5;

/// The beginning of a message, up to the end of its call id.
const ID_END: usize = 2 + CALL_ID_BYTES;

/// Why no message was read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The stream ended before the first byte.
    Nothing,
    /// The stream ended within the message.
    Cut,
    /// The length has too many bytes.
    Length,
    /// Over the bound; the call's id if it could be seen.
    TooLarge {
        bytes: usize,
        id: Option<CallId>,
    },
    /// There are bytes after the message, where the stream must end or be silent; the call's id.
    Excess {
        id: Option<CallId>,
    },
    /// The budget for all calls is spent.
    NoRoom {
        id: Option<CallId>,
    },
    Io(io::Error),
}

/// Where the reading stands.
pub(super) struct FrameReader {
    /// The largest message.
    limit: usize,
    /// The bytes of the length that came so far.
    head: usize,
    length: usize,
    /// Whether `length` is complete.
    complete: bool,
    body: Vec<u8>,
    /// How much of `body` is filled.
    filled: usize,
    reservation: Option<Reservation>,
}

impl FrameReader {
    /// Reads messages of up to `limit` bytes, within `reservation` if there is one.
    pub(super) fn new(limit: usize, reservation: Option<Reservation>) -> Self {
        let body = Vec::new();
        Self { limit, head: 0, length: 0, complete: false, body, filled: 0, reservation }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Whether the message that is being read says that it is longer than the bound.
    pub(super) fn is_oversized(&self) -> bool {
        self.complete && self.length > self.limit
    }

    /// What the message holds of the budget.
    pub(super) fn into_reservation(self) -> Option<Reservation> {
        self.reservation
    }

    /// The message; not to be polled again once it was ready.
    pub(super) fn poll_read(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<Vec<u8>, ReadError>> {
        loop {
            if self.complete {
                if self.length > self.limit && self.filled >= ID_END.min(self.length) {
                    return Poll::Ready(Err(ReadError::TooLarge { bytes: self.length, id: self.seen_id() }));
                }
                if self.filled == self.length {
                    self.body.truncate(self.length);
                    return Poll::Ready(Ok(std::mem::take(&mut self.body)));
                }
            }
            let count = if self.complete && self.length <= self.limit {
                if let Err(e) = self.make_room() {
                    return Poll::Ready(Err(e));
                }
                let room = self.body.len().min(self.length);
                let free = &mut self.body[self.filled..room];
                let count = ready!(Pin::new(&mut *io).poll_read(cx, free)).map_err(ReadError::Io)?;
                self.filled += count;
                count
            } else {
                let mut chunk = [0; FIRST_READ];
                let count = ready!(Pin::new(&mut *io).poll_read(cx, &mut chunk)).map_err(ReadError::Io)?;
                if let Err(e) = self.on_first(&chunk[..count]) {
                    return Poll::Ready(Err(e));
                }
                count
            };
            if count == 0 {
                let nothing = self.head == 0;
                return Poll::Ready(Err(if nothing { ReadError::Nothing } else { ReadError::Cut }));
            }
        }
    }

    /// Bytes that begin with the length, or with the rest of it, or with the beginning of a message
    /// that is too large to be read on.
    fn on_first(&mut self, mut chunk: &[u8]) -> Result<(), ReadError> {
        while !self.complete {
            let Some((&byte, rest)) = chunk.split_first() else { return Ok(()) };
            if self.head == LENGTH_BYTES {
                return Err(ReadError::Length);
            }
            self.length |= usize::from(byte & 0x7f) << (7 * self.head);
            self.head += 1;
            self.complete = byte < 0x80;
            chunk = rest;
        }
        let wanted = if self.length <= self.limit { self.length } else { ID_END.min(self.length) };
        let part = &chunk[..chunk.len().min(wanted.saturating_sub(self.filled))];
        self.body.truncate(self.filled);
        self.body.extend_from_slice(part);
        self.filled = self.body.len();
        if chunk.len() > part.len() && self.length <= self.limit {
            return Err(ReadError::Excess { id: self.seen_id() });
        }
        self.hold(self.filled)
    }

    fn hold(&mut self, bytes: usize) -> Result<(), ReadError> {
        let room = self.reservation.as_mut().is_none_or(|reservation| reservation.grow_to(bytes));
        if room { Ok(()) } else { Err(ReadError::NoRoom { id: self.seen_id() }) }
    }

    fn make_room(&mut self) -> Result<(), ReadError> {
        if self.filled < self.body.len() {
            return Ok(());
        }
        let size = self.length.min((2 * self.filled).max(GROWTH));
        self.hold(size)?;
        self.body.resize(size, 0);
        Ok(())
    }

    fn seen_id(&self) -> Option<CallId> {
        peek_id(&self.body[..self.filled])
    }
}
