//! What was turned away, by cause.

use serde::{Deserialize, Serialize};

/// Why a connection is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Refusal {
    /// Too many connections are being made.
    #[error("too many connections are being made")]
    Pending,
    /// Too many of them come from one range of addresses.
    #[error("too many connections are being made from the same addresses")]
    PendingOfRange,
    /// The peer has enough of them.
    #[error("the peer has too many connections")]
    OfPeer,
    /// Its range of addresses has enough of them.
    #[error("the same addresses have too many connections")]
    OfRange,
    /// All places for others are taken by those who are of use.
    #[error("all places for others are taken")]
    Incoming,
    /// All places are.
    #[error("all places are taken")]
    All,
}

/// Connections that were turned away or closed, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// Since too many were being made.
    pub pending: u64,
    /// Since too many were being made from one range of addresses.
    pub pending_of_range: u64,
    /// Since the peer had enough.
    pub of_peer: u64,
    /// Since its range of addresses had enough.
    pub of_range: u64,
    /// Since all places for others were taken.
    pub incoming: u64,
    /// Since all places were taken.
    pub all: u64,
    /// Closed, for one that came later: nothing had been done over them, or not for long.
    pub evicted: u64,
}

impl Refusals {
    pub(super) fn count(&mut self, refusal: Refusal) {
        let cell = match refusal {
            Refusal::Pending => &mut self.pending,
            Refusal::PendingOfRange => &mut self.pending_of_range,
            Refusal::OfPeer => &mut self.of_peer,
            Refusal::OfRange => &mut self.of_range,
            Refusal::Incoming => &mut self.incoming,
            Refusal::All => &mut self.all,
        };
        *cell += 1;
    }
}
