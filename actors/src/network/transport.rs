//! How bytes come to peers: TCP, QUIC, and circuits through relays, all of them behind the muxer that
//! serves calls.
//!
//! Built by hand: libp2p's builder hands out a finished transport, whose relayed connections would stay without it.

use hivemind_proto::unary::{self, Muxer, Registry};
use libp2p::{
    PeerId, Transport,
    core::{
        muxing::{StreamMuxer, StreamMuxerBox},
        transport::{Boxed, OrTransport},
        upgrade::Version,
    },
    dns, noise, quic, relay, tcp, yamux,
};

use super::{NetworkError, Settings, addresses::Dialable, coalescing::Coalescing, hole_punching::InTurn};

/// Streams of one connection. yamux takes none beyond and tells the remote to go away, which then closes the connection
/// (hashicorp/yamux, `handleGoAway`); one that stays gains nothing. 1024 calls of the peer that are under way, as many
/// of ours, and as many again of which it is not known yet what they are for, or that are being told that we are busy. A p2pd
/// carries all calls of a Python process: the default of 512 is too few for it.
///
/// What a stream may hold unread, 256 KiB, is bounded elsewhere: who takes no answers is not read on (`coalescing`), and
/// what calls hold has a budget.
pub(super) const STREAMS: usize = 3 * 1024;

/// A connection that is secured and has streams.
type Upgraded = (PeerId, StreamMuxerBox);

/// What stands between every transport and the swarm: a muxer that serves what the registry has.
#[derive(Clone)]
struct Serving {
    settings: unary::Settings,
    registry: Registry,
}

impl Serving {
    fn wrap<M>(&self, (peer, muxer): (PeerId, M)) -> Upgraded
    where
        M: StreamMuxer + Unpin + Send + 'static,
        M::Substream: Unpin + Send + 'static,
        M::Error: Send + Sync + 'static,
    {
        (peer, StreamMuxerBox::new(Muxer::new(muxer, peer, self.settings.clone(), self.registry.clone())))
    }
}

pub(super) fn build(
    settings: &Settings,
    relay: relay::client::Transport,
    registry: &Registry,
) -> Result<Boxed<Upgraded>, NetworkError> {
    let noise = noise::Config::new(&settings.keypair).map_err(|e| NetworkError::Identity(e.to_string()))?;
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(STREAMS);
    let serving = Serving { settings: settings.unary.clone(), registry: registry.clone() };
    let direct = || {
        let (for_tcp, for_quic) = (serving.clone(), serving.clone());
        let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
        let tcp = Dialable::new(tcp, settings.scope())
            .upgrade(Version::V1Lazy)
            .authenticate(noise.clone())
            .multiplex(Coalescing(muxer.clone()))
            .timeout(settings.limits.dial_deadline)
            .map(move |upgraded, _| for_tcp.wrap(upgraded));
        let mut quic = quic::Config::new(&settings.keypair);
        quic.handshake_timeout = settings.limits.dial_deadline;
        quic.max_concurrent_stream_limit = u32::try_from(STREAMS).unwrap_or(u32::MAX);
        let quic = quic::tokio::Transport::new(quic);
        let quic = Dialable::new(quic, settings.scope()).map(move |upgraded, _| for_quic.wrap(upgraded));
        InTurn::new(OrTransport::new(quic, tcp).map(|either, _| either.into_inner()))
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
        .map(move |upgraded, _| serving.wrap(upgraded));
    Ok(OrTransport::new(relayed, named).map(|either, _| either.into_inner()).boxed())
}
