//! Why a value is not held. The wire knows only `store_ok = false`; the causes are counted.

use serde::{Deserialize, Serialize};

/// Why a store of one row was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What is held lives as long or longer.
    #[error("a value that lives as long is held")]
    Stale,
    /// It has expired already.
    #[error("it has expired")]
    Expired,
    /// Its expiration is NaN or infinite: it could never be replaced.
    #[error("its expiration is not a finite number")]
    NotFinite,
    /// It wants to be held for too long.
    #[error("its expiration lies beyond the horizon")]
    BeyondHorizon,
    /// The value is larger than one may be.
    #[error("the value is too large")]
    TooLarge,
    /// The storage, or the key's dictionary, holds as much as it may.
    #[error("the storage is full")]
    Full,
    /// As much is held of this peer as of one may be.
    #[error("the peer has filled its share of the storage")]
    ShareFull,
    /// The key, the subkey or the value is not what it should be.
    #[error("the key, the subkey or the value is malformed")]
    Malformed,
    /// The record is protected, and its owner did not sign it.
    #[error("the owner of the record did not sign it")]
    BadSignature,
    /// The record is protected, and there was no ration left to check its signature.
    #[error("too many signatures are to be checked")]
    Unverified,
    /// The subkey is a peer, and what that peer said itself lives.
    #[error("it contradicts what the peer said itself")]
    Contradiction,
    /// The sender said too much about other peers.
    #[error("too much is said about other peers")]
    Hearsay,
}

/// How often each cause was met.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// See [`Refusal::Stale`].
    pub stale: u64,
    /// See [`Refusal::Expired`].
    pub expired: u64,
    /// See [`Refusal::NotFinite`].
    pub not_finite: u64,
    /// See [`Refusal::BeyondHorizon`].
    pub beyond_horizon: u64,
    /// See [`Refusal::TooLarge`].
    pub too_large: u64,
    /// See [`Refusal::Full`].
    pub full: u64,
    /// See [`Refusal::ShareFull`].
    pub share_full: u64,
    /// See [`Refusal::Malformed`].
    pub malformed: u64,
    /// See [`Refusal::BadSignature`].
    pub bad_signature: u64,
    /// See [`Refusal::Unverified`].
    pub unverified: u64,
    /// See [`Refusal::Contradiction`].
    pub contradiction: u64,
    /// See [`Refusal::Hearsay`].
    pub hearsay: u64,
}

impl Refusals {
    /// Counts one.
    pub fn count(&mut self, refusal: Refusal) {
        let counter = match refusal {
            Refusal::Stale => &mut self.stale,
            Refusal::Expired => &mut self.expired,
            Refusal::NotFinite => &mut self.not_finite,
            Refusal::BeyondHorizon => &mut self.beyond_horizon,
            Refusal::TooLarge => &mut self.too_large,
            Refusal::Full => &mut self.full,
            Refusal::ShareFull => &mut self.share_full,
            Refusal::Malformed => &mut self.malformed,
            Refusal::BadSignature => &mut self.bad_signature,
            Refusal::Unverified => &mut self.unverified,
            Refusal::Contradiction => &mut self.contradiction,
            Refusal::Hearsay => &mut self.hearsay,
        };
        *counter += 1;
    }
}
