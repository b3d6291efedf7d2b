//! How often something may happen: at a steady rate, with a burst that is saved up while nothing happens (a token
//! bucket). Time is given in, as seconds since any fixed moment.

use std::{collections::HashMap, hash::Hash};

/// How much may be taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// At once, after a pause.
    pub burst: f64,
    /// In the long run, each second.
    pub per_second: f64,
}

impl Rate {
    /// How long an empty allowance takes to be full again, in seconds.
    fn refill_seconds(self) -> f64 {
        self.burst / self.per_second
    }
}

/// What is left to be taken.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    left: f64,
    at: f64,
}

impl Allowance {
    /// A full one.
    pub fn full(rate: Rate, now: f64) -> Self {
        Self { left: rate.burst, at: now }
    }

    /// Takes `amount` if so much is left; otherwise nothing is taken.
    pub fn take(&mut self, rate: Rate, amount: f64, now: f64) -> bool {
        // A clock that was set back adds nothing, and takes nothing away.
        let elapsed = (now - self.at).max(0.0);
        self.left = (self.left + elapsed * rate.per_second).min(rate.burst);
        self.at = now;
        let enough = self.left >= amount;
        if enough {
            self.left -= amount;
        }
        enough
    }
}

/// An allowance for each of many, of whom a bounded number is remembered.
#[derive(Debug)]
pub struct Allowances<K> {
    rate: Rate,
    most: usize,
    each: HashMap<K, Allowance>,
    /// For all who find no place: they share one, so that new names bring nobody more.
    crowd: Allowance,
    /// When those who have a full allowance again were forgotten last.
    swept: f64,
}

impl<K: Eq + Hash> Allowances<K> {
    /// The same `rate` for each; at most `most` are told apart.
    pub fn new(rate: Rate, most: usize, now: f64) -> Self {
        Self { rate, most, each: HashMap::new(), crowd: Allowance::full(rate, now), swept: now }
    }

    /// Takes `amount` of the allowance of `who`.
    pub fn take(&mut self, who: K, amount: f64, now: f64) -> bool {
        let rate = self.rate;
        // At most once in that time, so that a full table is not searched at each call.
        if self.each.len() >= self.most && (now - self.swept).abs() >= rate.refill_seconds() {
            self.swept = now;
            self.each.retain(|_, allowance| (now - allowance.at).abs() < rate.refill_seconds());
        }
        if self.each.len() >= self.most && !self.each.contains_key(&who) {
            return self.crowd.take(rate, amount, now);
        }
        self.each.entry(who).or_insert_with(|| Allowance::full(rate, now)).take(rate, amount, now)
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { burst: 3.0, per_second: 0.5 };

    #[test]
    fn a_burst_then_the_rate() {
        let mut allowance = Allowance::full(RATE, 10.0);
        assert_eq!([10.0; 4].map(|now| allowance.take(RATE, 1.0, now)), [true, true, true, false]);
        assert!(!allowance.take(RATE, 1.0, 11.9));
        assert!(allowance.take(RATE, 1.0, 12.1));
        assert!(!allowance.take(RATE, 4.0, 1e9), "more than the burst is never there");
        assert!(allowance.take(RATE, 3.0, 1e9));
    }

    #[test]
    fn each_has_its_own_and_the_rest_share_one() {
        let mut allowances = Allowances::new(RATE, 2, 0.0);
        for who in [1, 2] {
            assert!(allowances.take(who, 3.0, 0.0) && !allowances.take(who, 1.0, 0.0));
        }
        assert!(
            allowances.take(3, 2.0, 0.0) && allowances.take(4, 1.0, 0.0) && !allowances.take(5, 1.0, 0.0)
        );
        // Those who were idle for long enough make place.
        assert!(allowances.take(3, 1.0, 100.0));
        assert_eq!(allowances.len(), 1);
    }

    proptest! {
        /// Whatever is tried, and however the clock jumps ahead: never more than burst and rate together.
        #[test]
        fn never_more_than_promised(tries in prop::collection::vec((0.0..5.0f64, 0.1..2.0f64), 1..200)) {
            let (mut now, mut taken) = (0.0, 0.0);
            let mut allowance = Allowance::full(RATE, now);
            for (pause, amount) in tries {
                now += pause;
                if allowance.take(RATE, amount, now) {
                    taken += amount;
                }
                prop_assert!(taken <= RATE.burst + RATE.per_second * now + 1e-6);
            }
        }
    }
}
