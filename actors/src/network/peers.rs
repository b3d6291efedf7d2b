//! The connected peers, and what they said about themselves.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use tokio::time::Instant;

use super::messages::{PeerAddresses, PeerStatus};

/// Peers that a status lists.
const LISTED_PEERS: usize = 256;

/// How long a new connection may take until identify is through, before lookups go on without it.
const IDENTIFY_WAIT: Duration = Duration::from_secs(2);

/// Of an agent's name, in characters: it is shown to people.
const AGENT_CHARACTERS: usize = 64;

/// At least one connection is open to each.
#[derive(Debug, Default)]
pub(super) struct Peers(HashMap<PeerId, Identity>);

/// What a connected peer said about itself.
#[derive(Debug)]
struct Identity {
    since: Instant,
    agent: Option<String>,
    kad: bool,
    /// Where we dialled it, if we did.
    dialled: Option<Multiaddr>,
    /// Where it says that it is.
    told: Vec<Multiaddr>,
}

impl Peers {
    /// There is a connection, perhaps one more; we dialled `dialled`, if it is ours.
    pub(super) fn connected(&mut self, peer: PeerId, dialled: Option<Multiaddr>) {
        let identity = self.0.entry(peer).or_insert_with(|| Identity {
            since: Instant::now(),
            agent: None,
            kad: false,
            dialled: None,
            told: Vec::new(),
        });
        if let Some(address) = dialled {
            identity.dialled = Some(without_peer(address));
        }
    }

    /// The last connection is closed.
    pub(super) fn gone(&mut self, peer: &PeerId) {
        self.0.remove(peer);
    }

    /// It says that it runs `agent` and is at `told`; gives back as much of the agent's name as is kept.
    pub(super) fn identified(&mut self, peer: &PeerId, agent: &str, kad: bool, told: &[Multiaddr]) -> String {
        let agent: String = agent.chars().take(AGENT_CHARACTERS).collect();
        if let Some(known) = self.0.get_mut(peer) {
            known.agent = Some(agent.clone());
            known.kad = kad;
            known.told = told.iter().cloned().map(without_peer).collect();
        }
        agent
    }

    /// Whether one is so new that identify may still be under way.
    pub(super) fn any_is_new(&self) -> bool {
        self.0.values().any(|peer| peer.agent.is_none() && peer.since.elapsed() < IDENTIFY_WAIT)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Some of them, for people.
    pub(super) fn listed(&self) -> Vec<PeerStatus> {
        let listed = self.0.iter().take(LISTED_PEERS);
        listed
            .map(|(peer, identity)| PeerStatus {
                peer_id: peer.to_string(),
                agent: identity.agent.clone(),
                kad: identity.kad,
            })
            .collect()
    }

    /// Where those of `peers` are that are connected: first where they were dialled.
    pub(super) fn addresses(&self, peers: Vec<PeerId>) -> PeerAddresses {
        let of = |peer: PeerId| {
            let known = self.0.get(&peer)?;
            let told = known.told.iter().filter(|address| known.dialled.as_ref() != Some(address));
            Some((peer, known.dialled.iter().chain(told).cloned().collect()))
        };
        peers.into_iter().filter_map(of).collect()
    }

    /// How many run which program.
    pub(super) fn programs(&self) -> BTreeMap<String, usize> {
        let mut programs: BTreeMap<String, usize> =
            [PETALD, P2PD, OTHER, UNKNOWN].map(|program| (program.to_owned(), 0)).into();
        for peer in self.0.values() {
            *programs.entry(program(peer.agent.as_deref()).to_owned()).or_default() += 1;
        }
        programs
    }
}

/// Our like.
const PETALD: &str = "petald";
/// The daemon of Python's hivemind.
const P2PD: &str = "p2pd";
const OTHER: &str = "other";
/// It has not said yet.
const UNKNOWN: &str = "unknown";

/// Which program a peer says it runs, in one of four words: whoever counts them needs a bound.
fn program(agent: Option<&str>) -> &'static str {
    match agent {
        None => UNKNOWN,
        Some(agent) if agent.starts_with("petald/") => PETALD,
        // A build of p2pd names itself, or Go its module.
        Some(agent) if agent.starts_with("p2pd") || agent.contains("go-libp2p-daemon") => P2PD,
        Some(_) => OTHER,
    }
}

/// An address without the peer id at its end.
fn without_peer(mut address: Multiaddr) -> Multiaddr {
    if let Some(Protocol::P2p(_)) = address.iter().last() {
        address.pop();
    }
    address
}
