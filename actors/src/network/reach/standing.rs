//! Whether others reach us, and where: as data. It is told facts, and asked now and then what they come to.
//!
//! Sources, the first that says anything wins: what the operator configured; what somebody else has proved by dialling
//! it (AutoNAT: go-libp2p `p2p/host/autonat`; and strangers who came in, and tell at which address); the mappings
//! of a router, addresses of the machine itself, and those from which enough peers see us come. A failed AutoNAT dial
//! outweighs all that is not proved. IPv4 and IPv6 are judged apart, as a NAT stands before one of them only.
//!
//! No single peer decides. What is proved counts while most of the peers that we dialled see us at that IP address; to
//! take a proved address back takes two peers; and whatever the facts come to must stand for a while before it
//! is acted on. Unknown is where everything begins: silence alone never leads back there.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};

use super::{
    evidence::Evidence,
    kind::{Family, ip, kind},
};
use crate::network::addresses::Scope;

/// How long the facts must come to the same before it is acted on: AutoNAT and identify of a few peers arrive
/// within this time of each other.
pub(super) const SETTLE: Duration = Duration::from_secs(3);

/// Facts that go on changing are acted on after this time all the same.
pub(super) const SETTLE_AT_MOST: Duration = Duration::from_secs(15);

/// Peers that must see us come from an address before it counts without any proof.
pub(super) const SEEN_BY: usize = 3;

/// How long a proof is waited for in that case: a peer that finds a closed door takes 15 s to say so (go-libp2p
/// `autonat/options.go`, dialTimeout), and behind most NATs all peers see us come from the same address.
pub(super) const UNPROVED: Duration = Duration::from_secs(20);

/// Strangers who must have dialled an address before that proves it.
const DIALLED_BY: usize = 2;

/// Facts of one kind that are kept: the sum over all peers that are asked or come is far below it.
pub(super) const KEPT: usize = 64;

/// How far it is known whether others can dial us.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nobody has tried yet.
    #[default]
    Unknown,
    /// There is an address at which they can, as far as anybody found out.
    Public,
    /// They have tried, and cannot.
    Private,
}

/// What somebody found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact {
    /// The machine has this address, and we listen there.
    Listening(Multiaddr),
    /// Not any more.
    NotListening(Multiaddr),
    /// A router forwards this address to us.
    Mapped(Multiaddr),
    /// Not any more.
    Unmapped(Multiaddr),
    /// `by` has dialled us on our request.
    Reached { by: PeerId, at: Multiaddr },
    /// `by`, which was asked then, has tried in vain, over the family of addresses of the connection to it.
    NotReached { by: PeerId, family: Family, asked: Duration },
    /// `by` came in, and says that it dialled this.
    Dialled { by: PeerId, at: Multiaddr },
    /// We dialled `by`, which sees us come from there, as far as our listening ports are concerned.
    Seen { by: PeerId, at: Vec<Multiaddr> },
    /// `by` is not connected any more.
    Gone { by: PeerId },
}

/// What follows from the facts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// Where others are told to dial.
    pub(super) addresses: BTreeSet<Multiaddr>,
}

/// All that is known.
#[derive(Debug)]
pub(super) struct Standing {
    scope: Scope,
    configured: BTreeSet<Multiaddr>,
    interfaces: BTreeSet<Multiaddr>,
    mapped: BTreeSet<Multiaddr>,
    seen: BTreeMap<PeerId, Vec<Multiaddr>>,
    /// When the first of them saw us.
    seen_since: Option<Duration>,
    v4: Evidence,
    v6: Evidence,
    /// Addresses that we had, and have no more.
    lost: BTreeSet<Multiaddr>,
    /// What is acted on.
    current: Finding,
    pending: Option<Pending>,
}

/// What the facts come to, and is not acted on yet.
#[derive(Debug)]
struct Pending {
    finding: Finding,
    since: Duration,
    /// Since when they have come to anything else than what is acted on.
    first: Duration,
}

impl Standing {
    pub(super) fn new(scope: Scope, configured: impl IntoIterator<Item = Multiaddr>) -> Self {
        Self {
            scope,
            configured: configured.into_iter().filter(|address| scope.allows(address)).collect(),
            interfaces: BTreeSet::new(),
            mapped: BTreeSet::new(),
            seen: BTreeMap::new(),
            seen_since: None,
            v4: Evidence::default(),
            v6: Evidence::default(),
            lost: BTreeSet::new(),
            current: Finding::default(),
            pending: None,
        }
    }

