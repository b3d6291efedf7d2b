//! What peers have proved of our addresses, and denied.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use super::standing::KEPT;

/// How long a single peer's word that it did not reach us stands alone before it counts as two.
pub(super) const ALONE: Duration = Duration::from_secs(12);

/// Peers whose failure takes back what was proved.
const DENIED_BY: usize = 2;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

/// TCP or QUIC: one may be let through where the other is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Carrier {
    Tcp,
    Udp,
}

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

/// The IP address at the beginning.
pub(super) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// Of an address that begins with an IP address.
pub(super) fn family(address: &Multiaddr) -> Option<Family> {
    ip(address).map(|ip| if ip.is_ipv4() { Family::V4 } else { Family::V6 })
}

/// The family of an address, and whether it is of TCP or QUIC.
pub(super) fn kind(address: &Multiaddr) -> Option<(Family, Carrier)> {
    let carrier = match address.iter().nth(1)? {
        Protocol::Tcp(_) => Carrier::Tcp,
        Protocol::Udp(_) => Carrier::Udp,
        _ => return None,
    };
    Some((family(address)?, carrier))
}
