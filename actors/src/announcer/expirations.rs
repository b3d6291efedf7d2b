//! When records expire: always later than those before them.

use std::time::Duration;

use hivemind_proto::{dht::StoreReport, time::DhtTime};

use super::{
    foreign::{Rival, rival},
    records::Named,
};

/// How far ahead of our own reckoning a record under our name may expire for us to outlive it: what another storage
/// of ours would accept at most.
const MAX_OUTLIVED: Duration = Duration::from_secs(24 * 3600);

/// By how much a record's expiration grows at least: expirations are doubles, and this is well above their grain.
const STEP: Duration = Duration::from_millis(1);

/// The latest expiration, of ours and of what we are to outlive.
#[derive(Debug, Default)]
pub(super) struct Expirations {
    last: Option<DhtTime>,
}

/// The next expiration that is fresher than `until`.
pub(super) fn after(until: DhtTime) -> DhtTime {
    until + STEP
}

impl Expirations {
    /// Of what is announced now, to last for `ttl`. Expirations only grow, so that each announcement is fresher than
    /// the one before, whatever the clock does. One that lies beyond what others take was reckoned by a wrong clock,
    /// and is not counted on from.
    pub(super) fn next(&mut self, now: DhtTime, ttl: Duration) -> DhtTime {
        let wanted = now + ttl;
        let last = self.last.filter(|last| *last <= now + MAX_OUTLIVED);
        let expiration = last.map_or(wanted, |last| wanted.max(after(last)));
        self.last = Some(expiration);
        expiration
    }

    /// Something under our name lives longer than what we stored: of an earlier life of ours with a longer TTL, or
    /// foreign. The next announcement is to outlive it, if others take one that does.
    pub(super) fn outlive(&mut self, announced: &[Named], report: &StoreReport, now: DhtTime) {
        let rivals = announced.iter().zip(&report.records);
        let outliving = rivals.filter_map(|(named, outcome)| match rival(named, outcome.found.as_ref()) {
            Rival::Outlives(until) => Some(until),
            Rival::None | Rival::Companion(_) => None,
        });
        let horizon = now + MAX_OUTLIVED;
        let (within, beyond): (Vec<DhtTime>, Vec<DhtTime>) = outliving.partition(|until| *until <= horizon);
        if let Some(until) = within.into_iter().max() {
            tracing::info!(?until, "a record under our name outlives ours, the next one will outlive it");
            self.last = self.last.max(Some(until));
        }
        if let Some(until) = beyond.into_iter().max() {
            tracing::debug!(?until, "a record under our name lives longer than ours may");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(60);

    fn at(seconds: f64) -> DhtTime {
        DhtTime::from_unix(1.7e9 + seconds).unwrap()
    }

    #[test]
    fn they_grow_though_the_clock_goes_back() {
        let mut expirations = Expirations::default();
        assert_eq!(expirations.next(at(0.0), TTL), at(60.0));
        let mut last = at(60.0);
        for now in [0.0, -50.0, -3600.0] {
            let next = expirations.next(at(now), TTL);
            assert!(next > last && next < at(61.0), "{next:?} at {now}");
            last = next;
        }
        assert_eq!(expirations.next(at(10.0), TTL), at(70.0));
    }

    #[test]
    fn what_a_wrong_clock_reckoned_is_not_counted_on_from() {
        let mut expirations = Expirations::default();
        expirations.next(at(1e6), TTL);
        assert_eq!(expirations.next(at(0.0), TTL), at(60.0));
    }
}