    /// What is acted on.
    pub(super) fn finding(&self) -> &Finding {
        &self.current
    }

    /// Takes a fact in. Addresses that are of use to nobody are no facts.
    pub(super) fn learn(&mut self, fact: Fact, now: Duration) {
        match fact {
            Fact::Listening(at) if self.takes(&at, &self.interfaces) => {
                self.lost.remove(&at);
                self.interfaces.insert(at);
            }
            Fact::Mapped(at) if self.takes(&at, &self.mapped) => {
                self.lost.remove(&at);
                if let Some((family, _)) = kind(&at) {
                    let evidence = self.evidence(family);
                    evidence.mapped_since = now;
                    evidence.denials.clear();
                }
                self.mapped.insert(at);
            }
            Fact::NotListening(at) => {
                self.interfaces.remove(&at);
                self.lose(at);
            }
            Fact::Unmapped(at) => {
                self.mapped.remove(&at);
                self.lose(at);
            }
            Fact::Reached { at, .. } if self.scope.allows(&at) => {
                let Some((family, carrier)) = kind(&at) else { return };
                self.lost.remove(&at);
                let evidence = self.evidence(family);
                evidence.denials.clear();
                evidence.proofs.insert(carrier, at);
            }
            Fact::NotReached { by, family, asked } => {
                let evidence = self.evidence(family);
                if asked >= evidence.mapped_since {
                    evidence.deny(by, now);
                }
            }
            Fact::Dialled { by, at } if self.scope.allows(&at) => {
                let Some((family, _)) = kind(&at) else { return };
                self.evidence(family).come_in(by, at);
            }
            Fact::Seen { by, at } => {
                let at: Vec<_> = at.into_iter().filter(|at| self.scope.allows(at)).take(KEPT).collect();
                if !at.is_empty() && (self.seen.len() < KEPT || self.seen.contains_key(&by)) {
                    self.seen.insert(by, at);
                    self.seen_since.get_or_insert(now);
                }
            }
            Fact::Gone { by } => drop(self.seen.remove(&by)),
            Fact::Listening(_) | Fact::Mapped(_) | Fact::Reached { .. } | Fact::Dialled { .. } => {}
        }
    }

    /// Looks at the facts. True if from now on something else is acted on.
    pub(super) fn settle(&mut self, now: Duration) -> bool {
        let (finding, at_once) = self.weigh(now);
        if finding == self.current {
            self.pending = None;
            return false;
        }
        let first = self.pending.as_ref().map_or(now, |pending| pending.first);
        let since = match &self.pending {
            Some(pending) if pending.finding == finding => pending.since,
            _ => now,
        };
        let settled = now.saturating_sub(since) >= SETTLE || now.saturating_sub(first) >= SETTLE_AT_MOST;
        if at_once || settled {
            self.current = finding;
            self.pending = None;
            return true;
        }
        self.pending = Some(Pending { finding, since, first });
        false
    }

    /// What the facts come to, and whether it needs no time to settle.
    fn weigh(&self, now: Duration) -> (Finding, bool) {
        if !self.configured.is_empty() {
            return (public(self.configured.clone()), true);
        }
        if self.scope == Scope::Private {
            let addresses: BTreeSet<_> = self.interfaces.union(&self.mapped).cloned().collect();
            let nowhere = addresses.is_empty();
            return (if nowhere { Finding::default() } else { public(addresses) }, true);
        }
        let families = [(Family::V4, &self.v4), (Family::V6, &self.v6)];
        let judged = families.map(|(family, evidence)| self.judge(family, evidence, now));
        let addresses: BTreeSet<_> = judged.iter().flat_map(|(_, addresses)| addresses).cloned().collect();
        if !addresses.is_empty() {
            // A machine's own address needs no time: it is there, or it is not.
            let at_once = addresses.iter().all(|address| self.interfaces.contains(address))
                && self.current.verdict != Verdict::Private;
            return (public(addresses), at_once);
        }
        let refused = judged.iter().any(|(verdict, _)| *verdict == Verdict::Private);
        let verdict = if refused { Verdict::Private } else { Verdict::Unknown };
        if verdict == Verdict::Unknown && self.current.verdict == Verdict::Public {
            // Whoever could tell is away. What nothing speaks against stays; an own address that is gone does not.
            let stays: BTreeSet<_> =
                self.current.addresses.iter().filter(|address| self.is_tenable(address)).cloned().collect();
            let gone = stays.len() < self.current.addresses.len();
            return if stays.is_empty() { (Finding::default(), true) } else { (public(stays), gone) };
        }
        if verdict == Verdict::Unknown && self.current.verdict == Verdict::Private {
            return (self.current.clone(), false);
        }
        (Finding { verdict, addresses }, false)
    }

