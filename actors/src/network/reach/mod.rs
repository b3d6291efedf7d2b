//! How others reach us: what is found out about it, what is announced, and which relays stand in for us.
//!
//! The swarm's events become facts (`facts.rs`), the facts a finding (`standing.rs`; `evidence.rs` is what peers have
//! proved), and the finding what the swarm announces: to identify, whose pushes tell the connected peers, and to Kademlia,
//! which serves others only while we can be dialled directly (`edge.rs`). A router may be asked to let others through
//! (`port_mapping`). Where nobody can dial us, reservations at relays (`relays.rs`) take the place of addresses of our own.
//! Protocol facts: libp2p's specs `autonat/autonat-v1.md`, `relay/circuit-v2.md` and `relay/DCUtR.md`; go-libp2p 0.32 speaks
//! them within p2pd.

mod edge;
mod evidence;
mod facts;
mod kind;
mod port_mapping;
mod providing;
mod relays;
pub(super) mod standing;
#[cfg(test)]
mod tests;

use std::{num::NonZeroUsize, time::Duration};

use libp2p::{Multiaddr, PeerId, StreamProtocol, kad};
use serde::{Deserialize, Serialize};

pub(super) use edge::Edge;
pub use standing::Verdict;

use super::swarm::KAD;

/// What the network does to be reached, and so that others are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name of libp2p's Kademlia in this swarm.
    pub kad: StreamProtocol,
    /// Peers that are kept there at each distance. Room for all of them is taken at the start.
    pub kad_bucket: NonZeroUsize,
    /// The key, a multihash, that we provide there, so that whoever asks for its providers finds us.
    pub provides: Option<Vec<u8>>,
    /// Whether connected peers are asked to dial us, and dialled when they ask.
    pub autonat: bool,
    /// Whether a router is asked to forward our ports to us.
    pub upnp: bool,
    /// Whether reservations at relays are held while nobody can dial us; not at all, as a visitor.
    pub use_relays: bool,
    /// Relays that are asked before any other.
    pub relays: Vec<(PeerId, Multiaddr)>,
    /// What we do for others as a relay, if we are one.
    pub relay_service: Option<RelayService>,
    /// Whether relayed connections are replaced by direct ones where both sides can punch a hole.
    pub hole_punching: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kad: KAD,
            kad_bucket: kad::K_VALUE,
            provides: None,
            autonat: true,
            upnp: false,
            use_relays: true,
            relays: Vec::new(),
            relay_service: None,
            hole_punching: true,
        }
    }
}

/// It stays for seconds, and finds its first peers anew each time.
const VISITORS_BUCKET: NonZeroUsize = NonZeroUsize::new(4).expect("4 is not 0");

impl Settings {
    /// Of somebody who comes, looks and leaves: it dials, and is not dialled.
    pub fn visitor() -> Self {
        Self {
            kad_bucket: VISITORS_BUCKET,
            autonat: false,
            use_relays: false,
            hole_punching: false,
            ..Self::default()
        }
    }
}

/// Bounds of what a relay does for others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayService {
    /// Peers that may hold a reservation.
    pub reservations: usize,
    /// Relayed connections at once.
    pub circuits: usize,
    /// Of them, those to or from one peer.
    pub circuits_per_peer: usize,
    /// How long one may last.
    pub circuit_duration: Duration,
    /// What one may carry in each direction, in bytes.
    pub circuit_bytes: u64,
}

impl Default for RelayService {
    fn default() -> Self {
        Self {
            reservations: 128,
            circuits: 64,
            circuits_per_peer: 8,
            // What go-libp2p-daemon's relays allow, as far as a node's own traffic leaves it room.
            circuit_duration: Duration::from_secs(30 * 60),
            circuit_bytes: 64 * 1024 * 1024,
        }
    }
}

/// How others reach us, as far as it is known, and acted on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// Whether they can dial us directly.
    pub verdict: Verdict,
    /// Where.
    pub direct: Vec<Multiaddr>,
    /// Where they can do so through a relay.
    pub relayed: Vec<Multiaddr>,
}

impl Reach {
    /// Whether there is any address at which others can dial us.
    pub fn is_dialable(&self) -> bool {
        !(self.direct.is_empty() && self.relayed.is_empty())
    }

    /// Whether they need a relay to do so.
    pub fn is_relayed(&self) -> bool {
        self.direct.is_empty() && !self.relayed.is_empty()
    }
}

/// The same for people, and what was done for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachStatus {
    /// Whether others can dial us directly, as far as anybody has tried.
    pub verdict: Verdict,
    /// Relays at which we hold a reservation, by their peer ids in base58.
    pub relays: Vec<String>,
    /// Relays that could be asked.
    pub relays_known: usize,
    /// What happened so far.
    #[serde(flatten)]
    pub counters: Counters,
}

/// What happened so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Peers that dialled us when we asked them to.
    pub probes_reached: u64,
    /// Those that could not.
    pub probes_failed: u64,
    /// Times that what we announce has changed.
    pub address_changes: u64,
    /// Reservations that relays gave us.
    pub reservations: u64,
    /// Reservations that were refused or lost.
    pub reservations_lost: u64,
    /// Relayed connections that others opened to us.
    pub relayed_in: u64,
    /// Relayed connections that were replaced by a direct one.
    pub holes_punched: u64,
    /// Those where that did not work.
    pub holes_failed: u64,
    /// Reservations that we gave others, as a relay.
    pub reservations_given: u64,
    /// Connections that we relayed for others.
    pub circuits_relayed: u64,
    /// Reservations and connections that we refused others, as a relay.
    pub relay_refusals: u64,
}
