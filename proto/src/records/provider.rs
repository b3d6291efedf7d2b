//! The key under which libp2p's Kademlia knows who serves a model.
//!
//! A content id, version 1, of raw bytes: the SHA-256 digest of the model's dht_prefix. Kademlia's keys are the multihash
//! within it (`go-libp2p-kad-dht`, routing.go, Provide), and p2pd's FIND_PROVIDERS takes the whole id. KwaaiNet's nodes
//! find each other so.

use sha2::{Digest, Sha256};

use super::DhtPrefix;

/// What begins a multihash of SHA-256: its code, and its length in bytes.
const SHA2_256: [u8; 2] = [0x12, 32];

/// What begins a content id of raw bytes: version 1, and the codec.
const CID_V1_RAW: [u8; 2] = [0x01, 0x55];

/// The key, a multihash of 34 bytes.
pub fn provider_key(prefix: &DhtPrefix) -> Vec<u8> {
    let digest = Sha256::digest(prefix.as_str().as_bytes());
    SHA2_256.iter().copied().chain(digest).collect()
}

/// The content id that names it, 36 bytes.
pub fn provider_cid(prefix: &DhtPrefix) -> Vec<u8> {
    CID_V1_RAW.into_iter().chain(provider_key(prefix)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf %s StableBeluga2-hf | sha256sum`
    const DIGEST: &str = "256da11ba87a08c64573b3892699d7f8c6ae888b28a628d630bd5ec9af1ec87a";

    #[test]
    fn the_key_is_the_digest_of_the_prefix() {
        let prefix: DhtPrefix = "StableBeluga2-hf".parse().unwrap();
        assert_eq!(hex::encode(provider_key(&prefix)), format!("1220{DIGEST}"));
        assert_eq!(hex::encode(provider_cid(&prefix)), format!("01551220{DIGEST}"));
    }
}
