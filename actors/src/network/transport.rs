//! How bytes come to peers: TCP, QUIC, and circuits through relays, all of them behind the wrapper for bare names.
//!
//! Built by hand: libp2p's builder hands out a finished transport, whose relayed connections would stay without the
//! wrapper.

use hivemind_proto::bare_name::BareMuxer;
use libp2p::{
    PeerId, Transport,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, OrTransport},
        upgrade::Version,
    },
    dns, noise, quic, relay, tcp, yamux,
};

use super::{NetworkError, Settings, addresses::Dialable, coalescing::Coalescing};

/// Streams of one connection. The default of 512 closes a connection on which a p2pd makes more calls
/// at once, and more than 4096 do not fit into yamux's fixed window of 1 GiB for a connection.
pub(super) const STREAMS: usize = 4096;

/// A connection that is secured and has streams.
type Upgraded = (PeerId, StreamMuxerBox);

/// What stands between every transport and the swarm.
fn wrapped<M>((peer, muxer): (PeerId, M)) -> Upgraded
where
    BareMuxer<M>: libp2p::core::muxing::StreamMuxer + Send + 'static,
    <BareMuxer<M> as libp2p::core::muxing::StreamMuxer>::Substream: Send + 'static,
    <BareMuxer<M> as libp2p::core::muxing::StreamMuxer>::Error: Send + Sync + 'static,
{
    (peer, StreamMuxerBox::new(BareMuxer::new(muxer)))
}

pub(super) fn build(
    settings: &Settings,
    relay: relay::client::Transport,
) -> Result<Boxed<Upgraded>, NetworkError> {
    let noise = noise::Config::new(&settings.keypair).map_err(|e| NetworkError::Identity(e.to_string()))?;
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(STREAMS);
    let direct = || {
        let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
        let tcp = Dialable::new(tcp, settings.scope())
            .upgrade(Version::V1Lazy)
            .authenticate(noise.clone())
            .multiplex(Coalescing(muxer.clone()))
            .timeout(settings.limits.dial_deadline)
            .map(|upgraded, _| wrapped(upgraded));
        let mut quic = quic::Config::new(&settings.keypair);
        quic.handshake_timeout = settings.limits.dial_deadline;
        quic.max_concurrent_stream_limit = u32::try_from(STREAMS).unwrap_or(u32::MAX);
        let quic = quic::tokio::Transport::new(quic);
        let quic = Dialable::new(quic, settings.scope()).map(|upgraded, _| wrapped(upgraded));
        OrTransport::new(quic, tcp).map(|either, _| either.into_inner())
    };
    let named = dns::tokio::Transport::system(direct()).map(Transport::boxed).unwrap_or_else(|error| {
        tracing::warn!(%error, "no DNS: only peers with an IP address can be dialled");
        direct().boxed()
    });
    let relayed = relay
        .upgrade(Version::V1Lazy)
        .authenticate(noise.clone())
        .multiplex(Coalescing(muxer.clone()))
        .timeout(settings.limits.dial_deadline)
        .map(|upgraded, _| wrapped(upgraded));
    Ok(OrTransport::new(relayed, named).map(|either, _| either.into_inner()).boxed())
}
