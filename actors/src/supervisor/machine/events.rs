//! What the machine is told, and what it says in return.

use std::time::Duration;

use crate::supervisor::tree::Outcome;

/// How one life of an actor ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) enum Exit {
    Finished,
    Panicked(String),
    Aborted,
}

/// What happened to an incarnation.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::supervisor) enum News {
    Ready,
    Exited(Exit),
    Drained,
    Answered(serde_json::Value),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::supervisor) enum Effect {
    Start { id: usize, generation: u64 },
    Probe { id: usize },
    Drain { id: usize },
    Stop { id: usize },
    Abort { id: usize },
    Log(Fact),
    End(Outcome),
}

/// What is worth a line in the log.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::supervisor) enum Fact {
    Started { id: usize, generation: u64 },
    Restarted { id: usize, generation: u64, cause: String, restarts: u64, backoff: Duration },
    Rebuilt { id: usize, generation: u64, rebuilds: u64 },
    Ready { id: usize, generation: u64 },
    Crashed { id: usize, cause: String, restarts: u64, backoff: Option<Duration> },
    Finished { id: usize },
    Stopped { id: usize },
    StopTimedOut { id: usize, deadline: Duration },
    SupervisorFailed { id: usize, cause: String, restarts: u64, backoff: Duration },
    TreeReady,
    GaveUp { cause: String },
}
