//! What other actors ask of the dht actor.

use std::collections::HashMap;

use actix::Message;
use hivemind_proto::dht::{CallFailure, Contact, DhtId, Found, Pong, Record, StoreReport};
use libp2p::PeerId;

use super::KnownNodes;
use crate::clock::SwarmClock;

/// The actor was restarted while it worked on the request: what came of it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the dht actor was restarted")]
pub struct Restarted;

/// Takes part as a client from now on, whom nobody lists, or as a node like others. A node that cannot be dialled
/// directly is a client: petals does the same with servers behind relays (`petals/server/server.py`, `client_mode`).
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct TakePart {
    /// As a client.
    pub as_client: bool,
}

/// Asks a peer who it is, and puts it into the table if it answers.
#[derive(Debug, Message)]
#[rtype(result = "Result<Pong, CallFailure>")]
pub struct Ping {
    /// Whom to ask.
    pub peer: PeerId,
    /// Whether it is to call us back before it answers; then it lists us to others.
    pub validate: bool,
}

/// Searches for keys: the freshest value of each, and the nodes nearest to it.
#[derive(Debug, Message)]
#[rtype(result = "Result<HashMap<DhtId, Found>, Restarted>")]
pub struct Lookup {
    /// The keys.
    pub keys: Vec<DhtId>,
}

/// Asks for values that are alive: what we hold or have cached is good enough, and otherwise the first that is found.
/// Of keys that need no search, no nearest nodes are told.
#[derive(Debug, Message)]
#[rtype(result = "Result<HashMap<DhtId, Found>, Restarted>")]
pub struct Get {
    /// The keys.
    pub keys: Vec<DhtId>,
}

/// A search like [`Lookup`], but it begins with one node and with nothing else that we know: what is found is what that node
/// leads to.
#[derive(Debug, Message)]
#[rtype(result = "Result<HashMap<DhtId, Found>, Restarted>")]
pub struct LookupThrough {
    /// The node to begin with.
    pub first: Contact,
    /// The keys.
    pub keys: Vec<DhtId>,
}

/// The nodes of the table: each answered or called us not long ago, and has not failed since.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Contact>")]
pub struct Members {
    /// The most that are wanted: those nearest to us.
    pub most: usize,
}

/// Stores records at the nodes nearest to their keys.
#[derive(Debug, Message)]
#[rtype(result = "Result<StoreReport, Restarted>")]
pub struct Store {
    /// What to store.
    pub records: Vec<Record>,
}

/// Who we are in the DHT, and how many others we know.
#[derive(Debug, Message)]
#[rtype(result = "Member")]
pub struct Membership;

/// The answer to [`Membership`].
#[derive(Debug, Clone)]
pub struct Member {
    /// Our own place.
    pub id: DhtId,
    /// How many other nodes are known, whenever that changes.
    pub known: KnownNodes,
    /// The time that the swarm goes by. Expirations are reckoned in it.
    pub clock: SwarmClock,
}
