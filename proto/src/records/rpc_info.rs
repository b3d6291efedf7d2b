//! What a server answers to `TransformerConnectionHandler.rpc_info`: a msgpack map (`petals/server/handler.py`).
//!
//! Petals gives version, dht_client_mode and cache_tokens_available. The other fields are ours; readers take fields
//! by name and pass over the rest.

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

impl RpcInfo {
    /// The content of `ExpertInfo.serialized_info`.
    pub fn encode(&self) -> Vec<u8> {
        let text = |text: &Option<String>| text.as_deref().map_or(Value::Nil, Value::from);
        let span = |range: &BlockRange| Value::Array(vec![range.start().into(), range.end().into()]);
        msgpack::encode(&Value::Map(vec![
            ("version".into(), self.version.as_str().into()),
            ("dht_client_mode".into(), self.dht_client_mode.into()),
            ("cache_tokens_available".into(), self.cache_tokens_available.into()),
            ("torch_dtype".into(), text(&self.torch_dtype)),
            ("spans".into(), Value::Array(self.spans.iter().map(span).collect())),
            ("public_name".into(), text(&self.public_name)),
            ("throughput".into(), Value::F64(self.throughput.get())),
            ("state".into(), self.state.code().into()),
        ]))
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
