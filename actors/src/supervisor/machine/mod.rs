//! The supervisor as data: told what happened and when, it says what is to be done. It knows no actix and no clock,
//! so that a test can put it through years of failures.
//!
//! It works by level, not by edge: an event changes what is true of one node, and [`order`] then looks at the whole
//! tree for what should be stopped or started next. So a second failure in the midst of a rebuild needs no special
//! case.

mod deadlines;
mod events;
mod failure;
mod order;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

pub(super) use events::{Effect, Exit, Fact, News};
use state::{Phase, ProbeState, State, Why};

use super::{
    plan::Node,
    policy::{ExitKind, Restart},
    tree::Outcome,
};

/// Time since the tree was started.
pub(super) type Moment = Duration;

/// What the tree as a whole is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Aim {
    Run,
    Stop(Outcome),
    Over,
}

/// The whole tree.
pub(super) struct Machine {
    nodes: Vec<Node>,
    states: Vec<State>,
    aim: Aim,
    effects: VecDeque<Effect>,
    /// Draws from 0 to 1, for jitter.
    chance: Box<dyn FnMut() -> f64>,
}

impl Machine {
    pub(super) fn new(nodes: Vec<Node>, chance: Box<dyn FnMut() -> f64>) -> Self {
        let states = nodes.iter().map(|_| State::new()).collect();
        Self { nodes, states, aim: Aim::Run, effects: VecDeque::new(), chance }
    }

    /// Starts the first actor.
    pub(super) fn begin(&mut self, now: Moment) {
        self.settle(now);
    }

    /// Something happened to an incarnation. News of an earlier one is ignored.
    pub(super) fn told(&mut self, id: usize, generation: u64, news: News, now: Moment) {
        if self.states[id].generation != generation {
            return;
        }
        match news {
            News::Ready => self.ready(id, now),
            News::Exited(exit) => self.exited(id, exit, now),
            News::Drained => {
                if let Phase::Draining { deadline } = self.states[id].phase {
                    self.states[id].phase = Phase::Stopping { deadline };
                    self.effects.push_back(Effect::Stop { id });
                }
            }
            News::Answered(report) => {
                let at = now.saturating_add(self.nodes[id].settings.probe_period);
                let state = &mut self.states[id];
                state.answer = Some((report, now));
                state.heard = now;
                if let Phase::Serving { probe } = &mut state.phase {
                    *probe = ProbeState::Due { at };
                }
            }
        }
        self.settle(now);
    }

    /// Stops everything, from the last actor to the first.
    pub(super) fn stop(&mut self, now: Moment) {
        if self.aim == Aim::Run {
            self.aim = Aim::Stop(Outcome::Drained);
        }
        self.settle(now);
    }

    pub(super) fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(super) fn name(&self, id: usize) -> &'static str {
        self.nodes[id].name
    }

    fn log(&mut self, fact: Fact) {
        self.effects.push_back(Effect::Log(fact));
    }

    fn ready(&mut self, id: usize, now: Moment) {
        let Phase::Starting { .. } = self.states[id].phase else { return };
        // The first probe comes at once, so that a status never lacks the report of one that serves.
        let at = now;
        let state = &mut self.states[id];
        state.phase = Phase::Serving { probe: ProbeState::Due { at } };
        state.serving_since = Some(now);
        state.troubled = false;
        let generation = state.generation;
        self.log(Fact::Ready { id, generation });
    }

    fn exited(&mut self, id: usize, exit: Exit, now: Moment) {
        let state = &mut self.states[id];
        if !state.alive() {
            return;
        }
        let phase = std::mem::replace(&mut state.phase, Phase::Down);
        let condemned = std::mem::take(&mut state.condemned);
        if let Exit::Panicked(cause) = &exit {
            state.panics += 1;
            state.last_error = Some((cause.clone(), now));
        }
        match (phase, exit) {
            (Phase::Draining { .. } | Phase::Stopping { .. } | Phase::Aborting { why: Why::Stop }, exit) => {
                state.phase = Phase::Ended;
                let restarts = state.restarts;
                self.interrupt(id, now);
                self.log(match exit {
                    Exit::Panicked(cause) => Fact::Crashed { id, cause, restarts, backoff: None },
                    Exit::Finished | Exit::Aborted => Fact::Stopped { id },
                });
            }
            (Phase::Aborting { why: Why::Rebuild }, _) => self.went_down(id, now),
            _ if condemned => self.went_down(id, now),
            (Phase::Aborting { why: Why::Failure(cause) }, _) => {
                self.failed(id, ExitKind::Failed, cause, now);
            }
            (_, Exit::Panicked(cause)) => self.failed(id, ExitKind::Failed, cause, now),
            (_, Exit::Aborted) => self.failed(id, ExitKind::Failed, "aborted from outside".to_owned(), now),
            (_, Exit::Finished) => {
                self.failed(id, ExitKind::Finished, "stopped by itself".to_owned(), now);
            }
        }
    }

    /// A condemned actor is gone.
    fn went_down(&mut self, id: usize, now: Moment) {
        let temporary = self.nodes[id].settings.restart == Restart::Temporary;
        let state = &mut self.states[id];
        let afresh = std::mem::take(&mut state.afresh);
        state.phase = if temporary && !afresh { Phase::Ended } else { Phase::Down };
        state.rebuilds += 1;
        state.rebuilt = true;
        self.interrupt(id, now);
    }

    /// A node no longer serves, and so no supervisor above it does.
    fn interrupt(&mut self, id: usize, now: Moment) {
        let mut at = Some(id);
        while let Some(id) = at {
            let node = &self.nodes[id];
            if let Some(since) = self.states[id].serving_since.take() {
                self.states[id].streak.interrupted(&node.settings.backoff, now.saturating_sub(since));
            }
            at = node.parent;
        }
    }

    fn is_actor(&self, id: usize) -> bool {
        self.nodes[id].branch.is_none()
    }
}
