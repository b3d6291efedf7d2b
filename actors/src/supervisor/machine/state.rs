//! What is true of one node at a time.

use std::time::Duration;

use crate::supervisor::{backoff::Streak, intensity::Recent};

use super::Moment;

/// What an actor is doing. For a supervisor's node only `Down` and `Ended` are used.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Phase {
    /// Not alive, and to be started when its turn and its backoff allow.
    Down,
    Starting {
        deadline: Moment,
    },
    Serving {
        probe: ProbeState,
    },
    Draining {
        deadline: Moment,
    },
    Stopping {
        deadline: Moment,
    },
    /// Aborted; its exit has not been seen yet.
    Aborting {
        why: Why,
    },
    /// Not alive, and not to be started.
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum ProbeState {
    Due { at: Moment },
    Asked { deadline: Moment },
}

/// Why an actor was aborted, and so what follows.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Why {
    Failure(String),
    Rebuild,
    Stop,
}

/// What is true of a node now.
#[derive(Debug)]
pub(super) struct State {
    pub(super) phase: Phase,
    pub(super) generation: u64,
    /// Goes down because of another's failure, and is still alive.
    pub(super) condemned: bool,
    /// Failed since it last served: it holds up no independent sibling.
    pub(super) troubled: bool,
    /// Not to be started before.
    pub(super) not_before: Moment,
    pub(super) serving_since: Option<Moment>,
    pub(super) streak: Streak,
    pub(super) recent: Recent,
    /// The failure that its next start answers.
    pub(super) answers: Option<(String, Duration)>,
    /// It went down by a rebuild.
    pub(super) rebuilt: bool,
    /// Its supervisor has failed: even a temporary child is started again.
    pub(super) afresh: bool,
    pub(super) restarts: u64,
    pub(super) rebuilds: u64,
    pub(super) panics: u64,
    pub(super) hangs: u64,
    pub(super) last_error: Option<(String, Moment)>,
    pub(super) answer: Option<(serde_json::Value, Moment)>,
    /// When any incarnation last answered a probe, or this one was started for another reason than its own failure.
    pub(super) heard: Moment,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Down,
            generation: 0,
            condemned: false,
            troubled: false,
            not_before: Moment::ZERO,
            serving_since: None,
            streak: Streak::default(),
            recent: Recent::default(),
            answers: None,
            rebuilt: false,
            afresh: false,
            restarts: 0,
            rebuilds: 0,
            panics: 0,
            hangs: 0,
            last_error: None,
            answer: None,
            heard: Moment::ZERO,
        }
    }

    pub(super) fn alive(&self) -> bool {
        !matches!(self.phase, Phase::Down | Phase::Ended)
    }
}
