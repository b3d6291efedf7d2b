//! A dictionary on the wire: msgpack extension 0x50 around [maxsize, latest expiration, [[subkey, value,
//! expiration], …]] (`hivemind/dht/storage.py`, `DictionaryDHTValue`). Subkeys stand in it decoded, values as bin.

use super::Subkey;
use crate::msgpack::{DICTIONARY_EXTENSION, DecodeError, skip_value};

/// One entry as a peer sent it: nothing about its expiration has been checked.
#[derive(Debug, Clone, PartialEq)]
pub struct RawItem<'a> {
    /// The subkey.
    pub subkey: Subkey,
    /// The value's msgpack form.
    pub value: &'a [u8],
    /// Unix seconds, perhaps not finite.
    pub expiration: f64,
}

/// Bytes of an entry beside its subkey and value: the head of an array of three, and the expiration.
pub(super) const ENTRY_FRAME_BYTES: usize = 10;

/// How long the wire form of an entry is.
pub(super) fn entry_bytes(subkey: &Subkey, value: &[u8]) -> usize {
    ENTRY_FRAME_BYTES + subkey.as_bytes().len() + bin_head_bytes(value.len()) + value.len()
}

/// One entry without its frame: the subkey, and the value as bin, which [`value_of`] finds again.
pub(super) fn encode_pair(subkey: &Subkey, value: &[u8]) -> Box<[u8]> {
    let mut out = Vec::with_capacity(entry_bytes(subkey, value) - ENTRY_FRAME_BYTES);
    out.extend_from_slice(subkey.as_bytes());
    infallible(rmp::encode::write_bin(&mut out, value));
    out.into_boxed_slice()
}

/// The value within a pair whose subkey has `subkey_bytes`.
pub(super) fn value_of(pair: &[u8], subkey_bytes: usize) -> &[u8] {
    let head = match pair[subkey_bytes] {
        0xc4 => 2,
        0xc5 => 3,
        _ => 5,
    };
    &pair[subkey_bytes + head..]
}

fn bin_head_bytes(len: usize) -> usize {
    match len {
        0..0x100 => 2,
        0x100..0x1_0000 => 3,
        _ => 5,
    }
}

/// The most that a dictionary's wire form has beside its entries: the extension's head, the array of three, two
/// doubles and the head of the entries.
pub(super) const FRAME_BYTES: usize = 6 + 1 + 18 + 5;

/// Writes a dictionary without a limit on its size, as hivemind's storage holds it, from its `count` entries: each a pair
/// and its expiration. On the wire they are `bytes` long together.
pub(super) fn assemble<'a>(
    latest: f64,
    count: usize,
    bytes: usize,
    entries: impl Iterator<Item = (&'a [u8], f64)>,
) -> Vec<u8> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let mut head = Vec::with_capacity(FRAME_BYTES);
    head.push(0x93);
    infallible(rmp::encode::write_f64(&mut head, f64::INFINITY));
    infallible(rmp::encode::write_f64(&mut head, latest));
    infallible(rmp::encode::write_array_len(&mut head, count));
    let length = u32::try_from(head.len() + bytes).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(FRAME_BYTES + bytes);
    infallible(rmp::encode::write_ext_meta(&mut out, length, DICTIONARY_EXTENSION));
    out.extend_from_slice(&head);
    for (pair, expiration) in entries {
        out.push(0x93);
        out.extend_from_slice(pair);
        infallible(rmp::encode::write_f64(&mut out, expiration));
    }
    out
}

/// Writes a dictionary without a limit on its size.
pub fn encode<'a>(latest: f64, items: impl Iterator<Item = (&'a Subkey, &'a [u8], f64)>) -> Vec<u8> {
    let entry = |(subkey, value, expiration)| (encode_pair(subkey, value), expiration);
    let entries: Vec<(Box<[u8]>, f64)> = items.map(entry).collect();
    let bytes = entries.iter().map(|(pair, _)| ENTRY_FRAME_BYTES + pair.len()).sum();
    assemble(latest, entries.len(), bytes, entries.iter().map(|(pair, expiration)| (&pair[..], *expiration)))
}

#[expect(clippy::expect_used, reason = "writing to a Vec cannot fail")]
pub(super) fn infallible<T, E: std::fmt::Debug>(written: Result<T, E>) {
    written.expect("a Vec takes every byte");
}

