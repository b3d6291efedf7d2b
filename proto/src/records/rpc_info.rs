//! What a server answers to `TransformerConnectionHandler.rpc_info`: a msgpack map (`petals/server/handler.py`).
//!
//! Petals gives version, dht_client_mode and cache_tokens_available. The other fields are ours; readers take fields
//! by name and pass over the rest.

use serde::Serialize;

use super::{BlockRange, RecordError, Rps, ServerState};
use crate::msgpack::{self, Value};

/// The handler's name on the wire.
pub const RPC_INFO_HANDLER: &str = "TransformerConnectionHandler.rpc_info";

/// The answer to `rpc_info`.
#[derive(Debug, Clone, PartialEq)]
pub struct RpcInfo {
    /// The server's software.
    pub version: String,
    /// Whether the server takes part in the DHT as a client only.
    pub dht_client_mode: bool,
    /// Free places in the attention cache, in tokens; 0 if there is none to offer.
    pub cache_tokens_available: u64,
    /// Type of the hidden states.
    pub torch_dtype: Option<String>,
    /// The blocks served, as pairs of first block and end.
    pub spans: Vec<BlockRange>,
    /// The server's name for the map.
    pub public_name: Option<String>,
    /// Requests per second that the server claims to serve.
    pub throughput: Rps,
    /// The state that is being announced.
    pub state: ServerState,
}

/// The answer's fields in the order in which they are written.
#[derive(Serialize)]
struct Wire<'a> {
    version: &'a str,
    dht_client_mode: bool,
    cache_tokens_available: u64,
    torch_dtype: Option<&'a str>,
    spans: Vec<(u32, u32)>,
    public_name: Option<&'a str>,
    throughput: f64,
    state: u8,
}

impl RpcInfo {
    /// The content of `ExpertInfo.serialized_info`.
    pub fn encode(&self) -> Vec<u8> {
        let wire = Wire {
            version: &self.version,
            dht_client_mode: self.dht_client_mode,
            cache_tokens_available: self.cache_tokens_available,
            torch_dtype: self.torch_dtype.as_deref(),
            spans: self.spans.iter().map(|span| (span.start(), span.end())).collect(),
            public_name: self.public_name.as_deref(),
            throughput: self.throughput.get(),
            state: self.state.code(),
        };
        #[expect(clippy::expect_used, reason = "strings, numbers and pairs always have a msgpack form")]
        rmp_serde::to_vec_named(&wire).expect("every field can be written")
    }

    /// The three fields that every Petals server gives, from anybody's answer: version, client mode, cache.
    pub fn decode_common(bytes: &[u8]) -> Result<(String, bool, u64), RecordError> {
        let Value::Map(fields) = msgpack::decode(bytes)? else { return Err(RecordError::Field("a map")) };
        let get = |name: &'static str| {
            let field = fields.iter().find(|(key, _)| key.as_str() == Some(name));
            field.map(|(_, value)| value).ok_or(RecordError::Field(name))
        };
        Ok((
            get("version")?.as_str().ok_or(RecordError::Field("version"))?.to_owned(),
            get("dht_client_mode")?.as_bool().ok_or(RecordError::Field("dht_client_mode"))?,
            get("cache_tokens_available")?.as_u64().ok_or(RecordError::Field("cache_tokens_available"))?,
        ))
    }
}
