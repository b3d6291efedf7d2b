//! What stands in the `subkeys` column of a store: the kind of value, or the subkey under which it goes into a
//! dictionary (`hivemind/dht/protocol.py`, `RESERVED_SUBKEYS`).
//!
//! A subkey is kept as msgpack, so that str, bin, int and tuple come back as what they were. Handing a str back as
//! bin once froze the public map: Python then compares str with bytes and raises.

use std::{fmt, sync::Arc};

use crate::msgpack::{self, DecodeError, Value};

/// Longest subkey in bytes. Peer ids take 54; hivemind's own protected subkeys, with an RSA key inside, about 500.
pub const MAX_SUBKEY_BYTES: usize = 1024;

/// A subkey in its shortest msgpack form, so that equal subkeys have equal bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subkey(Arc<[u8]>);

impl Subkey {
    /// The subkey that is this text, such as a peer id in base58.
    pub fn text(text: &str) -> Self {
        Self(msgpack::encode(&text.into()).into())
    }

    /// Reads a subkey from a peer: one msgpack value that Python can use as a key of a dict.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_SUBKEY_BYTES {
            return Err(DecodeError::Shape("a subkey of at most 1024 bytes"));
        }
        let value = msgpack::decode(bytes)?;
        if !is_hashable(&value) {
            return Err(DecodeError::Shape("a subkey that Python can hash"));
        }
        Ok(Self(msgpack::encode(&value).into()))
    }

    /// The msgpack form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, if the subkey is one.
    pub fn as_text(&self) -> Option<String> {
        msgpack::decode(&self.0).ok().and_then(|value| value.as_str().map(str::to_owned))
    }
}

/// Arrays and maps arrive in Python as lists and dicts, which no dict takes as keys.
fn is_hashable(value: &Value) -> bool {
    match value {
        Value::Array(_) | Value::Map(_) => false,
        Value::F64(number) => !number.is_nan(),
        Value::F32(number) => !number.is_nan(),
        Value::Ext(msgpack::TUPLE_EXTENSION, _) => {
            msgpack::sequence(value).is_ok_and(|items| items.iter().all(is_hashable))
        }
        Value::Ext(msgpack::DICTIONARY_EXTENSION, _) => false,
        _ => true,
    }
}

impl fmt::Debug for Subkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match msgpack::decode(&self.0) {
            Ok(value) => write!(f, "{value}"),
            Err(_) => f.write_str("?"),
        }
    }
}

/// The kind of a stored row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tag {
    /// One value under the key.
    Plain,
    /// The value is a whole dictionary: every subkey of it is stored.
    Dictionary,
    /// One entry of the key's dictionary.
    Subkey(Subkey),
}

impl Tag {
    /// Reads the column of a store request.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes {
            [] => Ok(Self::Dictionary),
            nil if nil == msgpack::NIL => Ok(Self::Plain),
            subkey => Subkey::decode(subkey).map(Self::Subkey),
        }
    }

    /// The column of a store request.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Dictionary => Vec::new(),
            Self::Plain => msgpack::NIL.to_vec(),
            Self::Subkey(subkey) => subkey.as_bytes().to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_survive() {
        for bytes in
            ["b2516d54686553657276657273506565724964", "c40161", "07", "d44090", "c7064092a16101c403"]
        {
            let bytes = hex::decode(bytes).unwrap();
            if let Ok(tag) = Tag::decode(&bytes) {
                assert_eq!(tag.encode(), bytes);
            }
        }
        assert_ne!(Tag::decode(b"\xa1a"), Tag::decode(b"\xc4\x01a"));
    }

    #[test]
    fn equal_subkeys_have_equal_bytes() {
        // "a" as fixstr and as str8; 7 as fixint and as uint16.
        assert_eq!(Subkey::decode(b"\xa1a"), Subkey::decode(b"\xd9\x01a"));
        assert_eq!(Subkey::decode(b"\x07"), Subkey::decode(b"\xcd\x00\x07"));
    }

    #[test]
    fn what_python_cannot_use_as_a_key_is_refused() {
        for bad in ["9101", "8101c0", "d4409101", "c70340919101", "cb7ff8000000000000", "c1", "a1", "c0c0"] {
            assert!(Subkey::decode(&hex::decode(bad).unwrap()).is_err(), "{bad}");
        }
        assert!(Subkey::decode(&msgpack::encode(&"x".repeat(MAX_SUBKEY_BYTES).as_str().into())).is_err());
    }
}