/// Reads a dictionary of at most `max_items` entries.
pub fn decode(bytes: &[u8], max_items: usize) -> Result<Vec<RawItem<'_>>, DecodeError> {
    let content = extension(bytes)?;
    let content = array(content, "an array of three", |len| len == 3)?.1;
    let content = skip_value(content)?; // maxsize, which nobody enforces: a double, or nil
    let content = skip_value(content)?; // the latest expiration, which follows from the entries
    let (count, mut content) = array(content, "a bounded array of entries", |len| len as usize <= max_items)?;
    let mut items = Vec::with_capacity((count as usize).min(content.len() / 4));
    for _ in 0..count {
        let entry = array(content, "entries of three", |len| len == 3)?.1;
        let after_subkey = skip_value(entry)?;
        let subkey = Subkey::decode(&entry[..entry.len() - after_subkey.len()])?;
        let (value, after_value) = binary(after_subkey)?;
        let (expiration, rest) = double(after_value)?;
        items.push(RawItem { subkey, value, expiration });
        content = rest;
    }
    if !content.is_empty() {
        return Err(DecodeError::Trailing(content.len()));
    }
    Ok(items)
}

fn extension(bytes: &[u8]) -> Result<&[u8], DecodeError> {
    let rest = skip_value(bytes)?;
    if !rest.is_empty() {
        return Err(DecodeError::Trailing(rest.len()));
    }
    let mut reader = bytes;
    match rmp::decode::read_ext_meta(&mut reader) {
        Ok(meta) if meta.typeid == DICTIONARY_EXTENSION => Ok(reader),
        _ => Err(DecodeError::Shape("the dictionary extension 0x50")),
    }
}

fn array<'a>(
    bytes: &'a [u8],
    shape: &'static str,
    fits: impl Fn(u32) -> bool,
) -> Result<(u32, &'a [u8]), DecodeError> {
    let mut reader = bytes;
    match rmp::decode::read_array_len(&mut reader) {
        Ok(len) if fits(len) => Ok((len, reader)),
        _ => Err(DecodeError::Shape(shape)),
    }
}

fn binary(bytes: &[u8]) -> Result<(&[u8], &[u8]), DecodeError> {
    let mut reader = bytes;
    let len = rmp::decode::read_bin_len(&mut reader).map_err(|_| DecodeError::Shape("values as bin"))?;
    reader.split_at_checked(len as usize).ok_or(DecodeError::Shape("values as long as they say"))
}

fn double(bytes: &[u8]) -> Result<(f64, &[u8]), DecodeError> {
    let mut reader = bytes;
    let value =
        rmp::decode::read_f64(&mut reader).map_err(|_| DecodeError::Shape("expirations as doubles"))?;
    Ok((value, reader))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "store a whole dictionary (empty subkey), as replication does", vectors.json.
    const GOLDEN: &str = "c73f5093cb7ff0000000000000cb41dac0cbd0c22a1f9293a161c40101cb41dac0cbd0622a1f93a162c40ec70b409200cb\
                          0000000000000000cb41dac0cbd0c22a1f";

    #[test]
    fn golden_bytes_both_ways() {
        let golden = hex::decode(GOLDEN).unwrap();
        let items = decode(&golden, 10).unwrap();
        assert_eq!(items.len(), 2);
        assert_eq!((&items[0].subkey, items[0].value), (&Subkey::text("a"), &[1u8][..]));
        assert_eq!(items[0].expiration, 1795370817.5338209);
        let latest = items.iter().map(|item| item.expiration).fold(f64::MIN, f64::max);
        let again = encode(latest, items.iter().map(|item| (&item.subkey, item.value, item.expiration)));
        assert_eq!(hex::encode(again), hex::encode(golden));
    }

    #[test]
    fn other_shapes_are_refused() {
        let golden = hex::decode(GOLDEN).unwrap();
        assert!(decode(&golden, 1).is_err());
        for end in 0..golden.len() {
            assert!(decode(&golden[..end], 10).is_err());
        }
        // nil, an array of none instead of three, a tuple.
        for bad in ["c0", "d45090", "d44090"] {
            assert!(decode(&hex::decode(bad).unwrap(), 10).is_err(), "{bad}");
        }
        // An empty dictionary with nil for maxsize is seen in the wild.
        assert_eq!(decode(&hex::decode("d65093c0c090").unwrap(), 10), Ok(vec![]));
    }
}
