//! Ids of nodes and keys: 160-bit numbers, 20 bytes big-endian (`hivemind/dht/routing.py`, `DHTID`).

use std::fmt;

use rand::{Rng, RngExt};
use sha1::{Digest, Sha1};

/// Length of an id in bytes. The original accepts keys of any length; we take exactly this one.
pub const ID_BYTES: usize = 20;

/// Length of an id in bits.
pub const ID_BITS: usize = ID_BYTES * 8;

/// A place in the DHT's key space.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DhtId([u8; ID_BYTES]);

/// How far two ids are apart: their XOR, compared as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Distance([u8; ID_BYTES]);

impl Distance {
    /// The first eight bytes, by which nearly all comparisons are decided.
    pub(super) fn head(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl DhtId {
    /// The lowest id.
    pub const MIN: Self = Self([0; ID_BYTES]);

    /// The id of a key given as text, as every key of Petals is: SHA-1 of its msgpack form.
    pub fn of_text(key: &str) -> Self {
        Self::of_bytes(&crate::msgpack::encode(&key.into()))
    }

    /// The id of a key given as bytes, which are hashed as they are; of any other key, give its msgpack form.
    pub fn of_bytes(key: &[u8]) -> Self {
        Self(Sha1::digest(key).into())
    }

    /// A random id. Node ids are random, never derived from the peer id.
    pub fn random(rng: &mut impl Rng) -> Self {
        Self(rng.random())
    }

    /// Reads an id from exactly 20 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The 20 bytes, big-endian.
    pub fn as_bytes(&self) -> &[u8; ID_BYTES] {
        &self.0
    }

    /// The distance to `other`.
    pub fn distance(&self, other: &DhtId) -> Distance {
        let mut xor = self.0;
        xor.iter_mut().zip(other.0).for_each(|(byte, other)| *byte ^= other);
        Distance(xor)
    }

    /// Bit `index`, 0 being the most significant.
    pub fn bit(&self, index: usize) -> bool {
        self.0[index / 8] & (0x80 >> (index % 8)) != 0
    }

    /// The same id with bit `index` set.
    pub fn with_bit(mut self, index: usize) -> Self {
        self.0[index / 8] |= 0x80 >> (index % 8);
        self
    }

    /// The next higher id, unless this is the last.
    pub fn next(mut self) -> Option<Self> {
        for byte in self.0.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                return Some(self);
            }
        }
        None
    }

    /// The next lower id, unless this is the first.
    pub fn previous(mut self) -> Option<Self> {
        for byte in self.0.iter_mut().rev() {
            *byte = byte.wrapping_sub(1);
            if *byte != u8::MAX {
                return Some(self);
            }
        }
        None
    }

    /// The highest id that shares its first `depth` bits with this one.
    pub fn last_within(mut self, depth: usize) -> Self {
        for (index, byte) in self.0.iter_mut().enumerate() {
            *byte |= match depth.saturating_sub(index * 8) {
                shared @ 0..8 => 0xff >> shared,
                _ => 0,
            };
        }
        self
    }

    /// A random id that shares its first `depth` bits with this one.
    pub fn random_within(&self, depth: usize, rng: &mut impl Rng) -> Self {
        let mut id = Self::random(rng);
        for index in 0..depth.min(ID_BITS) {
            let mask = 0x80 >> (index % 8);
            id.0[index / 8] = (id.0[index / 8] & !mask) | (self.0[index / 8] & mask);
        }
        id
    }
}

impl Distance {
    /// How many leading bits the two ids share.
    pub fn shared_bits(&self) -> usize {
        let zeros = self.0.iter().take_while(|byte| **byte == 0).count();
        zeros * 8 + self.0.get(zeros).map_or(0, |byte| byte.leading_zeros() as usize)
    }
}

impl fmt::Display for DhtId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DhtId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Text that is not 40 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a DHT id is written as 40 hex digits")]
pub struct ParseIdError;

impl std::str::FromStr for DhtId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let mut id = [0; ID_BYTES];
        if text.len() != 2 * ID_BYTES || !text.is_ascii() {
            return Err(ParseIdError);
        }
        for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| ParseIdError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| ParseIdError)?;
        }
        Ok(Self(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_hash_as_the_original_hashes_them() {
        // From running peers, vectors.json.
        for (key, id) in [
            ("_petals.models", "0a63ed21831f3f7d24f07949cea69a94476b4faf"),
            ("tiny-llama-hf.0", "084f787cbb843355269cdfb823fddf547eee7f38"),
            ("tiny-llama-hf.7", "6035f93c0cde11857e9a7031c43062794278a667"),
            ("vector.plain", "a98a11b5097edbf9da8d55e51bbd895ae2cfa741"),
        ] {
            assert_eq!(DhtId::of_text(key).to_string(), id);
            assert_eq!(id.parse(), Ok(DhtId::of_text(key)));
        }
    }

    #[test]
    fn exactly_twenty_bytes() {
        for len in [0, 3, 19, 21, 32] {
            assert_eq!(DhtId::from_bytes(&vec![1; len]), None);
        }
        assert!("xyz".parse::<DhtId>().is_err());
    }

    #[test]
    fn steps_and_ends_of_ranges() {
        let id = |byte: u8| DhtId::from_bytes(&[byte; 20]).unwrap();
        assert_eq!((id(0).previous(), id(0xff).next()), (None, None));
        assert_eq!(id(7).next().unwrap().previous(), Some(id(7)));
        let carried = "00000000000000000000000000000000000100ff".parse::<DhtId>().unwrap();
        assert_eq!(carried.next().unwrap().to_string(), "0000000000000000000000000000000000010100");
        assert_eq!(id(0).previous(), None);
        for depth in [0, 1, 7, 8, 9, 159, 160] {
            let last = id(0).last_within(depth);
            assert!((0..160).all(|bit| last.bit(bit) == (bit >= depth)), "{depth}: {last}");
        }
    }

    #[test]
    fn a_random_neighbour_shares_the_prefix() {
        let mut rng = rand::rng();
        for depth in [0, 1, 7, 8, 9, 100, 160] {
            let id = DhtId::random(&mut rng);
            assert!(id.distance(&id.random_within(depth, &mut rng)).shared_bits() >= depth);
        }
    }
}
