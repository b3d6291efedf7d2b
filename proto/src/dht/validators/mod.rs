//! Record validators: what makes a record acceptable beyond its form (`hivemind/dht/validation.py`). The original asks
//! them on two occasions, and so do we: when a peer asks us to store a record (each subkey of a whole dictionary is a
//! record of its own), and when a peer returns one in a lookup. What fails is refused, or left out.
//!
//! There is one validator, of RSA signatures ([`Claim`] says which records it protects). Like the original's, ours is
//! off unless it is switched on; then records that are not protected pass as before. Storage and lookups carry a signed
//! value as it came: its readers verify it themselves, and strip the signature.
//!
//! Differences from the original, each on purpose:
//! - keys of 2048 to 4096 bits with exponents up to 65537, so that no single check is long;
//! - an owner that is no such key is a refusal; the original raises, and the whole call with it;
//! - subkeys are validated in the form in which they are handed on, which is the shortest;
//! - checks are rationed ([`SignatureValidator::check`]).
//!
//! A check takes 75 µs of CPU with a key of 2048 bits, 300 µs with one of 4096, in the thread in which everything else of the node happens. So there is a ration
//! for each peer and one for all of them, a separate one for lookups, and what was verified once is remembered: a record
//! that each of its holders returns is checked once. A record beyond the ration is not accepted, and counted apart from
//! bad ones.

mod memory;
mod protection;
mod rsa_key;

use libp2p::PeerId;
use rsa::sha2::{Digest, Sha256};

use self::memory::Memory;
use super::Refusal;
use crate::{
    allowance::{Allowance, Allowances, Rate},
    time::DhtTime,
};

pub use protection::Claim;

/// Checks on behalf of all peers: 4 % of a core in the long run, and 40 ms at once; four times as much with the longest
/// keys.
const CHECKS: Rate = Rate { burst: 500.0, per_second: 500.0 };

/// Checks on behalf of one peer. A peer that hands us what it holds comes with many at once, and then with few.
const CHECKS_A_PEER: Rate = Rate { burst: 250.0, per_second: 25.0 };

/// Peers whose rations are told apart.
const PEERS: usize = 4096;

/// Verified records that are remembered at least; twice as many at most, 40 bytes each.
const REMEMBERED: usize = 16_384;

/// Why a protected record is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Key and subkey name different owners.
    #[error("key and subkey name different owners")]
    TwoOwners,
    /// There is no signature behind the value, or more than one.
    #[error("the value does not have exactly one signature")]
    NotSignedOnce,
    /// The owner is not an RSA key of a length that we check.
    #[error("the owner is not an RSA key of 2048 to 4096 bits in the form of OpenSSH")]
    Owner,
    /// The signature is not the owner's, or not of this record.
    #[error("the signature is not the owner's signature of this record")]
    Invalid,
}

/// On which occasion a record is validated, and who brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// A peer asks us to store it.
    Store(PeerId),
    /// A peer returns it in a lookup.
    Find(PeerId),
}

/// The validator of RSA signatures, with its rations.
#[derive(Debug)]
pub struct SignatureValidator {
    stores: Rations,
    finds: Rations,
    verified: Memory,
}

#[derive(Debug)]
struct Rations {
    all: Allowance,
    each: Allowances<PeerId>,
}

impl Rations {
    fn new(now: f64) -> Self {
        Self { all: Allowance::full(CHECKS, now), each: Allowances::new(CHECKS_A_PEER, PEERS, now) }
    }

    fn take(&mut self, peer: PeerId, now: f64) -> bool {
        self.each.take(peer, 1.0, now) && self.all.take(CHECKS, 1.0, now)
    }
}

impl SignatureValidator {
    /// A validator with full rations.
    pub fn new(now: DhtTime) -> Self {
        let now = now.as_unix();
        Self { stores: Rations::new(now), finds: Rations::new(now), verified: Memory::new(REMEMBERED) }
    }

    /// Whether the record may be accepted: it is not protected, or its owner signed it, and there was a ration left to
    /// find out.
    pub fn check(&mut self, claim: &Claim<'_>, occasion: Occasion, now: DhtTime) -> Result<(), Refusal> {
        let Some(protected) = claim.protected().map_err(|_| Refusal::BadSignature)? else { return Ok(()) };
        let mut digest = Sha256::new();
        for part in [protected.owner, protected.signature] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let digest = digest.chain_update(&protected.message).finalize().into();
        if self.verified.holds(&digest) {
            return Ok(());
        }
        let (rations, peer) = match occasion {
            Occasion::Store(peer) => (&mut self.stores, peer),
            Occasion::Find(peer) => (&mut self.finds, peer),
        };
        if !rations.take(peer, now.as_unix()) {
            return Err(Refusal::Unverified);
        }
        rsa_key::verify(protected.owner, &protected.message, protected.signature)
            .map_err(|_| Refusal::BadSignature)?;
        self.verified.note(digest);
        Ok(())
    }
}

/// Whether the record is acceptable as it stands: without rations, for those who check one record.
pub fn verify(claim: &Claim<'_>) -> Result<(), SignatureError> {
    match claim.protected()? {
        None => Ok(()),
        Some(protected) => rsa_key::verify(protected.owner, &protected.message, protected.signature),
    }
}

#[cfg(test)]
mod tests;
