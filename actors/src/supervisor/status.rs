//! What can be seen of a tree from outside.

use serde::Serialize;

use super::policy::Strategy;

/// The whole tree at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TreeStatus {
    /// What the tree is doing.
    pub state: TreeState,
    /// Every actor, in the order in which they are started.
    pub actors: Vec<ActorStatus>,
    /// Every supervisor, the root first.
    pub supervisors: Vec<SupervisorStatus>,
    /// Panics in this process that belonged to no supervised actor's own task, such as one inside a
    /// `ResponseFuture`, which ends one request and nothing else.
    pub stray_panics: u64,
}

impl TreeStatus {
    /// The actors that have answered no probe lately, although they should, and although they were given the time to be
    /// restarted. One that waits for another's start or was stopped is not among them.
    pub fn silent(&self) -> impl Iterator<Item = &ActorStatus> {
        let runs = matches!(self.state, TreeState::Starting | TreeState::Running);
        self.actors.iter().filter(move |actor| runs && actor.is_silent())
    }
}

/// What a tree is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeState {
    /// Some actor is not serving yet, or not at the moment.
    Starting,
    /// Every actor serves.
    Running,
    /// The actors are being stopped.
    Stopping,
    /// There are no actors any more.
    Ended,
}

/// One actor at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ActorStatus {
    /// Its name, unique in the tree.
    pub name: String,
    /// The supervisor right above it.
    pub supervisor: String,
    /// What it is doing.
    pub state: ActorState,
    /// How often it was started again after an exit of its own.
    pub restarts: u64,
    /// Which incarnation this is; 0 before the first.
    pub generation: u64,
    /// Exits by panic.
    pub panics: u64,
    /// Times that it was aborted because it was not ready, or did not answer, in time.
    pub hangs: u64,
    /// Times that it went down because of another actor's failure.
    pub rebuilds: u64,
    /// Why it last failed.
    pub last_error: Option<String>,
    /// How long ago that was.
    pub last_error_seconds_ago: Option<f64>,
    /// How long it has been serving without a break.
    pub uptime_seconds: Option<f64>,
    /// How long it will wait before its next start.
    pub backoff_seconds: Option<f64>,
    /// How long ago this incarnation last answered a probe, with its report.
    pub answered_seconds_ago: Option<f64>,
    /// How long ago any incarnation of it last answered, or was due to begin.
    pub silent_seconds: f64,
    /// For how long it may be silent: beyond that even its restart has not helped.
    pub tolerated_silence_seconds: f64,
    /// What this incarnation last answered.
    pub report: Option<serde_json::Value>,
}

impl ActorStatus {
    fn is_silent(&self) -> bool {
        let due = !matches!(self.state, ActorState::Waiting | ActorState::Draining | ActorState::Stopped);
        due && self.silent_seconds > self.tolerated_silence_seconds
    }
}

/// What an actor is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorState {
    /// Not started: its turn has not come.
    Waiting,
    /// Started, and not ready yet.
    Starting,
    /// Serving.
    Running,
    /// Failed, and waiting until it may be started again.
    Backoff,
    /// Finishing its work before it is stopped.
    Draining,
    /// Told to stop.
    Stopping,
    /// Ended, and not to be started again.
    Stopped,
}

/// One supervisor at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SupervisorStatus {
    /// Its name, unique in the tree.
    pub name: String,
    /// Whom the failure of one child concerns.
    pub strategy: Strategy,
    /// How often all of its children were started again because one of them failed too often.
    pub restarts: u64,
    /// Why that last happened.
    pub last_error: Option<String>,
}
