//! `[network]`: the swarm, and how we take part in it.

use std::num::NonZeroU32;
use std::path::PathBuf;

use libp2p::Multiaddr;

use super::section::Section;
use super::values::{boolean, count, dialable_address, list, listen_address, path, peer_address, word};

/// How a node comes to its swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Swarm {
    /// It joins one through initial peers.
    Join,
    /// It may be the first of a new one.
    Seed,
}

const SWARM: &[(&str, Swarm)] = &[("join", Swarm::Join), ("seed", Swarm::Seed)];

/// `[network]`
#[derive(Debug, Clone)]
pub(crate) struct Network {
    /// Where we listen; a port may be 0.
    pub(crate) listen: Vec<Multiaddr>,
    /// Where others are told to find us; if empty, where we listen.
    pub(crate) announce: Vec<Multiaddr>,
    /// Whether we join a swarm or may begin one.
    pub(crate) swarm: Swarm,
    /// Peers to join through, each with its id.
    pub(crate) initial_peers: Vec<Multiaddr>,
    /// Whether loopback and private addresses are told to others and dialled.
    pub(crate) private_addresses: bool,
    /// The file that holds our key, if not the one in the data folder.
    pub(crate) identity: Option<PathBuf>,
    /// The most connections at a time, in both directions.
    pub(crate) max_connections: NonZeroU32,
    /// The most connections with one peer at a time.
    pub(crate) max_connections_per_peer: NonZeroU32,
}

impl Network {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let listen = section.take("listen", list(listen_address));
        let announce = section.take("announce", list(dialable_address));
        let swarm = section.take("swarm", word(SWARM));
        let initial_peers = section.take("initial_peers", list(peer_address));
        let private_addresses = section.take("private_addresses", boolean);
        let identity = section.optional("identity", path);
        let max_connections = section.take("max_connections", count);
        let max_connections_per_peer = section.take("max_connections_per_peer", count);

        if listen.as_ref().is_some_and(Vec::is_empty) {
            section.wrong(
                "listen",
                "is empty",
                "a node that nobody can dial is not visible: name an address",
            );
        }
        if swarm == Some(Swarm::Join) && initial_peers.as_ref().is_some_and(Vec::is_empty) {
            let remedy = r#"name a peer, or set network.swarm = "seed" to begin a swarm of your own"#;
            section.wrong("initial_peers", "is empty, so there is no swarm to join", remedy);
        }
        if let (Some(all), Some(one)) = (max_connections, max_connections_per_peer)
            && one > all
        {
            let what = format!("{one} is more than network.max_connections ({all}), so it never limits");
            section.wrong("max_connections_per_peer", what, "lower it");
        }
        Some(Self {
            listen: listen?,
            announce: announce?,
            swarm: swarm?,
            initial_peers: initial_peers?,
            private_addresses: private_addresses?,
            identity: identity?,
            max_connections: max_connections?,
            max_connections_per_peer: max_connections_per_peer?,
        })
    }
}
