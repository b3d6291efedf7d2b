//! hivemind's DHT as data: feed it requests, answers and the time; it gives back calls to make and answers to send.
//!
//! It is a Kademlia of its own, quite apart from libp2p's (`hivemind/dht/`). All records that Petals reads live here.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`id`] | places in the key space |
//! | [`subkey`], [`dictionary`] | keys within keys, and their wire form |
//! | [`storage`] | what a node holds for others |
//! | [`routing`] | who else is there |
//! | [`validators`] | what makes a record acceptable beyond its form |
//! | [`wire`] | the three calls |
//! | [`lookup`] | searches towards many keys at once |
//! | [`sweep`] | a search for all keys of a swarm at once |
//! | [`replication`] | storing many records at the nodes nearest to them |
//! | [`node`] | all of it together, driven from outside |

mod answer;
mod blacklist;
pub mod dictionary;
mod hearsay;
pub mod id;
mod item;
pub mod lookup;
pub mod node;
mod refusal;
pub mod replication;
pub mod routing;
mod search;
pub mod storage;
pub mod subkey;
pub mod sweep;
pub mod validators;
mod value;
pub mod wire;

pub use id::DhtId;
pub use item::{Dictionary, Item};
pub use lookup::{Found, FreshValue};
pub use node::{
    Acceptance, Caching, CallFailure, CallId, Counters, Effect, InboundId, Node, Outcome, Pong, Settings,
    TaskId,
};
pub use refusal::{Refusal, Refusals};
pub use replication::{REPLICAS, Record, RecordOutcome, StoreReport};
pub use routing::{Contact, RoutingTable};
pub use storage::{Held, Storage};
pub use subkey::{Subkey, Tag};
pub use wire::{
    FIND_HANDLER, FindResult, FoundValue, PING_HANDLER, Request, Response, Row, STORE_HANDLER, WireError,
};
