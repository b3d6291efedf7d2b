//! The three calls of the DHT between their protobuf form and ours (`hivemind/dht/protocol.py`, `DHTProtocol`).
//!
//! What a request needs to be understood at all is checked here, and its error is what the caller is told. What only
//! spoils one row of a store is left to the storage, which refuses that row.

use std::sync::Arc;

use libp2p::PeerId;
use prost::Message;

use super::{Contact, DhtId, answer};
use crate::messages::hivemind as pb;

/// Handler name of [`Request::Ping`].
pub const PING_HANDLER: &str = "DHTProtocol.rpc_ping";
/// Handler name of [`Request::Store`].
pub const STORE_HANDLER: &str = "DHTProtocol.rpc_store";
/// Handler name of [`Request::Find`].
pub const FIND_HANDLER: &str = "DHTProtocol.rpc_find";

/// Keys in one find. Hivemind asks for 16 at most; each costs an answer of about 1 KB in neighbours alone.
pub const MAX_KEYS_PER_FIND: usize = 1024;

/// Rows in one store. Replication to a new node sends all that it should hold in one call.
pub const MAX_ROWS_PER_STORE: usize = 50_000;

/// Neighbours read from one result; hivemind sends 20.
pub const MAX_NEIGHBOURS: usize = 64;

/// A call between nodes of the DHT.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Are you there, and, if `validate`, can you call me back?
    Ping {
        /// The caller's node id; `None` for a client.
        sender: Option<DhtId>,
        /// Whether the answerer is to call back before it answers.
        validate: bool,
    },
    /// Hold these values.
    Store {
        /// The caller's node id; `None` for a client.
        sender: Option<DhtId>,
        /// What to hold.
        rows: Vec<Row>,
    },
    /// What do you hold under these keys, and who is nearer to them?
    Find {
        /// The caller's node id; `None` for a client.
        sender: Option<DhtId>,
        /// The keys.
        keys: Vec<DhtId>,
    },
}

/// One row of a store, as it came: nothing in it has been checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The key's id; valid ones have 20 bytes.
    pub key: Vec<u8>,
    /// The kind of value, see [`super::Tag`].
    pub tag: Vec<u8>,
    /// The value's msgpack form.
    pub value: Arc<[u8]>,
    /// Unix seconds, perhaps not finite.
    pub expiration: f64,
    /// Whether it may be evicted before it expires.
    pub in_cache: bool,
}

/// The answer to a [`Request`].
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// To a ping.
    Ping {
        /// The answerer's node id; `None` for a client.
        sender: Option<DhtId>,
        /// The answerer's clock in Unix seconds; `None` if it does not tell, or tells nonsense.
        time: Option<crate::time::DhtTime>,
        /// Whether the answerer could call back.
        available: bool,
    },
    /// To a store: for each row, whether it is held now.
    Store {
        /// The answerer's node id; `None` for a client.
        sender: Option<DhtId>,
        /// One for each row.
        stored: Vec<bool>,
    },
    /// To a find: a result for each key.
    Find {
        /// The answerer's node id; `None` for a client.
        sender: Option<DhtId>,
        /// One for each key.
        results: Vec<FindResult>,
    },
}

/// What a node knows of one key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FindResult {
    /// The value that it holds.
    pub value: Option<FoundValue>,
    /// The nodes nearest to the key that it knows, nearest first.
    pub neighbours: Vec<Contact>,
}

/// A value as it came from a peer: nothing in it has been checked.
#[derive(Debug, Clone, PartialEq)]
pub enum FoundValue {
    /// One value and its expiration in Unix seconds.
    Plain(Vec<u8>, f64),
    /// A dictionary in its wire form.
    Dictionary(Vec<u8>, f64),
}

/// Why bytes are not a call or an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Not the protobuf message that the handler takes.
    #[error("not a valid message: {0}")]
    Protobuf(String),
    /// The columns of a store, or results and keys of a find, are of different lengths.
    #[error("{0} are of different lengths")]
    Misaligned(&'static str),
    /// More items than one call may carry.
    #[error("more than {0} items in one call")]
    TooMany(usize),
    /// A key that is not 20 bytes long.
    #[error("a key has {0} bytes instead of 20")]
    KeyLength(usize),
    /// No such handler.
    #[error("no handler {0:?}")]
    UnknownHandler(String),
}

impl From<prost::DecodeError> for WireError {
    fn from(error: prost::DecodeError) -> Self {
        Self::Protobuf(error.to_string())
    }
}

/// A node info that cannot be a node's, empty or of a wrong length, is a client's.
fn sender_of(info: Option<pb::NodeInfo>) -> Option<DhtId> {
    info.and_then(|info| DhtId::from_bytes(&info.node_id))
}

/// Clients send a node info without an id, as the original does.
fn node_info(sender: Option<DhtId>) -> Option<pb::NodeInfo> {
    Some(pb::NodeInfo { node_id: sender.map(|id| id.as_bytes().to_vec()).unwrap_or_default() })
}

