//! A server's record as petals reads it, which is less strict than [`hivemind_proto::records::ServerInfo`], the type of
//! what we announce: a span may be absent or empty, and whoever reads it has to cope.
//!
//! Protocol facts: `petals/data_structures.py` (`ServerInfo.from_tuple`; pydantic 1 turns whole numbers into texts where
//! a text is expected, and a few words into a bool).

use std::collections::BTreeMap;

use hivemind_proto::{
    msgpack::{self, Value},
    records::{RecordError, ServerState},
};
use serde::{Deserialize, Serialize};

/// Largest record that is read. Petals' own have some hundred bytes, and 60 more for each peer that they ping.
pub const MOST_RECORD_BYTES: usize = 64 * 1024;

/// Texts are cut after so many bytes: a name is for people to read.
pub const MOST_TEXT_BYTES: usize = 512;

/// What a server says of itself. The names are petals' own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerRecord {
    /// How far it is.
    pub state: ServerState,
    /// Requests per second that it claims to serve, all in all.
    pub throughput: f64,
    /// Its first block, if it says so.
    pub start_block: Option<u64>,
    /// The block after its last, if it says so.
    pub end_block: Option<u64>,
    /// Its name for the map.
    pub public_name: Option<String>,
    /// Its software.
    pub version: Option<String>,
    /// Requests per second that its network would carry.
    pub network_rps: Option<f64>,
    /// Tokens per second in a forward pass.
    pub forward_rps: Option<f64>,
    /// Tokens per second in inference.
    pub inference_rps: Option<f64>,
    /// Names of adapters that it has loaded.
    pub adapters: Vec<String>,
    /// Type of the hidden states.
    pub torch_dtype: Option<String>,
    /// Type of the weights.
    pub quant_type: Option<String>,
    /// Whether it is reached through a relay.
    pub using_relay: Option<bool>,
    /// Free places in its attention cache, in tokens.
    pub cache_tokens_left: Option<u64>,
    /// Round trips to servers of the blocks that follow, in seconds, by peer id; `None` for one that did not answer.
    pub next_pings: Option<BTreeMap<String, Option<f64>>>,
}

impl ServerRecord {
    /// Reads a record as petals does, refusing what it refuses.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let items = msgpack::sequence(&msgpack::decode(bytes)?)?;
        let [state, throughput, rest @ ..] = &items[..] else {
            return Err(RecordError::Field("state and throughput"));
        };
        let details = match rest.first() {
            None => Details(&[]),
            Some(Value::Map(details)) if details.iter().all(|(key, _)| is_detail(key)) => Details(details),
            Some(_) => return Err(RecordError::Field("the map of details")),
        };
        Ok(Self {
            state: state_of(state).ok_or(RecordError::Field("state"))?,
            throughput: rps(throughput).ok_or(RecordError::Field("throughput"))?,
            start_block: details.read("start_block", Value::as_u64)?,
            end_block: details.read("end_block", Value::as_u64)?,
            public_name: details.read("public_name", text)?,
            version: details.read("version", text)?,
            network_rps: details.read("network_rps", rps)?,
            forward_rps: details.read("forward_rps", rps)?,
            inference_rps: details.read("inference_rps", rps)?,
            adapters: details.read("adapters", texts)?.unwrap_or_default(),
            torch_dtype: details.read("torch_dtype", text)?,
            quant_type: details.read("quant_type", text)?,
            using_relay: details.read("using_relay", flag)?,
            cache_tokens_left: details.read("cache_tokens_left", Value::as_u64)?,
            next_pings: details.read("next_pings", pings)?,
        })
    }
}

/// Python takes each as the name of an argument, of which `state` and `throughput` are taken already.
fn is_detail(key: &Value) -> bool {
    key.as_str().is_some_and(|key| key != "state" && key != "throughput")
}

/// The map at the end of the tuple; a field that is absent counts as nil.
struct Details<'a>(&'a [(Value, Value)]);

impl Details<'_> {
    fn read<T>(
        &self,
        name: &'static str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, RecordError> {
        // Of a name that stands there twice, Python's map keeps the last value.
        match self.0.iter().rev().find(|(key, _)| key.as_str() == Some(name)) {
            // To say nothing of its adapters a server writes an empty tuple: petals refuses nil there.
            Some((_, value)) if !value.is_nil() || name == "adapters" => {
                read(value).map(Some).ok_or(RecordError::Field(name))
            }
            _ => Ok(None),
        }
    }
}

fn state_of(value: &Value) -> Option<ServerState> {
    // Python compares by value: 2.0 and True are numbers, too.
    let code = match value {
        Value::F64(number) if number.fract() == 0.0 && (0.0..=2.0).contains(number) => *number as u64,
        Value::Boolean(flag) => u64::from(*flag),
        other => other.as_u64()?,
    };
    ServerState::from_code(code)
}

