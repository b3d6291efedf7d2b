//! msgpack as hivemind writes it (`hivemind/utils/serializer.py`, `MSGPackSerializer`): bin and str are different
//! types, and two extensions carry Python types.
//!
//! - 0x40: a Python tuple, whose content is the msgpack array of its items;
//! - 0x50: `DictionaryDHTValue`, see [`crate::dht::dictionary`].
//!
//! Everything here that reads a peer's bytes is bounded: in depth by [`MAX_DEPTH`], in memory by the bytes given.

mod walk;

pub use rmpv::Value;
pub use walk::{WalkError, skip_value};

/// Extension type of a Python tuple.
pub const TUPLE_EXTENSION: i8 = 0x40;

/// Extension type of a hivemind `DictionaryDHTValue`.
pub const DICTIONARY_EXTENSION: i8 = 0x50;

/// How deeply values may nest. Petals' own records reach 4; Python's reader stops at 1024, and a value that only we
/// could read would help nobody.
pub const MAX_DEPTH: usize = 64;

/// A msgpack nil: the subkey that marks a plain value.
pub const NIL: [u8; 1] = [0xc0];

/// Why bytes are not one msgpack value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not well-formed, or nested too deeply.
    #[error("not a msgpack value: {0}")]
    Malformed(#[from] WalkError),
    /// Another value, or garbage, follows.
    #[error("{0} bytes follow the msgpack value")]
    Trailing(usize),
    /// Well-formed, but of another shape than its reader needs.
    #[error("expected {0}")]
    Shape(&'static str),
}

/// Writes `value` in its shortest form.
pub fn encode(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    #[expect(clippy::expect_used, reason = "writing to a Vec cannot fail")]
    rmpv::encode::write_value(&mut out, value).expect("a Vec takes every byte");
    out
}

/// Reads exactly one value. Memory is proportional to the number of elements, about 40 times `bytes` at the worst:
/// give it only what has passed a size limit.
pub fn decode(bytes: &[u8]) -> Result<Value, DecodeError> {
    let rest = skip_value(bytes)?;
    if !rest.is_empty() {
        return Err(DecodeError::Trailing(rest.len()));
    }
    let mut reader = bytes;
    // The walk above has checked structure and depth; the reader counts two levels for an extension or a string.
    rmpv::decode::read_value_with_max_depth(&mut reader, 2 * MAX_DEPTH + 2)
        .map_err(|_| DecodeError::Shape("a readable value"))
}

/// The Python tuple of `items`.
pub fn tuple(items: Vec<Value>) -> Value {
    Value::Ext(TUPLE_EXTENSION, encode(&Value::Array(items)))
}

/// The items of a Python tuple, or of an array, which Python readers take alike.
pub fn sequence(value: &Value) -> Result<Vec<Value>, DecodeError> {
    match value {
        Value::Array(items) => Ok(items.clone()),
        Value::Ext(TUPLE_EXTENSION, content) => match decode(content)? {
            Value::Array(items) => Ok(items),
            _ => Err(DecodeError::Shape("an array inside the tuple extension")),
        },
        _ => Err(DecodeError::Shape("a tuple or an array")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tuples_are_an_extension_around_an_array() {
        let bytes = encode(&tuple(vec![Value::from(1), Value::F64(2.5), Value::Nil]));
        assert_eq!(hex::encode(&bytes), "c70c409301cb4004000000000000c0");
        assert_eq!(sequence(&decode(&bytes).unwrap()).unwrap().len(), 3);
        assert_eq!(hex::encode(encode(&tuple(vec![]))), "d44090");
    }

    #[test]
    fn nesting_is_bounded_for_arrays_and_maps() {
        for open in [&[0x91][..], &[0x81, 0xc0][..]] {
            let nested = |depth: usize| [open.repeat(depth), vec![0xc0]].concat();
            assert!(decode(&nested(MAX_DEPTH - 1)).is_ok());
            assert_eq!(decode(&nested(MAX_DEPTH)), Err(DecodeError::Malformed(WalkError::TooDeep)));
            assert!(decode(&nested(1_000_000)).is_err());
        }
    }

    #[test]
    fn one_value_and_nothing_else() {
        assert_eq!(decode(&[0xc0, 0xc0]), Err(DecodeError::Trailing(1)));
        assert_eq!(decode(&[]), Err(DecodeError::Malformed(WalkError::Truncated)));
        assert_eq!(decode(&[0xc1]), Err(DecodeError::Malformed(WalkError::Reserved)));
    }
}
