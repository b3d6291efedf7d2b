//! `petald probe`: one peer from outside, under an identity that nobody knows, layer by layer.
//!
//! | module | holds |
//! | --- | --- |
//! | [`guest`] | the identity, its network, and the call-backs that it hears |
//! | [`visit`] | the layers, tried in order; `petald check` tries the first of them at bootstraps |
//! | [`records`] | what the peer announces, as the DHT that it leads to tells it |
//! | [`report`] | what is printed |

pub(crate) mod guest;
mod records;
mod report;
pub(crate) mod visit;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hivemind_proto::records::DhtPrefix;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use self::guest::Guest;
pub(crate) use self::report::Report;
use self::visit::{CONNECT_DEADLINE, Layer, Visit};
use crate::progress::Progress;

/// Who is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Who.
    pub(crate) peer: PeerId,
    /// Where, with or without the peer id at its end; if absent, it is found through others.
    pub(crate) address: Option<Multiaddr>,
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(peer) = text.parse() {
            return Ok(Self { peer, address: None });
        }
        let remedy = "expected a peer id, or an address such as /ip4/192.0.2.1/tcp/31337/p2p/<peer id>";
        let address: Multiaddr = text.parse().map_err(|error| format!("{error}; {remedy}"))?;
        match address.iter().last() {
            Some(Protocol::P2p(peer)) => Ok(Self { peer, address: Some(address) }),
            _ => Err(format!("the address lacks the peer's id; {remedy}")),
        }
    }
}

/// Through whom, and how, the peer is looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Means {
    /// Peers of the swarm, each with its id at the end; needed for a target without an address.
    pub(crate) entrances: Vec<Multiaddr>,
    /// Whether loopback and private addresses are dialled.
    pub(crate) private_addresses: bool,
    /// A model of which records are looked for though the swarm's index does not list it.
    pub(crate) model: Option<(DhtPrefix, u32)>,
}

/// Tries one layer after the other.
pub(crate) async fn probe(
    target: &Target,
    means: &Means,
    progress: &Progress,
) -> Result<Report, guest::GuestError> {
    let guest = Guest::arrive(means.private_addresses).await?;
    let mut visit = Visit::new(&guest, target.peer);
    let shown = progress.begin(&target.peer.to_string());
    let connected = match &target.address {
        Some(address) => visit.reach(std::slice::from_ref(address), &shown).await,
        None => {
            shown.at(Layer::Find.name());
            let entered = enter(&guest, &means.entrances).await;
            visit.find(entered).await
        }
    };
    let mut report = Report::new(target.peer);
    if connected {
        visit.greet(&shown).await;
        visit.ping(&shown).await;
        report.rpc_info = visit.rpc_info(&shown).await;
        shown.at(Layer::Records.name());
        report.records = visit.records(means.model.as_ref()).await;
    }
    report.tell(visit);
    Ok(report)
}

/// Connects to those through whom others are found: how many there are, or why there is none.
async fn enter(guest: &Guest, entrances: &[Multiaddr]) -> Result<usize, String> {
    let connect = |address: Multiaddr| async move {
        let Some(Protocol::P2p(peer)) = address.iter().last() else {
            return Err(format!("{address} lacks the peer's id"));
        };
        let connected = guest.network().connect(peer, vec![address.clone()], CONNECT_DEADLINE).await;
        connected.map_err(|error| format!("{address}: {error}"))
    };
    let mut attempts: FuturesUnordered<_> = entrances.iter().cloned().map(connect).collect();
    let (mut open, mut causes) = (0, Vec::new());
    while let Some(attempt) = attempts.next().await {
        match attempt {
            Ok(()) => open += 1,
            Err(cause) => causes.push(cause),
        }
    }
    if open > 0 { Ok(open) } else { Err(causes.join("; ")) }
}

/// Whether an address is within this machine or a private network: whoever names it wants it dialled.
pub(crate) fn is_private(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => name == "localhost",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_names_its_peer() {
        let peer = PeerId::random();
        assert_eq!(peer.to_string().parse(), Ok(Target { peer, address: None }));
        let address = format!("/ip4/192.0.2.1/tcp/1/p2p/{peer}");
        assert_eq!(address.parse(), Ok(Target { peer, address: Some(address.parse().unwrap()) }));
        for wrong in ["", "peer", "/ip4/192.0.2.1/tcp/1", "192.0.2.1:1"] {
            let error = wrong.parse::<Target>().unwrap_err();
            assert!(error.contains("/p2p/<peer id>"), "{wrong}: {error}");
        }
    }
}
