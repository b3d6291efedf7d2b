//! What other actors say to the network and hear from it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use futures::channel::oneshot;
use hivemind_proto::unary::{Counters, Latency, OutboundCall};
use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};

use super::{limits::Refusals, reach::ReachStatus};

/// What the network is asked to do. Dropping the receiver of a reply cancels the request.
#[derive(Debug)]
pub enum Command {
    /// Call a handler of `peer`, connecting first if need be.
    Call {
        /// Who is called.
        peer: PeerId,
        /// What is called, and where the answer goes.
        call: OutboundCall,
    },
    /// Be connected to `peer`.
    Connect {
        /// Who.
        peer: PeerId,
        /// Where the peer may be; what is known of it besides is tried as well.
        addresses: Vec<Multiaddr>,
        /// How long the asker waits.
        deadline: Duration,
        /// Where the outcome goes.
        reply: oneshot::Sender<Result<(), ConnectError>>,
    },
    /// Close all connections to `peer`.
    HangUp {
        /// Who is left.
        peer: PeerId,
    },
    /// Tell where connected peers are.
    Addresses {
        /// Who is asked about.
        peers: Vec<PeerId>,
        /// Where the answer goes.
        reply: oneshot::Sender<PeerAddresses>,
    },
    /// Tell how things are.
    Status {
        /// Where the status goes.
        reply: oneshot::Sender<NetworkStatus>,
    },
}

/// Where peers are, as far as we know from them: the address at which we dialled, first, then those that they told.
/// Only those peers that are connected, and only addresses that may be dialled.
pub type PeerAddresses = HashMap<PeerId, Vec<Multiaddr>>;

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// No address of the peer is known, or none of them answers.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// It took too long.
    #[error("not connected in time")]
    Deadline,
    /// Too many connections are being made.
    #[error("too many connections are being made")]
    Busy,
}

/// What happens in the network. A receiver that is too slow misses events, and is told so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkEvent {
    /// The first connection to a peer is there.
    Connected(PeerId),
    /// The last connection to a peer is gone.
    Disconnected(PeerId),
    /// A peer said who it is.
    Identified {
        /// The peer.
        peer: PeerId,
        /// Its program, such as `p2pd/0.1`.
        agent: String,
        /// Whether it serves libp2p's Kademlia, so that it can be found, and be asked.
        kad: bool,
    },
    /// We listen here.
    ListenAddr(Multiaddr),
    /// We do not listen here any more.
    ListenAddrGone(Multiaddr),
}

/// How the network is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// Our peer id, in base58.
    pub peer_id: String,
    /// Where we listen.
    pub listening: Vec<String>,
    /// What we tell others about where we are.
    pub announced: Vec<String>,
    /// How others reach us, as far as anybody has tried.
    pub reach: ReachStatus,
    /// How many peers are connected.
    pub connected_peers: usize,
    /// How many connections there are to them.
    pub connections: u32,
    /// Those that others opened.
    pub connections_inbound: u32,
    /// Those that we opened.
    pub connections_outbound: u32,
    /// Connections that were turned away, or closed for others.
    pub refusals: Refusals,
    /// How many peers run which program: `p2pd` is what Python's hivemind runs, `petald` our like, `other` something
    /// else, and `unknown` what has not said yet.
    pub programs: BTreeMap<String, usize>,
    /// The first of the connected peers.
    pub peers: Vec<PeerStatus>,
    /// How many peers are in libp2p's Kademlia table.
    pub kad_peers: usize,
    /// How many peers are being connected to.
    pub connecting: usize,
    /// How many calls and others wait for those connections.
    pub waiting: usize,
    /// How many FIND_NODE lookups run.
    pub lookups: usize,
    /// What happened to unary calls so far.
    pub calls: Counters,
    /// How long calls of others took, by method.
    pub inbound: BTreeMap<String, Latency>,
    /// How long our calls took, by method.
    pub outbound: BTreeMap<String, Latency>,
}

/// A connected peer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its peer id, in base58.
    pub peer_id: String,
    /// Its program, once it has said so.
    pub agent: Option<String>,
    /// Whether it serves libp2p's Kademlia.
    pub kad: bool,
}
