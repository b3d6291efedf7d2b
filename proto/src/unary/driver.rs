//! What drives one connection, and answers the calls of our handlers that come over it.
//!
//! yamux and QUIC do all their work while they are asked for inbound streams, and tell nothing else: `StreamMuxer::poll`
//! is for changes of the remote's address, of which neither of libp2p's has any.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use futures::{
    AsyncRead, AsyncWrite, StreamExt,
    future::{BoxFuture, FutureExt},
    stream::FuturesUnordered,
};
use libp2p::core::muxing::StreamMuxer;

use super::{
    counters::count,
    deadline::within,
    inbound::Host,
    muxer::{MuxerError, Shared},
};
use crate::bare_name::{Arrival, BareStream, HandlerName, Proposal};

/// Inbound streams of one connection whose purpose is not known yet, or which the swarm has not taken. While there are
/// that many, further ones are reset.
const UNKNOWN_STREAMS: usize = 1024;

/// Calls of one peer that may be told at once that we are busy. Each holds a stream until the caller has read it; more
/// streams than that are reset.
const REFUSALS: usize = 1024;

/// A connection's task: it ends with the connection.
pub(super) struct Driver<M: StreamMuxer> {
    shared: Arc<Shared<M>>,
    host: Arc<Host>,
    /// One future a stream: it ends with the stream, or hands it on.
    streams: FuturesUnordered<BoxFuture<'static, Option<BareStream<M::Substream>>>>,
    /// Those of `streams` whose purpose is not known yet.
    unknown: Arc<AtomicUsize>,
}

impl<M> Driver<M>
where
    M: StreamMuxer + Unpin,
    M::Substream: Unpin + Send + 'static,
{
    pub(super) fn new(shared: Arc<Shared<M>>, host: Host) -> Self {
        Self { shared, host: Arc::new(host), streams: FuturesUnordered::new(), unknown: Arc::default() }
    }

    /// Takes the streams that have come; whether there is room for more.
    fn take_streams(&mut self, cx: &mut Context<'_>) -> Result<bool, M::Error> {
        let mut state = self.shared.lock();
        state.driven_by(cx);
        while self.unknown.load(Relaxed) + state.handed_on.len() < UNKNOWN_STREAMS {
            match Pin::new(&mut state.inner).poll_inbound(cx)? {
                Poll::Ready(stream) => {
                    let unknown = Unknown::begin(&self.unknown);
                    self.streams.push(self.host.clone().receive(stream, unknown).boxed());
                }
                Poll::Pending => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Lets each stream go on as far as it can; whether there is room for more of them.
    fn serve_streams(&mut self, cx: &mut Context<'_>) -> bool {
        let mut handed_on = Vec::new();
        while let Poll::Ready(Some(stream)) = self.streams.poll_next_unpin(cx) {
            handed_on.extend(stream);
        }
        let mut state = self.shared.lock();
        if !handed_on.is_empty() {
            state.handed_on.extend(handed_on);
            state.wake_swarm();
        }
        self.unknown.load(Relaxed) + state.handed_on.len() < UNKNOWN_STREAMS
    }

    /// Resets what comes while there is no room: a stream that waited would hold a window of its data meanwhile.
    fn reset_streams(&mut self, cx: &mut Context<'_>) -> Result<(), M::Error> {
        let mut state = self.shared.lock();
        while let Poll::Ready(stream) = Pin::new(&mut state.inner).poll_inbound(cx)? {
            drop(stream);
            count(&self.host.registry.cells.refused_busy);
        }
        Ok(())
    }

    fn drive(&mut self, cx: &mut Context<'_>) -> Result<(), M::Error> {
        // What is written now goes out with the look at the wire that follows.
        self.serve_streams(cx);
        while !self.take_streams(cx)? {
            if !self.serve_streams(cx) {
                self.reset_streams(cx)?;
                break;
            }
        }
        self.serve_streams(cx);
        Ok(())
    }
}

impl<M> Future for Driver<M>
where
    M: StreamMuxer + Unpin,
    M::Substream: Unpin + Send + 'static,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.drive(cx) {
            Ok(()) => Poll::Pending,
            Err(error) => {
                self.shared.lock().end = Some(MuxerError::Connection(error));
                Poll::Ready(())
            }
        }
    }
}

impl<M: StreamMuxer> Drop for Driver<M> {
    /// However it ends, by a panic too, the swarm hears of it.
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.end.get_or_insert(MuxerError::Abandoned);
        state.wake_swarm();
    }
}

/// A stream whose purpose is not known yet, counted until it is dropped.
struct Unknown(Arc<AtomicUsize>);

impl Unknown {
    fn begin(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count.clone())
    }
}

impl Drop for Unknown {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Host {
    /// Serves the call that `stream` turns out to be, or gives it back.
    async fn receive<S>(self: Arc<Self>, stream: S, unknown: Unknown) -> Option<BareStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let (stream, handler) = within(self.settings.read_deadline, self.recognize(stream)).await.ok()??;
        drop(unknown);
        let Some(handler) = handler else { return Some(stream) };
        if let Some(_under_way) = self.caller.begin(self.settings.inbound_per_peer) {
            self.serve(stream, handler).await;
        } else if let Some(_under_way) = self.caller.begin_refusal(REFUSALS) {
            self.turn_away(stream).await;
        } else {
            count(&self.registry.cells.refused_busy);
        }
        None
    }

    /// What a stream is for: a handler of ours, or the swarm. `None` if it ended before that.
    async fn recognize<S>(&self, stream: S) -> Option<(BareStream<S>, Option<HandlerName>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut arrival = Arrival::new(stream);
        loop {
            match poll_fn(|cx| arrival.poll_proposal(cx)).await.ok()? {
                Proposal::Other => return Some((arrival.hand_on(), None)),
                Proposal::Handler => match self.registry.served(arrival.name()) {
                    Some(handler) => return Some((arrival.accept(), Some(handler))),
                    None => arrival.refuse(),
                },
            }
        }
    }
}