/// A finite double of at least 0; an int is refused.
fn rps(value: &Value) -> Option<f64> {
    match value {
        Value::F64(number) if number.is_finite() && *number >= 0.0 => Some(*number),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => text.as_str().map(cut),
        Value::Integer(number) => Some(number.to_string()),
        Value::Binary(bytes) => std::str::from_utf8(bytes).ok().map(cut),
        _ => None,
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(MOST_TEXT_BYTES)].to_owned()
}

fn texts(value: &Value) -> Option<Vec<String>> {
    msgpack::sequence(value).ok()?.iter().map(text).collect()
}

fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Boolean(flag) => Some(*flag),
        Value::Integer(number) => match number.as_u64()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        Value::String(word) => match word.as_str()?.to_lowercase().as_str() {
            "0" | "off" | "f" | "false" | "n" | "no" => Some(false),
            "1" | "on" | "t" | "true" | "y" | "yes" => Some(true),
            _ => None,
        },
        _ => None,
    }
}

fn pings(value: &Value) -> Option<BTreeMap<String, Option<f64>>> {
    let entry = |(peer, seconds): &(Value, Value)| match seconds {
        Value::F64(seconds) if *seconds >= 0.0 => {
            Some((text(peer)?, seconds.is_finite().then_some(*seconds)))
        }
        _ => None,
    };
    value.as_map()?.iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use hivemind_proto::records::{BlockRange, Rps, ServerInfo};

    use super::*;

    fn record(state: Value, throughput: Value, details: Vec<(Value, Value)>) -> Vec<u8> {
        msgpack::encode(&msgpack::tuple(vec![state, throughput, Value::Map(details)]))
    }

    fn with(name: &str, value: Value) -> Result<ServerRecord, RecordError> {
        ServerRecord::decode(&record(2.into(), 1.5.into(), vec![(name.into(), value)]))
    }

    #[test]
    fn what_we_announce_is_read_as_it_is() {
        let mut info = ServerInfo::new(
            ServerState::Joining,
            Rps::try_from(3.0).unwrap(),
            BlockRange::new(2, 8).unwrap(),
        );
        info.public_name = Some("a name".into());
        info.cache_tokens_left = Some(7);
        info.next_pings = Some([(libp2p::PeerId::random(), f64::INFINITY)].into());
        let read = ServerRecord::decode(&info.encode()).unwrap();
        assert_eq!((read.state, read.throughput), (ServerState::Joining, 3.0));
        assert_eq!((read.start_block, read.end_block, read.cache_tokens_left), (Some(2), Some(8), Some(7)));
        assert_eq!(read.public_name.as_deref(), Some("a name"));
        assert_eq!(read.next_pings.unwrap().into_values().collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn petals_is_lenient_where_python_is() {
        let read = ServerRecord::decode(&record(2.0.into(), 1.5.into(), vec![])).unwrap();
        assert_eq!((read.state, read.start_block, read.adapters.len()), (ServerState::Online, None, 0));
        assert_eq!(with("version", 7.into()).unwrap().version.as_deref(), Some("7"));
        assert_eq!(with("using_relay", "yes".into()).unwrap().using_relay, Some(true));
        assert_eq!(with("of the future", Value::Nil).unwrap().version, None);
    }

    #[test]
    fn what_petals_refuses_is_refused() {
        for (name, value) in [
            ("adapters", Value::Nil),
            ("adapters", "name".into()),
            ("start_block", (-1).into()),
            ("start_block", 1.0.into()),
            ("cache_tokens_left", true.into()),
            ("network_rps", 1.into()),
            ("forward_rps", f64::NAN.into()),
            ("inference_rps", f64::INFINITY.into()),
            ("next_pings", Value::Map(vec![("Qm1".into(), f64::NAN.into())])),
            ("state", 2.into()),
        ] {
            assert!(with(name, value.clone()).is_err(), "{name} = {value}");
        }
        for (state, throughput) in [
            (Value::from(3), Value::from(1.0)),
            (2.5.into(), 1.0.into()),
            ("ONLINE".into(), 1.0.into()),
            (2.into(), 1.into()),
            (2.into(), f64::NAN.into()),
            (2.into(), (-1.0).into()),
        ] {
            assert!(ServerRecord::decode(&record(state, throughput, vec![])).is_err());
        }
        for garbage in [&b""[..], b"\xc0", b"\x92\x02", b"\x91\x02", b"garbage"] {
            assert!(ServerRecord::decode(garbage).is_err());
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let name = with("public_name", "ö".repeat(MOST_TEXT_BYTES).as_str().into()).unwrap().public_name;
        assert_eq!(name.unwrap().len(), MOST_TEXT_BYTES);
    }
}
