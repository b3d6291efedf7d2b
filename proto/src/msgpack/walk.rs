//! Walks over a msgpack value without building it: finds its end, checks that it is well-formed, allocates nothing.

use rmp::Marker;

use super::MAX_DEPTH;

/// Why bytes do not begin with a msgpack value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WalkError {
    /// The value is longer than the bytes at hand.
    #[error("it ends too early")]
    Truncated,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("it nests deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// The byte C1, which msgpack never uses.
    #[error("it holds the reserved byte C1")]
    Reserved,
    /// A str that is not UTF-8: Python's reader raises on it.
    #[error("a string is not UTF-8")]
    NotText,
}

/// The bytes after the first value in `bytes`.
///
/// The time is linear in the bytes that the value takes: an array that claims a million items fails as soon as the
/// bytes run out.
pub fn skip_value(bytes: &[u8]) -> Result<&[u8], WalkError> {
    skip(bytes, MAX_DEPTH)
}

fn skip(bytes: &[u8], depth: usize) -> Result<&[u8], WalkError> {
    let depth = depth.checked_sub(1).ok_or(WalkError::TooDeep)?;
    let (marker, rest) = bytes.split_first().ok_or(WalkError::Truncated)?;
    match Marker::from_u8(*marker) {
        Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => Ok(rest),
        Marker::U8 | Marker::I8 => take(rest, 1),
        Marker::U16 | Marker::I16 => take(rest, 2),
        Marker::U32 | Marker::I32 | Marker::F32 => take(rest, 4),
        Marker::U64 | Marker::I64 | Marker::F64 => take(rest, 8),
        Marker::FixStr(len) => text(rest, usize::from(len)),
        Marker::Str8 => sized(rest, 1, text),
        Marker::Str16 => sized(rest, 2, text),
        Marker::Str32 => sized(rest, 4, text),
        Marker::Bin8 => sized(rest, 1, take),
        Marker::Bin16 => sized(rest, 2, take),
        Marker::Bin32 => sized(rest, 4, take),
        Marker::FixArray(len) => items(rest, usize::from(len), depth),
        Marker::Array16 => sized(rest, 2, |rest, len| items(rest, len, depth)),
        Marker::Array32 => sized(rest, 4, |rest, len| items(rest, len, depth)),
        Marker::FixMap(len) => items(rest, 2 * usize::from(len), depth),
        Marker::Map16 => sized(rest, 2, |rest, len| items(rest, 2 * len, depth)),
        Marker::Map32 => sized(rest, 4, |rest, len| items(rest, len.saturating_mul(2), depth)),
        // An extension's length leaves out its type byte.
        Marker::FixExt1 => take(rest, 2),
        Marker::FixExt2 => take(rest, 3),
        Marker::FixExt4 => take(rest, 5),
        Marker::FixExt8 => take(rest, 9),
        Marker::FixExt16 => take(rest, 17),
        Marker::Ext8 => sized(rest, 1, extension),
        Marker::Ext16 => sized(rest, 2, extension),
        Marker::Ext32 => sized(rest, 4, extension),
        Marker::Reserved => Err(WalkError::Reserved),
    }
}

fn take(bytes: &[u8], len: usize) -> Result<&[u8], WalkError> {
    bytes.get(len..).ok_or(WalkError::Truncated)
}

fn text(bytes: &[u8], len: usize) -> Result<&[u8], WalkError> {
    let (text, rest) = bytes.split_at_checked(len).ok_or(WalkError::Truncated)?;
    std::str::from_utf8(text).map_err(|_| WalkError::NotText)?;
    Ok(rest)
}

fn extension(bytes: &[u8], len: usize) -> Result<&[u8], WalkError> {
    take(bytes, len.saturating_add(1))
}

fn items(mut bytes: &[u8], count: usize, depth: usize) -> Result<&[u8], WalkError> {
    for _ in 0..count {
        bytes = skip(bytes, depth)?;
    }
    Ok(bytes)
}

/// Reads a big-endian length of `width` bytes, then lets `body` skip what it measures.
fn sized<'a>(
    bytes: &'a [u8],
    width: usize,
    body: impl FnOnce(&'a [u8], usize) -> Result<&'a [u8], WalkError>,
) -> Result<&'a [u8], WalkError> {
    let (length, rest) = bytes.split_at_checked(width).ok_or(WalkError::Truncated)?;
    let length = length.iter().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
    body(rest, length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::msgpack::{Value, encode};

    #[test]
    fn a_claimed_length_costs_nothing() {
        // An array, a map and a string that claim 4 GiB and bring nothing.
        for marker in [0xdd, 0xdf, 0xdb, 0xc6, 0xc9] {
            assert_eq!(skip_value(&[marker, 0xff, 0xff, 0xff, 0xff]), Err(WalkError::Truncated));
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::Boolean),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::F64),
            any::<f32>().prop_map(Value::F32),
            ".{0,40}".prop_map(Value::from),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::Binary),
            (any::<i8>(), prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(t, b)| Value::Ext(t, b)),
        ];
        leaf.prop_recursive(4, 64, 20, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..20).prop_map(Value::Array),
                prop::collection::vec((inner.clone(), inner), 0..20).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_walk_ends_where_the_writer_ended(value in any_value(), tail in prop::collection::vec(any::<u8>(), 0..8)) {
            let bytes = encode(&value);
            let all = [&bytes[..], &tail].concat();
            prop_assert_eq!(skip_value(&all), Ok(&tail[..]));
            for end in 0..bytes.len() {
                prop_assert_eq!(skip_value(&bytes[..end]), Err(WalkError::Truncated));
            }
        }

        #[test]
        fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = skip_value(&bytes);
            let _ = crate::msgpack::decode(&bytes);
        }
    }
}
