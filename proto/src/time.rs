//! Swarm time: Unix seconds as a double, which is how hivemind writes every expiration and `dht_time`
//! (`hivemind/utils/timed_storage.py`, `get_dht_time`).
//!
//! This crate never reads a clock. Whoever drives it hands in the moment, so that a test can move it at will.

use std::{
    cmp::Ordering,
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

/// A moment in swarm time. Always finite, therefore totally ordered.
#[derive(Clone, Copy, PartialEq)]
pub struct DhtTime(f64);

impl DhtTime {
    /// The moment `seconds` after the Unix epoch; `None` for NaN and the infinities.
    pub fn from_unix(seconds: f64) -> Option<Self> {
        seconds.is_finite().then_some(Self(seconds))
    }

    /// The moment `since_epoch` after the Unix epoch.
    pub fn since_epoch(since_epoch: Duration) -> Self {
        Self(since_epoch.as_secs_f64())
    }

    /// Seconds since the Unix epoch.
    pub fn as_unix(self) -> f64 {
        self.0
    }

    /// Seconds from `earlier` until this moment, negative if `earlier` is later.
    pub fn seconds_since(self, earlier: DhtTime) -> f64 {
        self.0 - earlier.0
    }

    /// The time from `now` until this moment; zero once it has passed.
    pub fn time_left(self, now: DhtTime) -> Duration {
        Duration::try_from_secs_f64(self.0 - now.0).unwrap_or_default()
    }
}

impl Eq for DhtTime {}

impl PartialOrd for DhtTime {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DhtTime {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Add<Duration> for DhtTime {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0 + later.as_secs_f64())
    }
}

impl Sub<Duration> for DhtTime {
    type Output = Self;

    fn sub(self, earlier: Duration) -> Self {
        Self(self.0 - earlier.as_secs_f64())
    }
}

impl fmt::Debug for DhtTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

/// Where swarm time comes from: the system's clock in the program, a pausable one in tests.
pub trait Clock {
    /// The present moment.
    fn now(&self) -> DhtTime;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_finite_moments_exist() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(DhtTime::from_unix(bad), None);
        }
        assert!(DhtTime::from_unix(1.0) < DhtTime::from_unix(1.5));
    }

    #[test]
    fn time_left_never_turns_negative() {
        let now = DhtTime(100.0);
        assert_eq!(DhtTime(101.5).time_left(now), Duration::from_millis(1500));
        assert_eq!(DhtTime(99.0).time_left(now), Duration::ZERO);
    }
}
