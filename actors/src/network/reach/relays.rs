//! Which relays we hold a reservation at: as data. It says whom to ask for one, and hears what became of it.
//!
//! A few at a time, so that losing one leaves us reachable: first those that the operator names, then peers that serve
//! as relays. A relay that refuses or is lost rests, longer each time. Renewal before a reservation expires is the
//! work of libp2p's relay client.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use libp2p::{Multiaddr, PeerId};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// Reservations at a time.
pub(super) const HELD: usize = 2;

/// The first rest of a relay that refused or was lost, doubled each time up to the longest, with up to as much again.
pub(super) const REST: Duration = Duration::from_secs(5);
/// See [`REST`].
const LONGEST_REST: Duration = Duration::from_secs(600);

/// A reservation that was held so long makes up for earlier failures.
const GOOD_WHILE: Duration = Duration::from_secs(300);

/// Relays among the connected peers that are remembered.
const DISCOVERED: usize = 64;

/// Relays whose failures are remembered.
const RESTING: usize = 256;

/// How far a reservation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Asked,
    Held { since: Duration },
}

/// When a relay may be asked again.
#[derive(Debug, Clone, Copy)]
struct Rest {
    failures: u32,
    until: Duration,
}

/// All relays that are known.
#[derive(Debug)]
pub(super) struct Relays {
    configured: Vec<(PeerId, Multiaddr)>,
    discovered: BTreeMap<PeerId, Multiaddr>,
    reservations: BTreeMap<PeerId, Stage>,
    resting: HashMap<PeerId, Rest>,
    rng: SmallRng,
}

impl Relays {
    pub(super) fn new(configured: Vec<(PeerId, Multiaddr)>, seed: u64) -> Self {
        Self {
            configured,
            discovered: BTreeMap::new(),
            reservations: BTreeMap::new(),
            resting: HashMap::new(),
            rng: SmallRng::seed_from_u64(seed),
        }
    }

    /// A connected peer serves as relay there.
    pub(super) fn discovered(&mut self, relay: PeerId, at: Multiaddr) {
        if self.discovered.len() < DISCOVERED || self.discovered.contains_key(&relay) {
            self.discovered.insert(relay, at);
        }
    }

    /// A peer does not serve as relay, or is gone.
    pub(super) fn undiscovered(&mut self, relay: &PeerId) {
        self.discovered.remove(relay);
    }

    /// Whom to ask now, and where it is: those count as asked from now on.
    pub(super) fn ask(&mut self, now: Duration) -> Vec<(PeerId, Multiaddr)> {
        let wanted = HELD.saturating_sub(self.reservations.len());
        let known = self.configured.iter().map(|(relay, at)| (relay, at)).chain(&self.discovered);
        let mut asked: Vec<(PeerId, Multiaddr)> = Vec::new();
        for (relay, at) in known {
            let rests = self.resting.get(relay).is_some_and(|rest| rest.until > now);
            let is_asked = asked.iter().any(|(other, _)| other == relay);
            if asked.len() < wanted && !rests && !is_asked && !self.reservations.contains_key(relay) {
                asked.push((*relay, at.clone()));
            }
        }
        self.reservations.extend(asked.iter().map(|(relay, _)| (*relay, Stage::Asked)));
        asked
    }

    /// The relay gave a reservation, or renewed it. True if it is new.
    pub(super) fn held(&mut self, relay: PeerId, now: Duration) -> bool {
        match self.reservations.get_mut(&relay) {
            Some(stage @ Stage::Asked) => {
                *stage = Stage::Held { since: now };
                true
            }
            _ => false,
        }
    }

    /// There is no reservation, or not any more: how long the relay rests. `None` if there was none.
    pub(super) fn lost(&mut self, relay: &PeerId, now: Duration) -> Option<Duration> {
        let stage = self.reservations.remove(relay)?;
        if let Stage::Held { since } = stage
            && now.saturating_sub(since) >= GOOD_WHILE
        {
            self.resting.remove(relay);
        }
        self.resting.retain(|_, rest| rest.until + LONGEST_REST > now);
        let failures = self.resting.get(relay).map_or(0, |rest| rest.failures);
        let rest = REST.saturating_mul(1 << failures.min(16)).min(LONGEST_REST);
        let rest = rest + rest.mul_f64(self.rng.random::<f64>());
        if self.resting.len() < RESTING || self.resting.contains_key(relay) {
            self.resting.insert(*relay, Rest { failures: failures + 1, until: now + rest });
        }
        Some(rest)
    }

    /// Nobody needs relays any more: those that were asked or gave a reservation.
    pub(super) fn release(&mut self) -> Vec<PeerId> {
        std::mem::take(&mut self.reservations).into_keys().collect()
    }

    /// Where we have a reservation.
    pub(super) fn holding(&self) -> impl Iterator<Item = &PeerId> {
        let held = self.reservations.iter().filter(|(_, stage)| matches!(stage, Stage::Held { .. }));
        held.map(|(relay, _)| relay)
    }

    /// How many could be asked, now or later.
    pub(super) fn known(&self) -> usize {
        let named = self.configured.iter().filter(|(relay, _)| !self.discovered.contains_key(relay));
        self.discovered.len() + named.count()
    }
}