    fn judge(&self, family: Family, evidence: &Evidence, now: Duration) -> (Verdict, BTreeSet<Multiaddr>) {
        let of_family = |address: &&Multiaddr| kind(address).is_some_and(|(its, _)| its == family);
        let proved: BTreeSet<Multiaddr> = evidence
            .proofs
            .values()
            .chain(evidence.dialled.iter().filter(|(_, by)| by.len() >= DIALLED_BY).map(|(at, _)| at))
            .filter(|address| self.is_where_most_see_us(address))
            .cloned()
            .collect();
        let own = self.interfaces.union(&self.mapped).filter(of_family).cloned();
        let seen = self
            .seen_by_enough()
            .into_iter()
            .filter(|address| of_family(&address) && !self.is_forwarded_elsewhere(address));
        if !proved.is_empty() {
            let ips: BTreeSet<_> = proved.iter().filter_map(ip).collect();
            let seen_there = seen.filter(|address| ip(address).is_some_and(|ip| ips.contains(&ip)));
            let addresses = proved.iter().cloned().chain(own).chain(seen_there).collect();
            return (Verdict::Public, addresses);
        }
        if evidence.is_denied(now) {
            return (Verdict::Private, BTreeSet::new());
        }
        let waited = self.seen_since.is_some_and(|since| now.saturating_sub(since) >= UNPROVED);
        let waited = waited && evidence.denials.is_empty();
        // To be seen there is no sign that what led to us there does so again.
        let seen = seen.filter(|address| waited && !self.lost.contains(address));
        let addresses: BTreeSet<_> = own.chain(seen).collect();
        let verdict = if addresses.is_empty() { Verdict::Unknown } else { Verdict::Public };
        (verdict, addresses)
    }

    /// Addresses from which enough peers see us come.
    fn seen_by_enough(&self) -> BTreeSet<Multiaddr> {
        let mut counts: BTreeMap<&Multiaddr, usize> = BTreeMap::new();
        for address in self.seen.values().flatten() {
            *counts.entry(address).or_default() += 1;
        }
        let enough = counts.into_iter().filter(|(_, count)| *count >= SEEN_BY);
        enough.map(|(address, _)| address.clone()).collect()
    }

    /// Whether a router forwards another port of its address to us: it does not let others in at this one.
    fn is_forwarded_elsewhere(&self, address: &Multiaddr) -> bool {
        let alike = |mapped: &&Multiaddr| ip(mapped) == ip(address) && kind(mapped) == kind(address);
        !self.mapped.contains(address) && self.mapped.iter().any(|mapped| alike(&mapped))
    }

    /// Whether no other IP address of its family has more peers who see us there.
    fn is_where_most_see_us(&self, address: &Multiaddr) -> bool {
        let (Some(ip), Some((family, _))) = (ip(address), kind(address)) else { return true };
        if self.interfaces.iter().any(|own| self::ip(own) == Some(ip)) {
            return true;
        }
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for seen in self.seen.values() {
            let ips: BTreeSet<IpAddr> = seen
                .iter()
                .filter(|at| kind(at).is_some_and(|(its, _)| its == family))
                .filter_map(self::ip)
                .collect();
            for ip in ips {
                *counts.entry(ip).or_default() += 1;
            }
        }
        let here = counts.get(&ip).copied().unwrap_or(0);
        counts.values().all(|there| *there <= here)
    }

    /// Whether an address that is announced may stay so while nobody tells anything.
    fn is_tenable(&self, address: &Multiaddr) -> bool {
        !self.lost.contains(address) && self.is_where_most_see_us(address)
    }

    /// An address of ours is gone, and whatever was proved of it.
    fn lose(&mut self, at: Multiaddr) {
        if let Some((family, _)) = kind(&at) {
            let evidence = self.evidence(family);
            evidence.proofs.retain(|_, proof| *proof != at);
            evidence.dialled.remove(&at);
        }
        if self.lost.len() < KEPT {
            self.lost.insert(at);
        }
    }

    fn takes(&self, address: &Multiaddr, known: &BTreeSet<Multiaddr>) -> bool {
        self.scope.allows(address) && (known.len() < KEPT || known.contains(address))
    }

    fn evidence(&mut self, family: Family) -> &mut Evidence {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

fn public(addresses: BTreeSet<Multiaddr>) -> Finding {
    Finding { verdict: Verdict::Public, addresses }
}
