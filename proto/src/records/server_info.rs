//! What a server says of itself in each block's record: key `<dht_prefix>.<block>`, subkey its peer id in base58,
//! value the tuple (state, throughput, map) (`petals/data_structures.py`, `ServerInfo.to_tuple`).

use std::collections::BTreeMap;

use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::{BlockRange, NonNegative, RecordError, Rps};
use crate::msgpack::{self, Value};

/// How far a server is. On the wire an int; nothing else is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// It has left, or is about to.
    Offline = 0,
    /// It will serve soon: weights are being loaded, or nothing has confirmed yet that it works.
    Joining = 1,
    /// It serves.
    Online = 2,
}

impl ServerState {
    /// The number on the wire.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The state behind a number on the wire.
    pub fn from_code(code: u64) -> Option<Self> {
        [Self::Offline, Self::Joining, Self::Online].into_iter().find(|state| u64::from(state.code()) == code)
    }
}

/// One server's announcement. Every field's type is one that readers accept, so any value of this type is a valid
/// record; `None` is written as nil, as petals writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerInfo {
    /// How far the server is.
    pub state: ServerState,
    /// Requests per second that the server claims to serve, all in all.
    pub throughput: Rps,
    /// The blocks that it serves.
    pub blocks: BlockRange,
    /// A name for the map, shown for servers of at least 10 blocks.
    pub public_name: Option<String>,
    /// The server's software.
    pub version: Option<String>,
    /// Requests per second that its network would carry.
    pub network_rps: Option<Rps>,
    /// Tokens per second in a forward pass.
    pub forward_rps: Option<Rps>,
    /// Tokens per second in inference.
    pub inference_rps: Option<Rps>,
    /// Names of adapters that it has loaded.
    pub adapters: Vec<String>,
    /// Type of the hidden states, such as `bfloat16`.
    pub torch_dtype: Option<String>,
    /// Type of the weights, such as `nf4`.
    pub quant_type: Option<String>,
    /// Whether others reach it through a relay.
    pub using_relay: Option<bool>,
    /// Free places in its attention cache, in tokens.
    pub cache_tokens_left: Option<u64>,
    /// Round trips to servers of the blocks that follow, in seconds; +inf for one that did not answer, as petals
    /// writes it.
    pub next_pings: Option<BTreeMap<PeerId, f64>>,
}

impl ServerInfo {
    /// A server of `blocks` that says nothing else of itself.
    pub fn new(state: ServerState, throughput: Rps, blocks: BlockRange) -> Self {
        Self {
            state,
            throughput,
            blocks,
            public_name: None,
            version: None,
            network_rps: None,
            forward_rps: None,
            inference_rps: None,
            adapters: Vec::new(),
            torch_dtype: None,
            quant_type: None,
            using_relay: None,
            cache_tokens_left: None,
            next_pings: None,
        }
    }

    /// The record's bytes: one and the same for all blocks of the server.
    pub fn encode(&self) -> Vec<u8> {
        let text = |text: &Option<String>| text.as_deref().map_or(Value::Nil, Value::from);
        let rps = |rps: Option<NonNegative>| rps.map_or(Value::Nil, |rps| Value::F64(rps.get()));
        let pings = self.next_pings.as_ref().map_or(Value::Nil, |pings| {
            // pydantic refuses NaN and negative round trips: they are left out.
            let sane = pings.iter().filter(|(_, seconds)| **seconds >= 0.0);
            Value::Map(sane.map(|(peer, seconds)| (peer.to_base58().into(), Value::F64(*seconds))).collect())
        });
        let details = Value::Map(vec![
            ("start_block".into(), self.blocks.start().into()),
            ("end_block".into(), self.blocks.end().into()),
            ("public_name".into(), text(&self.public_name)),
            ("version".into(), text(&self.version)),
            ("network_rps".into(), rps(self.network_rps)),
            ("forward_rps".into(), rps(self.forward_rps)),
            ("inference_rps".into(), rps(self.inference_rps)),
            ("adapters".into(), adapters(&self.adapters)),
            ("torch_dtype".into(), text(&self.torch_dtype)),
            ("quant_type".into(), text(&self.quant_type)),
            ("using_relay".into(), self.using_relay.map_or(Value::Nil, Value::from)),
            ("cache_tokens_left".into(), self.cache_tokens_left.map_or(Value::Nil, Value::from)),
            ("next_pings".into(), pings),
        ]);
        let throughput = Value::F64(self.throughput.get());
        msgpack::encode(&msgpack::tuple(vec![self.state.code().into(), throughput, details]))
    }

    /// Reads a record as petals would, refusing what it refuses. Unknown fields are passed over.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let items = msgpack::sequence(&msgpack::decode(bytes)?)?;
        let [state, throughput, rest @ ..] = &items[..] else {
            return Err(RecordError::Field("state and throughput"));
        };
        let state = state.as_u64().and_then(ServerState::from_code).ok_or(RecordError::Field("state"))?;
        let details = match rest.first() {
            Some(Value::Map(details)) => Details(details),
            _ => return Err(RecordError::Field("the map of details")),
        };
        let block =
            |name| details.number(name)?.and_then(|n| u32::try_from(n).ok()).ok_or(RecordError::Field(name));
        Ok(Self {
            state,
            throughput: quantity(throughput, "throughput")?,
            blocks: BlockRange::new(block("start_block")?, block("end_block")?)?,
            public_name: details.text("public_name")?,
            version: details.text("version")?,
            network_rps: details.rps("network_rps")?,
            forward_rps: details.rps("forward_rps")?,
            inference_rps: details.rps("inference_rps")?,
            adapters: details.adapters()?,
            torch_dtype: details.text("torch_dtype")?,
            quant_type: details.text("quant_type")?,
            using_relay: match details.get("using_relay") {
                None => None,
                Some(flag) => Some(flag.as_bool().ok_or(RecordError::Field("using_relay"))?),
            },
            cache_tokens_left: details.number("cache_tokens_left")?,
            next_pings: details.next_pings()?,
        })
    }
}

