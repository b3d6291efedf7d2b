//! What peers have proved of our addresses, and denied.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use libp2p::{Multiaddr, PeerId};

use super::{kind::Carrier, standing::KEPT};

/// How long a single peer's word that it did not reach us stands alone before it counts as two.
pub(super) const ALONE: Duration = Duration::from_secs(12);

/// Peers whose failure takes back what was proved.
const DENIED_BY: usize = 2;

/// The facts about one family of addresses.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The last that was reached, for each carrier.
    pub(super) proofs: BTreeMap<Carrier, Multiaddr>,
    /// Who did not reach us since then, and when first.
    pub(super) denials: BTreeMap<PeerId, Duration>,
    /// When a router began to forward to us: whoever was asked before tried without it.
    pub(super) mapped_since: Duration,
    /// Who came in at which address since the last denial.
    pub(super) dialled: BTreeMap<Multiaddr, BTreeSet<PeerId>>,
}

impl Evidence {
    pub(super) fn deny(&mut self, by: PeerId, now: Duration) {
        if self.denials.len() < KEPT {
            self.denials.entry(by).or_insert(now);
        }
        if self.denials.len() >= DENIED_BY {
            self.proofs.clear();
            self.dialled.clear();
        }
    }

    pub(super) fn come_in(&mut self, by: PeerId, at: Multiaddr) {
        if self.dialled.len() < KEPT || self.dialled.contains_key(&at) {
            let by_whom = self.dialled.entry(at).or_default();
            if by_whom.len() < KEPT {
                by_whom.insert(by);
            }
        }
    }

    pub(super) fn is_denied(&self, now: Duration) -> bool {
        let alone = self.denials.values().any(|first| now.saturating_sub(*first) >= ALONE);
        self.denials.len() >= DENIED_BY || alone
    }
}
