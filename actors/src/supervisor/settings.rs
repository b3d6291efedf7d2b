//! How one child is treated: its restarts, its deadlines, its probes.

use std::time::Duration;

use super::{
    backoff::{Backoff, BackoffError},
    policy::Restart,
};

/// The treatment of one actor. The defaults suit an actor that starts without asking the network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChildSettings {
    /// Which exits are answered by a restart.
    pub restart: Restart,
    /// How long it waits before it is started again.
    pub backoff: Backoff,
    /// From its start to its readiness.
    pub start_deadline: Duration,
    /// From `Drain` to its end; then it is aborted.
    pub stop_deadline: Duration,
    /// Between an answer and the next probe.
    pub probe_period: Duration,
    /// From a probe to its answer.
    pub probe_deadline: Duration,
}

impl Default for ChildSettings {
    fn default() -> Self {
        Self {
            restart: Restart::Permanent,
            backoff: Backoff::default(),
            start_deadline: Duration::from_secs(30),
            // A service manager's patience, 90 s, is enough for a dozen actors that all use theirs up.
            stop_deadline: Duration::from_secs(5),
            // How old the reports are that the admin API tells, at most. A probe costs some 10 µs.
            probe_period: Duration::from_secs(1),
            probe_deadline: Duration::from_secs(5),
        }
    }
}

/// A setting that cannot be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// See the inner error.
    #[error("backoff: {0}")]
    Backoff(#[from] BackoffError),
    /// An actor that has no time at all fails always.
    #[error("{0} must be longer than nothing")]
    Zero(&'static str),
}

impl ChildSettings {
    /// How long an actor may go without an answer, its restarts included, until nothing that its supervisor does has
    /// helped: it was asked, given up, waited for and started once more.
    pub fn tolerated_silence(&self) -> Duration {
        [self.probe_period, self.probe_deadline, self.backoff.cap, self.start_deadline]
            .into_iter()
            .fold(Duration::ZERO, Duration::saturating_add)
    }

    /// Refuses what cannot be meant.
    pub fn validate(&self) -> Result<(), SettingsError> {
        self.backoff.validate()?;
        let times = [
            ("start_deadline", self.start_deadline),
            ("stop_deadline", self.stop_deadline),
            ("probe_period", self.probe_period),
            ("probe_deadline", self.probe_deadline),
        ];
        match times.iter().find(|(_, time)| time.is_zero()) {
            Some((name, _)) => Err(SettingsError::Zero(name)),
            None => Ok(()),
        }
    }
}
