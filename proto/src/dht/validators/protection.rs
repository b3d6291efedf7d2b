//! What makes a record protected, and what stands behind its value (`hivemind/dht/crypto.py`,
//! `RSASignatureValidator`).
//!
//! A record whose key or subkey holds `[owner:KEY]`, KEY being an OpenSSH public key, may be changed by that owner alone:
//! its value is followed by `[signature:BASE64]`. Signed is the msgpack form of the tuple (key, subkey, value without
//! signature, expiration), the first three as bin. The original finds both marks by a regular expression over bytes,
//! `\[owner:(.+?)\]`, in which a dot is any byte but a line feed.

use std::borrow::Cow;

use super::SignatureError;
use crate::{dht::dictionary::infallible, msgpack::TUPLE_EXTENSION};

const OWNER: &[u8] = b"[owner:";
const SIGNATURE: &[u8] = b"[signature:";

/// A record as it is validated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Claim<'a> {
    /// The key's id: 20 bytes.
    pub key: &'a [u8],
    /// The msgpack form of the subkey; nil for a plain value.
    pub subkey: &'a [u8],
    /// The value with its signature.
    pub value: &'a [u8],
    /// Unix seconds.
    pub expiration: f64,
}

/// A protected record taken apart: whose it is, what was signed, and the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Protected<'a> {
    pub(super) owner: &'a [u8],
    pub(super) signature: &'a [u8],
    pub(super) message: Vec<u8>,
}

impl<'a> Claim<'a> {
    /// The parts of a protected record; `None` if it is not protected.
    pub(super) fn protected(&self) -> Result<Option<Protected<'a>>, SignatureError> {
        let mut owners = marks(self.key, OWNER).chain(marks(self.subkey, OWNER)).map(|mark| mark.content);
        let Some(owner) = owners.next() else { return Ok(None) };
        if owners.any(|other| other != owner) {
            return Err(SignatureError::TwoOwners);
        }
        let mut signatures = marks(self.value, SIGNATURE);
        let (Some(signature), None) = (signatures.next(), signatures.next()) else {
            return Err(SignatureError::NotSignedOnce);
        };
        let (before, after) = (&self.value[..signature.start], &self.value[signature.end..]);
        let value = if after.is_empty() { Cow::from(before) } else { Cow::from([before, after].concat()) };
        Ok(Some(Protected { owner, signature: signature.content, message: self.message(&value) }))
    }

    fn message(&self, value: &[u8]) -> Vec<u8> {
        let mut fields = Vec::with_capacity(self.key.len() + self.subkey.len() + value.len() + 32);
        let mut out = Vec::with_capacity(fields.capacity() + 8);
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        fields.push(0x94);
        for bytes in [self.key, self.subkey, value] {
            infallible(rmp::encode::write_bin(&mut fields, bytes));
        }
        infallible(rmp::encode::write_f64(&mut fields, self.expiration));
        infallible(rmp::encode::write_ext_meta(&mut out, length(&fields), TUPLE_EXTENSION));
        out.append(&mut fields);
        out
    }
}

/// One mark, and where it stands.
struct Mark<'a> {
    content: &'a [u8],
    start: usize,
    end: usize,
}

/// The marks that begin with `opening`, in their order, none within another.
fn marks<'a>(bytes: &'a [u8], opening: &'static [u8]) -> impl Iterator<Item = Mark<'a>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(found) = find(&bytes[at..], opening) {
            let start = at + found;
            let content = start + opening.len();
            // At least one byte, and none of them a line feed, up to the first bracket after it.
            let rest = &bytes[content..];
            let ends = |(index, byte): (usize, &u8)| *byte == b'\n' || (index > 0 && *byte == b']');
            let length = rest.iter().enumerate().position(ends)?;
            at = content + length;
            if rest[length] == b']' {
                at += 1;
                return Some(Mark { content: &rest[..length], start, end: at });
            }
            // No mark that begins on this line ends on it either, so no byte is looked at twice.
        }
        None
    })
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(bytes: &[u8]) -> Vec<&[u8]> {
        marks(bytes, OWNER).map(|mark| mark.content).collect()
    }

    /// What Python's re.findall gives for the same bytes.
    #[test]
    fn marks_are_found_as_a_lazy_expression_finds_them() {
        assert_eq!(contents(b"[owner:a][owner:b]"), [b"a", b"b"]);
        assert_eq!(contents(b"x[owner:[owner:a]]"), [b"[owner:a"]);
        assert_eq!(contents(b"[owner:]"), [b""; 0]);
        assert_eq!(contents(b"[owner:]x]"), [b"]x"]);
        assert_eq!(contents(b"[owner:\n][owner:a]"), [b"a"]);
        assert_eq!(contents(b"[owner:a\nb]"), [b""; 0]);
        assert_eq!(contents(b"[owner:a"), [b""; 0]);
        assert_eq!(contents(b"[owner:\xff\x00]"), [b"\xff\x00"]);
    }
}
