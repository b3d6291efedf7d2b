//! How long a failed child waits before it is started again. Pure data: time and chance are given in.

use std::time::Duration;

/// A first restart comes within this time, whatever the settings say: the operator's contract.
pub const LONGEST_FIRST_DELAY: Duration = Duration::from_millis(500);

/// More jitter than half would make the delays' order a matter of luck, and a whole one a delay of nothing.
const MOST_JITTER: f64 = 0.5;

/// Doubling delays with a cap. A delay is shortened at random, never lengthened, so that `cap` is a cap.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The delay before the first restart; at most [`LONGEST_FIRST_DELAY`].
    pub first: Duration,
    /// No delay is longer.
    pub cap: Duration,
    /// The part of a delay, from 0 to 0.5, by which it may be shortened.
    pub jitter: f64,
    /// A child that served this long was healthy: its next failure counts as the first again.
    pub reset_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            // Shorter than anybody's patience, longer than a loop that eats a core.
            first: Duration::from_millis(100),
            // A cause outside of the process, such as a full disk, is looked at again this often.
            cap: Duration::from_secs(4),
            jitter: 0.2,
            reset_after: Duration::from_secs(10),
        }
    }
}

/// A backoff that cannot be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BackoffError {
    /// An actor that fails at once would be restarted without end.
    #[error("the first delay must be longer than nothing")]
    NoFirst,
    /// A crashed actor's first restart must come soon.
    #[error("the first delay {first:?} is longer than {LONGEST_FIRST_DELAY:?}")]
    FirstTooLong {
        /// The delay that was asked for.
        first: Duration,
    },
    /// The delays would have to shrink.
    #[error("the cap {cap:?} is shorter than the first delay {first:?}")]
    CapBelowFirst {
        /// The cap that was asked for.
        cap: Duration,
        /// The first delay.
        first: Duration,
    },
    /// Not a number, or out of its range.
    #[error("jitter must lie between 0 and {MOST_JITTER}")]
    Jitter,
    /// An actor that lives no longer than it waits is not healthy.
    #[error("reset_after {reset_after:?} must be at least the cap {cap:?}")]
    ResetTooSoon {
        /// The time after which a child counts as healthy.
        reset_after: Duration,
        /// The longest delay.
        cap: Duration,
    },
}

impl Backoff {
    /// Refuses what cannot be meant.
    pub fn validate(&self) -> Result<(), BackoffError> {
        let Self { first, cap, jitter, reset_after } = *self;
        if first.is_zero() {
            Err(BackoffError::NoFirst)
        } else if first > LONGEST_FIRST_DELAY {
            Err(BackoffError::FirstTooLong { first })
        } else if cap < first {
            Err(BackoffError::CapBelowFirst { cap, first })
        } else if !(0.0..=MOST_JITTER).contains(&jitter) {
            Err(BackoffError::Jitter)
        } else if reset_after < cap {
            Err(BackoffError::ResetTooSoon { reset_after, cap })
        } else {
            Ok(())
        }
    }

    /// The delay after `failures` failures in a row (1 for the first), without jitter.
    pub fn longest_delay(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1);
        let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.cap)
    }

    /// The same with jitter; `chance` is drawn from 0 to 1.
    pub fn delay(&self, failures: u32, chance: f64) -> Duration {
        self.longest_delay(failures).mul_f64(1.0 - self.jitter * chance.clamp(0.0, 1.0))
    }

    /// The longest time that the first `restarts` delays can take together.
    pub fn longest_total(&self, restarts: u32) -> Duration {
        let mut total = Duration::ZERO;
        for failures in 1..=restarts {
            let delay = self.longest_delay(failures);
            if delay == self.longest_delay(failures + 1) {
                let rest = restarts - failures + 1;
                return total.saturating_add(delay.saturating_mul(rest));
            }
            total = total.saturating_add(delay);
        }
        total
    }
}

/// Where one child stands in its backoff.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Streak {
    failures: u32,
}