/// petals writes the default, no adapters, as an empty tuple and a list from its command line as an array.
fn adapters(names: &[String]) -> Value {
    match names {
        [] => msgpack::tuple(Vec::new()),
        names => Value::Array(names.iter().map(|name| name.as_str().into()).collect()),
    }
}

fn quantity(value: &Value, name: &'static str) -> Result<NonNegative, RecordError> {
    match value {
        Value::F64(number) => NonNegative::try_from(*number),
        _ => Err(RecordError::Field(name)),
    }
}

/// The map at the end of the tuple; a field that is absent counts as nil.
struct Details<'a>(&'a [(Value, Value)]);

impl Details<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0
            .iter()
            .find(|(key, _)| key.as_str() == Some(name))
            .map(|(_, value)| value)
            .filter(|v| !v.is_nil())
    }

    fn text(&self, name: &'static str) -> Result<Option<String>, RecordError> {
        self.get(name).map(|v| v.as_str().map(str::to_owned).ok_or(RecordError::Field(name))).transpose()
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, RecordError> {
        self.get(name).map(|v| v.as_u64().ok_or(RecordError::Field(name))).transpose()
    }

    fn rps(&self, name: &'static str) -> Result<Option<Rps>, RecordError> {
        self.get(name).map(|v| quantity(v, name)).transpose()
    }

    fn adapters(&self) -> Result<Vec<String>, RecordError> {
        let Some(value) = self.get("adapters") else { return Ok(Vec::new()) };
        let names = msgpack::sequence(value)?;
        names.iter().map(|n| n.as_str().map(str::to_owned).ok_or(RecordError::Field("adapters"))).collect()
    }

    fn next_pings(&self) -> Result<Option<BTreeMap<PeerId, f64>>, RecordError> {
        let bad = || RecordError::Field("next_pings");
        let Some(value) = self.get("next_pings") else { return Ok(None) };
        let entry = |(peer, seconds): &(Value, Value)| {
            let peer = peer.as_str().and_then(|peer| peer.parse().ok()).ok_or_else(bad)?;
            match seconds {
                Value::F64(seconds) if *seconds >= 0.0 => Ok((peer, *seconds)),
                _ => Err(bad()),
            }
        };
        value.as_map().ok_or_else(bad)?.iter().map(entry).collect::<Result<_, _>>().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info() -> ServerInfo {
        ServerInfo::new(ServerState::Online, Rps::try_from(3.0).unwrap(), BlockRange::new(0, 8).unwrap())
    }

    fn with(name: &str, value: Value) -> Vec<u8> {
        let Value::Ext(_, content) = msgpack::decode(&info().encode()).unwrap() else { unreachable!() };
        let Value::Array(mut items) = msgpack::decode(&content).unwrap() else { unreachable!() };
        match (name, &mut items[2]) {
            ("state", _) => items[0] = value,
            ("throughput", _) => items[1] = value,
            (name, Value::Map(details)) => {
                match details.iter_mut().find(|(key, _)| key.as_str() == Some(name)) {
                    Some(entry) => entry.1 = value,
                    None => details.push((name.into(), value)),
                }
            }
            _ => unreachable!(),
        }
        msgpack::encode(&msgpack::tuple(items))
    }

    #[test]
    fn whole_numbers_stay_doubles() {
        // cb is msgpack's double: a throughput of 3 as an int would be refused.
        assert!(hex::encode(info().encode()).contains("9302cb4008000000000000"));
    }

    #[test]
    fn what_pydantic_refuses_is_refused() {
        for (name, value) in [
            ("state", Value::from(3)),
            ("state", Value::F64(2.0)),
            ("throughput", Value::from(3)),
            ("throughput", Value::F64(f64::NAN)),
            ("throughput", Value::F64(f64::INFINITY)),
            ("throughput", Value::F64(-1.0)),
            ("start_block", Value::from(-1)),
            ("end_block", Value::from(0)),
            ("network_rps", Value::from(1)),
            ("cache_tokens_left", Value::F64(1.0)),
            ("next_pings", Value::Map(vec![("Qm1".into(), Value::F64(1.0))])),
            ("adapters", "name".into()),
            ("public_name", Value::from(7)),
        ] {
            assert!(ServerInfo::decode(&with(name, value.clone())).is_err(), "{name} = {value}");
        }
        assert_eq!(ServerInfo::decode(&with("of the future", Value::from(1))), Ok(info()));
    }

    #[test]
    fn adapters_are_written_as_petals_writes_them() {
        let mut info = info();
        assert!(hex::encode(info.encode()).contains(&format!("{}d44090", hex::encode("adapters"))));
        info.adapters = vec!["org/lora".into()];
        assert!(hex::encode(info.encode()).contains(&format!("{}91a8", hex::encode("adapters"))));
        assert_eq!(ServerInfo::decode(&info.encode()), Ok(info));
    }
}
