//! What a Petals server puts into the DHT and says in `rpc_info`, as types that cannot hold what readers refuse.
//!
//! Readers are strict: petals parses with pydantic in strict mode (`petals/data_structures.py`), and the health
//! monitor stops for everyone at one bad record. So a value that exists here is one that they accept.

mod block;
mod model_info;
mod provider;
mod quantity;
mod rpc_info;
mod server_info;

pub use block::{BlockRange, BlockUid, DhtPrefix};
pub use model_info::{MODEL_INDEX_KEY, ModelInfo};
pub use provider::{provider_cid, provider_key};
pub use quantity::{NonNegative, Rps};
pub use rpc_info::{RPC_INFO_HANDLER, RpcInfo};
pub use server_info::{ServerInfo, ServerState};

/// Why something is not a record, a part of one, or a name in one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The prefix is empty or holds a character that separates uids.
    #[error("a dht_prefix is not empty and holds neither '.' nor white space, unlike {0:?}")]
    Prefix(String),
    /// The range holds no block.
    #[error("{0}:{1} is no range of blocks: the first must be below the end")]
    EmptyRange(u32, u32),
    /// Not of the form `first:end`.
    #[error("{0:?} is no range of blocks, which is written first:end, as in 0:8")]
    Range(String),
    /// Not of the form `<dht_prefix>.<block>`.
    #[error("{0:?} is no block uid, which is <dht_prefix>.<block>")]
    Uid(String),
    /// NaN, infinite or negative.
    #[error("{0} is not a finite number of at least 0")]
    Quantity(String),
    /// A model without blocks.
    #[error("a model has at least 1 block")]
    NoBlocks,
    /// Readable, but not the record that was expected.
    #[error("the record lacks {0}, or holds it in another type")]
    Field(&'static str),
    /// Not msgpack at all.
    #[error(transparent)]
    Encoding(#[from] crate::msgpack::DecodeError),
}
