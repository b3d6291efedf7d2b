//! When restarting has stopped to help, and the failure is handed upwards. Pure data: time is given in.
//!
//! OTP counts the restarts of all children of a supervisor together. Here each child is counted alone: that many
//! children fail now and then is weather, that one fails again and again is not.

use std::{collections::VecDeque, time::Duration};

use super::backoff::Backoff;

/// The most restarts that an intensity may allow: each is remembered until its time has passed.
pub const MOST_RESTARTS: u32 = 1000;

/// At most so many restarts of one child within so much time; one more and its supervisor fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intensity {
    /// Restarts that are tolerated, at most [`MOST_RESTARTS`].
    pub restarts: u32,
    /// The time that is looked back upon.
    pub within: Duration,
}

impl Default for Intensity {
    fn default() -> Self {
        // With the default backoff, an actor that fails at once is given up after 83 s at the latest, while one that
        // fails every 5 s for reasons of its own is not.
        Self { restarts: 25, within: Duration::from_secs(120) }
    }
}

/// An intensity that cannot be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IntensityError {
    /// It would be remembered for months.
    #[error("{restarts} restarts are more than {MOST_RESTARTS}")]
    TooMany {
        /// The number that was asked for.
        restarts: u32,
    },
    /// No two failures ever lie within it.
    #[error("the time must be longer than nothing")]
    NoTime,
    /// Nothing would ever be escalated.
    #[error(
        "{restarts} restarts within {within:?} can never be exceeded: with the backoff they take up to {takes:?}"
    )]
    NeverTrips {
        /// The restarts that are tolerated.
        restarts: u32,
        /// The time that is looked back upon.
        within: Duration,
        /// How long that many restarts can take.
        takes: Duration,
    },
}

impl Intensity {
    /// For a supervisor of supervisors: with the defaults, one of those takes 83 s to fail, four times in a row 5.5
    /// minutes.
    pub const OF_SUPERVISORS: Self = Self { restarts: 3, within: Duration::from_secs(1800) };

    /// Refuses what cannot be meant. `backoff` is that of a child, and `to_fail` the time that the child itself can
    /// take to fail: nothing for an actor, the time to give up for a supervisor.
    pub fn validate(&self, backoff: &Backoff, to_fail: Duration) -> Result<(), IntensityError> {
        let Self { restarts, within } = *self;
        let takes = self.time_to_trip(backoff, to_fail);
        if restarts > MOST_RESTARTS {
            Err(IntensityError::TooMany { restarts })
        } else if within.is_zero() {
            Err(IntensityError::NoTime)
        } else if takes > within {
            Err(IntensityError::NeverTrips { restarts, within, takes })
        } else {
            Ok(())
        }
    }

    /// The longest time from the first failure to the one too many, of a child that fails whenever it is started.
    pub fn time_to_trip(&self, backoff: &Backoff, to_fail: Duration) -> Duration {
        backoff.longest_total(self.restarts).saturating_add(to_fail.saturating_mul(self.restarts))
    }
}

/// The recent failures of one child.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Recent(VecDeque<Duration>);

impl Recent {
    /// Notes a failure at `now` and tells whether it is one too many. Times are measured from any fixed moment.
    pub(super) fn failed(&mut self, intensity: &Intensity, now: Duration) -> bool {
        self.0.push_back(now);
        while self.0.front().is_some_and(|&at| now.saturating_sub(at) > intensity.within) {
            self.0.pop_front();
        }
        self.0.len() > intensity.restarts as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::supervisor::backoff::Streak;

    /// Fails a child whenever it is started, and says after how many failures it is given up, if at all.
    fn given_up_after(intensity: &Intensity, backoff: &Backoff, chance: impl Fn(u32) -> f64) -> Option<u32> {
        let (mut recent, mut streak, mut now) = (Recent::default(), Streak::default(), Duration::ZERO);
        (1..=3 * intensity.restarts + 3).find(|&failures| {
            let over = recent.failed(intensity, now);
            now += streak.failed(backoff, chance(failures));
            over
        })
    }

    fn any_intensity() -> impl Strategy<Value = (Intensity, Backoff)> {
        (0..40u32, 1..200_000u64, 1..=500u64, 1..10_000u64).prop_map(|(restarts, within, first, more)| {
            let first = Duration::from_millis(first);
            let cap = first + Duration::from_millis(more);
            let backoff = Backoff { first, cap, jitter: 0.3, reset_after: cap };
            (Intensity { restarts, within: Duration::from_millis(within) }, backoff)
        })
    }

    proptest! {
        #[test]
        fn what_is_accepted_always_trips_and_what_is_refused_need_not(
            (intensity, backoff) in any_intensity(), chances in proptest::collection::vec(0.0..1.0, 150),
        ) {
            match intensity.validate(&backoff, Duration::ZERO) {
                Ok(()) => {
                    let after = given_up_after(&intensity, &backoff, |failures| chances[failures as usize]);
                    prop_assert_eq!(after, Some(intensity.restarts + 1));
                }
                Err(_) => prop_assert_eq!(given_up_after(&intensity, &backoff, |_| 0.0), None),
            }
        }

        #[test]
        fn no_more_restarts_than_allowed_lie_within_the_time(
            (intensity, _) in any_intensity(), gaps in proptest::collection::vec(0..20_000u64, 1..200),
        ) {
            let (mut recent, mut now, mut all) = (Recent::default(), Duration::ZERO, Vec::new());
            for gap in gaps {
                now += Duration::from_millis(gap);
                all.push(now);
                let within = all.iter().filter(|&&at| now - at <= intensity.within).count();
                let over = recent.failed(&intensity, now);
                prop_assert_eq!(over, within > intensity.restarts as usize);
                if over {
                    break;
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let backoff = Backoff::default();
        let good = Intensity::default();
        assert_eq!(good.validate(&backoff, Duration::ZERO), Ok(()));
        assert!(matches!(
            good.validate(&backoff, Duration::from_secs(2)),
            Err(IntensityError::NeverTrips { .. })
        ));
        let many = Intensity { restarts: MOST_RESTARTS + 1, within: Duration::MAX };
        assert_eq!(
            many.validate(&backoff, Duration::ZERO),
            Err(IntensityError::TooMany { restarts: MOST_RESTARTS + 1 })
        );
        let none = Intensity { restarts: 0, within: Duration::ZERO };
        assert_eq!(none.validate(&backoff, Duration::ZERO), Err(IntensityError::NoTime));
    }
}
