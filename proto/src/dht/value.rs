//! What may be held as a value: one msgpack value, or one with hivemind's signature behind it
//! (`hivemind/dht/crypto.py`, `RSASignatureValidator`).
//!
//! The original holds any bytes. A reader then fails on all entries of a key because of one.

use crate::msgpack::skip_value;

/// What stands between a protected value and its signature.
const SIGNATURE_PREFIX: &[u8] = b"[signature:";

/// Whether readers will make sense of `bytes`.
pub(super) fn is_readable(bytes: &[u8]) -> bool {
    skip_value(bytes)
        .is_ok_and(|rest| rest.is_empty() || (rest.starts_with(SIGNATURE_PREFIX) && rest.ends_with(b"]")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_signed_values_are_readable() {
        assert!(is_readable(b"\xa1x") && is_readable(b"\xa1x[signature:c2ln]"));
        for bad in [&b""[..], b"\xc1", b"\xa1", b"\xa1x\xa1y", b"\xa1x[signature:"] {
            assert!(!is_readable(bad), "{bad:?}");
        }
    }
}
