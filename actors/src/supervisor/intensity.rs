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