impl Streak {
    /// The child went down after serving this long; whoever was healthy starts a new streak.
    pub(super) fn interrupted(&mut self, backoff: &Backoff, served: Duration) {
        if served >= backoff.reset_after {
            self.failures = 0;
        }
    }

    /// The child failed: the delay to wait.
    pub(super) fn failed(&mut self, backoff: &Backoff, chance: f64) -> Duration {
        self.failures = self.failures.saturating_add(1);
        backoff.delay(self.failures, chance)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_backoff() -> impl Strategy<Value = Backoff> {
        (1..=600u64, 0..=20_000u64, -0.1..0.7, 0..=40_000u64).prop_map(|(first, cap, jitter, reset)| {
            Backoff {
                first: Duration::from_millis(first),
                cap: Duration::from_millis(cap),
                jitter,
                reset_after: Duration::from_millis(reset),
            }
        })
    }

    proptest! {
        #[test]
        fn a_valid_backoff_keeps_its_promises(
            backoff in any_backoff().prop_filter("valid", |backoff| backoff.validate().is_ok()),
            chances in proptest::collection::vec(0.0..1.0, 1..60),
        ) {
            let mut streak = Streak::default();
            let mut longest = Duration::ZERO;
            let mut total = Duration::ZERO;
            for (before, chance) in chances.iter().enumerate() {
                let failures = before as u32 + 1;
                let delay = streak.failed(&backoff, *chance);
                prop_assert!(before > 0 || delay <= LONGEST_FIRST_DELAY);
                prop_assert!(!delay.is_zero() && delay <= backoff.cap);
                prop_assert!(delay >= backoff.longest_delay(failures).mul_f64(0.499));
                prop_assert!(backoff.longest_delay(failures) >= longest, "delays never shrink");
                longest = backoff.longest_delay(failures);
                total += longest;
                prop_assert_eq!(backoff.longest_total(failures), total);
            }
            streak.interrupted(&backoff, backoff.reset_after.saturating_sub(Duration::from_nanos(1)));
            prop_assert_ne!(streak, Streak::default(), "it was not healthy for long enough");
            streak.interrupted(&backoff, backoff.reset_after);
            prop_assert!(streak.failed(&backoff, 0.0) <= LONGEST_FIRST_DELAY);
        }

        #[test]
        fn the_largest_numbers_overflow_nothing(failures in any::<u32>(), millis in any::<u64>()) {
            let huge = Duration::from_millis(millis);
            let backoff = Backoff { cap: huge, reset_after: huge, ..Backoff::default() };
            prop_assert!(backoff.longest_delay(failures) <= huge);
            prop_assert!(backoff.longest_total(failures) >= backoff.longest_delay(failures));
            prop_assert!(backoff.delay(failures, 1.0) <= huge);
        }
    }

    #[test]
    fn delays_double_up_to_the_cap() {
        let backoff = Backoff { jitter: 0.0, ..Backoff::default() };
        let delays: Vec<_> = (1..=8).map(|failures| backoff.delay(failures, 0.5).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 4000, 4000]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let good = Backoff::default();
        assert_eq!(good.validate(), Ok(()));
        let (first, cap) = (Duration::from_millis(501), Duration::from_millis(99));
        let refused = [
            (Backoff { first: Duration::ZERO, ..good }, BackoffError::NoFirst),
            (Backoff { first, ..good }, BackoffError::FirstTooLong { first }),
            (Backoff { cap, ..good }, BackoffError::CapBelowFirst { cap, first: good.first }),
            (Backoff { jitter: f64::NAN, ..good }, BackoffError::Jitter),
            (Backoff { jitter: -0.1, ..good }, BackoffError::Jitter),
            (Backoff { jitter: 0.6, ..good }, BackoffError::Jitter),
            (
                Backoff { reset_after: cap, ..good },
                BackoffError::ResetTooSoon { reset_after: cap, cap: good.cap },
            ),
        ];
        for (backoff, error) in refused {
            assert_eq!(backoff.validate(), Err(error));
        }
    }
}
