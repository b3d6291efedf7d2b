//! A substream that the remote opened, until it is known what it is for: a handler, or a protocol of libp2p's.
//!
//! Source: go-multistream `multistream.go` (`SelectProtoOrFail` sends header and proposal in one write, and a refused
//! dialer may propose again). Proposals of handlers are answered here; any other proposal, and whatever is malformed,
//! is handed on unread, so that the stock code judges it. From then on the substream is libp2p's: a handler that is
//! proposed after a protocol of libp2p's is not found.

use std::{
    io, mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::io::{AsyncRead, AsyncWrite};

use super::{
    HandlerName,
    frame::{HEADER, NA, Progress, progress, put_frame},
    negotiation::Queue,
    stream::{BareStream, READ_CHUNK},
};

/// What a substream turned out to be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proposal {
    /// A handler; [`Arrival::name`] tells which one.
    Handler,
    /// Something that the stock code has to judge.
    Other,
}

/// A substream whose purpose is not known yet.
pub(crate) struct Arrival<S> {
    inner: S,
    /// The frame that is being collected, or the one that waits for a decision.
    frame: Vec<u8>,
    /// Where the body of a complete frame begins.
    head: usize,
    header_came: bool,
    header_sent: bool,
    /// What goes out before anything more is read.
    reply: Queue,
    unflushed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Arrival<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self {
            inner,
            frame: Vec::new(),
            head: 0,
            header_came: false,
            header_sent: false,
            reply: Queue::default(),
            unflushed: false,
        }
    }

    /// Ready when a proposal has come. It then waits for [`accept`](Self::accept), [`refuse`](Self::refuse) or
    /// [`hand_on`](Self::hand_on). An end before that is an error.
    pub(crate) fn poll_proposal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Proposal>> {
        loop {
            ready!(self.poll_reply(cx))?;
            match progress(&self.frame) {
                Progress::Need(missing) => {
                    let mut chunk = [0; READ_CHUNK];
                    let chunk = &mut chunk[..missing.min(READ_CHUNK)];
                    match Pin::new(&mut self.inner).poll_read(cx, chunk)? {
                        Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                        Poll::Ready(count) => self.frame.extend_from_slice(&chunk[..count]),
                        // The remote may wait for our header before it proposes.
                        Poll::Pending if self.header_came && !self.header_sent => self.say(&[]),
                        Poll::Pending => return Poll::Pending,
                    }
                }
                Progress::Done(head) if self.header_came => {
                    self.head = head;
                    let is_handler = self.proposed().is_some_and(|name| HandlerName::check(name).is_ok());
                    return Poll::Ready(Ok(if is_handler { Proposal::Handler } else { Proposal::Other }));
                }
                Progress::Done(head) if self.frame[head..] == *HEADER => {
                    self.header_came = true;
                    self.frame.clear();
                }
                Progress::Done(_) | Progress::Bad => return Poll::Ready(Ok(Proposal::Other)),
            }
        }
    }

    fn proposed(&self) -> Option<&str> {
        let name = self.frame.get(self.head..)?.strip_suffix(b"\n")?;
        std::str::from_utf8(name).ok()
    }

    /// The handler that is proposed.
    pub(crate) fn name(&self) -> &str {
        self.proposed().unwrap_or_default()
    }

    /// The remote may go on: from now on the substream carries the handler's data. The confirmation goes out with the
    /// first data that is written, or as soon as more is read than has come.
    pub(crate) fn accept(mut self) -> BareStream<S> {
        let mut confirmation = mem::take(&mut self.reply.bytes);
        if !self.header_sent {
            put_frame(&mut confirmation, &[HEADER]);
        }
        // Not as it came: go-varint, and so go-multistream, refuses a length that could be shorter.
        put_frame(&mut confirmation, &[&self.frame[self.head..]]);
        BareStream::accepted(self.inner, confirmation)
    }

    /// The handler is not served; the remote may propose another one.
    pub(crate) fn refuse(&mut self) {
        self.say(NA);
    }

    /// The stock code goes on from the proposal, and knows nothing of what was before.
    pub(crate) fn hand_on(self) -> BareStream<S> {
        let mut read = Vec::new();
        if self.header_came {
            put_frame(&mut read, &[HEADER]);
        }
        read.extend_from_slice(&self.frame);
        BareStream::resumed(self.inner, &read, self.header_sent)
    }

    /// Sends our header, if it has not been sent, and `answer` to the frame that has come, if there is one.
    fn say(&mut self, answer: &[u8]) {
        if !mem::replace(&mut self.header_sent, true) {
            put_frame(&mut self.reply.bytes, &[HEADER]);
        }
        if !answer.is_empty() {
            put_frame(&mut self.reply.bytes, &[answer]);
            self.frame.clear();
            self.head = 0;
        }
        self.unflushed = true;
    }

    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.reply.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_write(cx, self.reply.rest()))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.reply.advance(count),
            }
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}
