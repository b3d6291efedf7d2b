//! How bytes come to peers: TCP, QUIC, and circuits through relays, all of them with the muxer that serves calls.
//!
//! Built by hand: libp2p's builder hands out a finished transport, whose relayed connections would stay without it.

use hivemind_proto::{
    connection::{STREAMS, Upgrade, Upgraded},
    unary::Registry,
};
use libp2p::{
    Transport,
    core::{
        muxing::SubstreamBox,
        transport::{Boxed, OrTransport},
    },
    dns, quic, relay, tcp,
};

use super::{NetworkError, Settings, addresses::Dialable, hole_punching::InTurn};

pub(super) fn build(
    settings: &Settings,
    relay: relay::client::Transport,
    registry: &Registry,
) -> Result<Boxed<Upgraded>, NetworkError> {
    let deadline = settings.limits.dial_deadline;
    let upgrade = Upgrade::new(&settings.keypair, settings.unary.clone(), registry.clone())
        .map_err(|e| NetworkError::Identity(e.to_string()))?;
    let direct = || {
        let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
        let tcp = Dialable::new(tcp, settings.scope()).map(|bytes, _| SubstreamBox::new(bytes));
        let tcp = upgrade.over(tcp.boxed(), deadline);
        let mut quic = quic::Config::new(&settings.keypair);
        quic.handshake_timeout = deadline;
        quic.max_concurrent_stream_limit = u32::try_from(STREAMS).unwrap_or(u32::MAX);
        let (quic, upgrade) = (quic::tokio::Transport::new(quic), upgrade.clone());
        let quic = Dialable::new(quic, settings.scope())
            .map(move |(peer, connection), _| upgrade.serve(peer, connection));
        InTurn::new(OrTransport::new(quic, tcp).map(|either, _| either.into_inner()))
    };
    let named = dns::tokio::Transport::system(direct()).map(Transport::boxed).unwrap_or_else(|error| {
        tracing::warn!(%error, "no DNS: only peers with an IP address can be dialled");
        direct().boxed()
    });
    let relayed = upgrade.over(relay.map(|circuit, _| SubstreamBox::new(circuit)).boxed(), deadline);
    Ok(OrTransport::new(relayed, named).map(|either, _| either.into_inner()).boxed())
}
