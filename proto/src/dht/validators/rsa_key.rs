//! RSA public keys as OpenSSH writes them, and signatures of theirs (`hivemind/utils/crypto.py`, `RSAPublicKey`): RSASSA-PSS
//! with SHA-256 for the digest and for the mask, in base64.
//!
//! The original signs with the longest salt that fits (222 bytes with its 2048-bit keys) and verifies with a salt of any
//! length. ring and aws-lc-rs know only salts as long as the digest.

use base64::{Engine, prelude::BASE64_STANDARD};
use rsa::{BoxedUint, PublicKey, pss, sha2::Sha256, signature::Verifier};

use super::SignatureError;

/// Bits of a modulus. The original makes keys of 2048 bits and takes any; a check costs with the square of its length.
const KEY_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;

/// Bits of an exponent: the original's is 65537, and every bit more makes a check longer.
const EXPONENT_BITS: u32 = 17;

/// How the name of the key's kind and its two numbers stand in an OpenSSH key (RFC 4253, 6.6).
const KIND: &[u8] = b"ssh-rsa";

/// Reads a key: `ssh-rsa BASE64`, perhaps with a comment behind it.
fn parse(key: &[u8]) -> Result<PublicKey, SignatureError> {
    let mut words = key.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    if words.next() != Some(KIND) {
        return Err(SignatureError::Owner);
    }
    let blob =
        words.next().and_then(|word| BASE64_STANDARD.decode(word).ok()).ok_or(SignatureError::Owner)?;
    let (kind, rest) = field(&blob)?;
    let (exponent, rest) = field(rest)?;
    let (modulus, rest) = field(rest)?;
    if kind != KIND || !rest.is_empty() {
        return Err(SignatureError::Owner);
    }
    let (exponent, modulus) = (number(exponent), number(modulus));
    if exponent.bit_width_vartime() > EXPONENT_BITS {
        return Err(SignatureError::Owner);
    }
    PublicKey::new_with_size_limits(modulus, exponent, KEY_BITS).map_err(|_| SignatureError::Owner)
}

/// A number without the zeros in front that keep it positive.
fn number(bytes: &[u8]) -> BoxedUint {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    BoxedUint::from_be_slice_vartime(&bytes[zeros..])
}

/// One field: its length in four bytes, big-endian, and that many.
fn field(bytes: &[u8]) -> Result<(&[u8], &[u8]), SignatureError> {
    let (length, rest) = bytes.split_first_chunk().ok_or(SignatureError::Owner)?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or(SignatureError::Owner)
}

/// Checks `signature`, in base64, of `message` by the owner of `key`.
pub(super) fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    let key = parse(key)?;
    let signature = BASE64_STANDARD.decode(signature).map_err(|_| SignatureError::Invalid)?;
    let signature = pss::Signature::try_from(&signature[..]).map_err(|_| SignatureError::Invalid)?;
    let key = pss::VerifyingKey::<Sha256>::new_with_auto_salt_len(key);
    key.verify(message, &signature).map_err(|_| SignatureError::Invalid)
}
