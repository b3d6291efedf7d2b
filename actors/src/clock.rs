//! Where the actors take swarm time from.

use std::{sync::Arc, time::SystemTime};

use hivemind_proto::time::{Clock, DhtTime};

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
