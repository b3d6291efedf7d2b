//! The muxer of one connection, which answers the calls of our handlers itself.
//!
//! libp2p's swarm sets a timer for each stream, boxes it, and negotiates and hands it over in turns of its own: for a
//! call of some hundred bytes that is most of its cost. So a stream that proposes one of our handlers is served here,
//! in the connection's own task, and the swarm never sees it. All others reach the swarm as if nobody had looked at
//! them.

use std::{
    collections::VecDeque,
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
use libp2p::{
    PeerId,
    core::muxing::{StreamMuxer, StreamMuxerEvent},
};

use super::{Registry, Settings, counters::count, deadline::within, inbound::Host};
use crate::bare_name::{Arrival, BareStream, HandlerName, Proposal};

/// Inbound streams of one connection whose purpose is not known yet, or which the swarm has not taken. While there are
/// that many, no more are taken from the wire: the muxer below lets some more wait, and resets what comes then.
const UNKNOWN_STREAMS: usize = 1024;

/// Calls of one peer that may be told at once that we are busy. Each holds a stream until the caller has read it; more
/// streams than that are reset.
const REFUSALS: usize = 1024;

/// A `StreamMuxer` whose substreams are [`BareStream`]s, and which serves what a [`Registry`] serves.
///
/// It must wrap every connection's muxer, relayed ones included: without it handlers can be neither called nor served.
pub struct Muxer<M: StreamMuxer> {
    inner: M,
    host: Arc<Host>,
    /// One future a stream: it ends with the stream, or hands it on.
    streams: FuturesUnordered<BoxFuture<'static, Option<BareStream<M::Substream>>>>,
    /// Streams for the swarm.
    handed_on: VecDeque<BareStream<M::Substream>>,
    /// Those of `streams` whose purpose is not known yet.
    unknown: Arc<AtomicUsize>,
}

impl<M> Muxer<M>
where
    M: StreamMuxer + Unpin,
    M::Substream: Unpin + Send + 'static,
{
    /// Wraps the muxer of an upgraded connection with `peer`.
    pub fn new(inner: M, peer: PeerId, settings: Settings, registry: Registry) -> Self {
        Self {
            inner,
            host: Arc::new(Host { caller: registry.callers.get(peer), settings, registry }),
            streams: FuturesUnordered::new(),
            handed_on: VecDeque::new(),
            unknown: Arc::default(),
        }
    }

    fn has_room(&self) -> bool {
        self.unknown.load(Relaxed) + self.handed_on.len() < UNKNOWN_STREAMS
    }

    /// Takes all streams that have come, and lets each go on as far as it can.
    fn poll_streams(&mut self, cx: &mut Context<'_>) -> Result<(), M::Error> {
        loop {
            while self.has_room() {
                match Pin::new(&mut self.inner).poll_inbound(cx)? {
                    Poll::Ready(stream) => {
                        let unknown = Unknown::begin(&self.unknown);
                        self.streams.push(self.host.clone().receive(stream, unknown).boxed());
                    }
                    Poll::Pending => break,
                }
            }
            let was_full = !self.has_room();
            while let Poll::Ready(Some(stream)) = self.streams.poll_next_unpin(cx) {
                self.handed_on.extend(stream);
            }
            // There may be streams that were not taken, and nothing would wake us for them.
            if !(was_full && self.has_room()) {
                return Ok(());
            }
        }
    }
}

impl<M> StreamMuxer for Muxer<M>
where
    M: StreamMuxer + Unpin,
    M::Substream: Unpin + Send + 'static,
{
    type Substream = BareStream<M::Substream>;
    type Error = M::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, M::Error>> {
        // It is woken by the streams, and by `poll`, which comes first.
        if self.handed_on.is_empty() {
            self.poll_streams(cx)?;
        }
        self.handed_on.pop_front().map_or(Poll::Pending, |stream| Poll::Ready(Ok(stream)))
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, M::Error>> {
        Pin::new(&mut self.inner).poll_outbound(cx).map_ok(BareStream::dialer)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        Pin::new(&mut self.inner).poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, M::Error>> {
        self.poll_streams(cx)?;
        Pin::new(&mut self.inner).poll(cx)
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