impl Request {
    /// The handler that takes it.
    pub fn handler(&self) -> &'static str {
        match self {
            Self::Ping { .. } => PING_HANDLER,
            Self::Store { .. } => STORE_HANDLER,
            Self::Find { .. } => FIND_HANDLER,
        }
    }

    /// The message for that handler.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Ping { sender, validate } => {
                pb::PingRequest { auth: None, peer: node_info(*sender), validate: *validate }.encode_to_vec()
            }
            Self::Store { sender, rows } => pb::StoreRequest {
                auth: None,
                keys: rows.iter().map(|row| row.key.clone()).collect(),
                subkeys: rows.iter().map(|row| row.tag.clone()).collect(),
                values: rows.iter().map(|row| row.value.to_vec()).collect(),
                expiration_time: rows.iter().map(|row| row.expiration).collect(),
                in_cache: rows.iter().map(|row| row.in_cache).collect(),
                peer: node_info(*sender),
            }
            .encode_to_vec(),
            Self::Find { sender, keys } => pb::FindRequest {
                auth: None,
                keys: keys.iter().map(|key| key.as_bytes().to_vec()).collect(),
                peer: node_info(*sender),
            }
            .encode_to_vec(),
        }
    }

    /// Reads the message that came for `handler`.
    pub fn decode(handler: &str, bytes: &[u8]) -> Result<Self, WireError> {
        match handler {
            PING_HANDLER => {
                let request = pb::PingRequest::decode(bytes)?;
                Ok(Self::Ping { sender: sender_of(request.peer), validate: request.validate })
            }
            STORE_HANDLER => {
                let request = pb::StoreRequest::decode(bytes)?;
                Ok(Self::Store { sender: sender_of(request.peer.clone()), rows: rows(request)? })
            }
            FIND_HANDLER => {
                let request = pb::FindRequest::decode(bytes)?;
                if request.keys.len() > MAX_KEYS_PER_FIND {
                    return Err(WireError::TooMany(MAX_KEYS_PER_FIND));
                }
                let key = |key: &Vec<u8>| DhtId::from_bytes(key).ok_or(WireError::KeyLength(key.len()));
                let keys = request.keys.iter().map(key).collect::<Result<_, _>>()?;
                Ok(Self::Find { sender: sender_of(request.peer), keys })
            }
            other => Err(WireError::UnknownHandler(other.to_owned())),
        }
    }

    /// The caller's node id; `None` for a client.
    pub fn sender(&self) -> Option<DhtId> {
        match self {
            Self::Ping { sender, .. } | Self::Store { sender, .. } | Self::Find { sender, .. } => *sender,
        }
    }
}

fn rows(request: pb::StoreRequest) -> Result<Vec<Row>, WireError> {
    let count = request.keys.len();
    if count > MAX_ROWS_PER_STORE {
        return Err(WireError::TooMany(MAX_ROWS_PER_STORE));
    }
    let columns =
        [request.subkeys.len(), request.values.len(), request.expiration_time.len(), request.in_cache.len()];
    if columns.iter().any(|column| *column != count) {
        return Err(WireError::Misaligned("keys, subkeys, values, expirations and cache flags"));
    }
    let columns = request.keys.into_iter().zip(request.subkeys).zip(request.values);
    let columns = columns.zip(request.expiration_time).zip(request.in_cache);
    let row = |((((key, tag), value), expiration), in_cache): ((((_, _), Vec<u8>), _), _)| Row {
        key,
        tag,
        value: value.into(),
        expiration,
        in_cache,
    };
    Ok(columns.map(row).collect())
}

impl Response {
    /// The message that answers the call.
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Ping { sender, time, available } => pb::PingResponse {
                auth: None,
                peer: node_info(sender),
                dht_time: time.map(|time| time.as_unix()).unwrap_or_default(),
                available,
            }
            .encode_to_vec(),
            Self::Store { sender, stored } => {
                pb::StoreResponse { auth: None, store_ok: stored, peer: node_info(sender) }.encode_to_vec()
            }
            Self::Find { sender, results } => answer::encode(sender, &results),
        }
    }

    /// Reads the answer to `request`, which it has to match.
    pub fn decode(request: &Request, bytes: &[u8]) -> Result<Self, WireError> {
        match request {
            Request::Ping { .. } => {
                let response = pb::PingResponse::decode(bytes)?;
                // 0 is protobuf's default, and therefore "not told".
                let time = crate::time::DhtTime::from_unix(response.dht_time).filter(|t| t.as_unix() != 0.0);
                Ok(Self::Ping { sender: sender_of(response.peer), time, available: response.available })
            }
            Request::Store { rows, .. } => {
                let response = pb::StoreResponse::decode(bytes)?;
                if response.store_ok.len() != rows.len() {
                    return Err(WireError::Misaligned("the rows of a store and their outcomes"));
                }
                Ok(Self::Store { sender: sender_of(response.peer), stored: response.store_ok })
            }
            Request::Find { keys, .. } => {
                let response = pb::FindResponse::decode(bytes)?;
                if response.results.len() != keys.len() {
                    return Err(WireError::Misaligned("the keys of a find and their results"));
                }
                let results = response.results.into_iter().map(FindResult::from_message).collect();
                Ok(Self::Find { sender: sender_of(response.peer), results })
            }
        }
    }

    /// The answerer's node id; `None` for a client.
    pub fn sender(&self) -> Option<DhtId> {
        match self {
            Self::Ping { sender, .. } | Self::Store { sender, .. } | Self::Find { sender, .. } => *sender,
        }
    }
}

impl FindResult {
    /// A neighbour whose node id or peer id is malformed is passed over, and an unknown type is nothing found.
    fn from_message(message: pb::FindResult) -> Self {
        let value = match pb::ResultType::try_from(message.r#type) {
            Ok(pb::ResultType::FoundRegular) => {
                Some(FoundValue::Plain(message.value, message.expiration_time))
            }
            Ok(pb::ResultType::FoundDictionary) => {
                Some(FoundValue::Dictionary(message.value, message.expiration_time))
            }
            Ok(pb::ResultType::NotFound) | Err(_) => None,
        };
        let neighbours = message.nearest_node_ids.iter().zip(&message.nearest_peer_ids).take(MAX_NEIGHBOURS);
        let contact = |(id, peer): (&Vec<u8>, &Vec<u8>)| {
            Some(Contact { id: DhtId::from_bytes(id)?, peer: PeerId::from_bytes(peer).ok()? })
        };
        Self { value, neighbours: neighbours.filter_map(contact).collect() }
    }
}
