//! The muxer of one connection, whose substreams speak bare names.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};

use super::stream::BareStream;

/// A `StreamMuxer` whose substreams are [`BareStream`]s.
///
/// It must wrap every connection's muxer, relayed ones included: a stream without it can neither
/// dial nor serve a handler.
pub struct BareMuxer<M>(M);

impl<M> BareMuxer<M> {
    /// Wraps the muxer of an upgraded connection.
    pub fn new(muxer: M) -> Self {
        Self(muxer)
    }
}

impl<M> StreamMuxer for BareMuxer<M>
where
    M: StreamMuxer + Unpin,
    M::Substream: Unpin,
{
    type Substream = BareStream<M::Substream>;
    type Error = M::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, M::Error>> {
        Pin::new(&mut self.0).poll_inbound(cx).map_ok(BareStream::listener)
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, M::Error>> {
        Pin::new(&mut self.0).poll_outbound(cx).map_ok(BareStream::dialer)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), M::Error>> {
        Pin::new(&mut self.0).poll_close(cx)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, M::Error>> {
        Pin::new(&mut self.0).poll(cx)
    }
}
