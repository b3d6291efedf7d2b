//! Where the actors take swarm time from.

use std::{sync::Arc, time::SystemTime};

use hivemind_proto::time::{Clock, DhtTime};
use tokio::sync::watch;

/// A clock that several actors share.
pub type SharedClock = Arc<dyn Clock + Send + Sync>;

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn now(&self) -> DhtTime {
        // A clock before 1970 reads as 1970: every record would count as expired, which the operator sees.
        DhtTime::since_epoch(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
    }
}

/// A clock that follows tokio's, so that a test that pauses and advances tokio's time moves swarm time with it.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    start: tokio::time::Instant,
    start_unix: DhtTime,
}

impl TokioClock {
    /// Reads `unix` now, and moves with tokio's clock from here on.
    pub fn starting_at(unix: DhtTime) -> Self {
        Self { start: tokio::time::Instant::now(), start_unix: unix }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> DhtTime {
        self.start_unix + self.start.elapsed()
    }
}

/// Swarm time: a local clock, and what the dht actor adds to it while other nodes agree that it is wrong.
#[derive(Clone)]
pub struct SwarmClock {
    local: SharedClock,
    correction: watch::Receiver<Correction>,
}

/// What is added to the local clock. It is told again whenever the time leaps, because the correction changed or the
/// local clock was set.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Correction {
    /// Seconds; 0 while the local clock is right.
    pub seconds: f64,
}

impl SwarmClock {
    /// A clock that follows `local` and whoever holds the other end of `correction`.
    pub fn new(local: SharedClock, correction: watch::Receiver<Correction>) -> Self {
        Self { local, correction }
    }

    /// The correction, whenever the time leaps.
    pub fn leaps(&self) -> watch::Receiver<Correction> {
        self.correction.clone()
    }
}

impl Clock for SwarmClock {
    fn now(&self) -> DhtTime {
        let local = self.local.now();
        DhtTime::from_unix(local.as_unix() + self.correction.borrow().seconds).unwrap_or(local)
    }
}

impl std::fmt::Debug for SwarmClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SwarmClock({:?}, {:?})", self.now(), *self.correction.borrow())
    }
}
