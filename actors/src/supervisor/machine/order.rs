//! Who is started or stopped next, from what is true of the tree now.

use crate::supervisor::tree::Outcome;

use super::{Aim, Effect, Fact, Machine, Moment, Phase, Why};

/// How far a node has come, seen by the siblings that stand after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// It serves, or has done its work.
    Served,
    /// It has failed since it last served: whoever does not depend on it need not wait.
    Failed,
    /// It is on its way.
    Awaited,
}

impl Machine {
    /// Does whatever can be done now.
    pub(super) fn settle(&mut self, now: Moment) {
        match self.aim.clone() {
            Aim::Run => {
                if self.rebuild() {
                    return;
                }
                let was_serving = self.states[0].serving_since.is_some();
                self.advance(0, now);
                if !was_serving && self.states[0].serving_since.is_some() {
                    self.log(Fact::TreeReady);
                }
            }
            Aim::Stop(outcome) => self.stop_next(outcome, now),
            Aim::Over => {}
        }
    }

    /// Takes condemned actors down, the last first, each after the one below it is gone. They are not drained, since
    /// the node goes on. Whether any is left.
    fn rebuild(&mut self) -> bool {
        let going = |phase: &Phase| matches!(phase, Phase::Aborting { why: Why::Rebuild });
        let Some(id) = self.states.iter().rposition(|state| state.condemned || going(&state.phase)) else {
            return false;
        };
        if !going(&self.states[id].phase) {
            self.states[id].condemned = false;
            self.states[id].phase = Phase::Aborting { why: Why::Rebuild };
            self.effects.push_back(Effect::Abort { id });
        }
        true
    }

    /// Starts what can be started in a subtree, in order.
    fn advance(&mut self, id: usize, now: Moment) -> Turn {
        let unfinished = if self.states[id].troubled { Turn::Failed } else { Turn::Awaited };
        if self.states[id].phase == Phase::Down && now < self.states[id].not_before {
            return unfinished;
        }
        let Some(branch) = self.nodes[id].branch.clone() else {
            return match self.states[id].phase {
                Phase::Serving { .. } | Phase::Ended => Turn::Served,
                Phase::Down => {
                    self.start(id, now);
                    unfinished
                }
                _ => unfinished,
            };
        };
        let mut slowest = Turn::Served;
        for child in branch.children {
            let turn = self.advance(child, now);
            slowest = slowest.max(turn);
            if turn == Turn::Awaited || (turn == Turn::Failed && branch.strategy.children_depend()) {
                break;
            }
        }
        if slowest != Turn::Served {
            return unfinished;
        }
        self.states[id].serving_since.get_or_insert(now);
        self.states[id].troubled = false;
        Turn::Served
    }

    fn start(&mut self, id: usize, now: Moment) {
        let deadline = now.saturating_add(self.nodes[id].settings.start_deadline);
        let state = &mut self.states[id];
        state.phase = Phase::Starting { deadline };
        state.generation += 1;
        state.answer = None;
        let generation = state.generation;
        let rebuilt = std::mem::take(&mut state.rebuilt);
        if state.answers.is_none() {
            state.heard = now;
        }
        let fact = match state.answers.take() {
            Some((cause, backoff)) => {
                state.restarts += 1;
                Fact::Restarted { id, generation, cause, restarts: state.restarts, backoff }
            }
            None if rebuilt => Fact::Rebuilt { id, generation, rebuilds: state.rebuilds },
            None => Fact::Started { id, generation },
        };
        self.log(fact);
        self.effects.push_back(Effect::Start { id, generation });
    }

    /// Drains the last actor that lives, or ends when there is none.
    fn stop_next(&mut self, outcome: Outcome, now: Moment) {
        let Some(id) = self.states.iter().rposition(super::State::alive) else {
            self.aim = Aim::Over;
            self.effects.push_back(Effect::End(outcome));
            return;
        };
        if let Phase::Starting { .. } | Phase::Serving { .. } = self.states[id].phase {
            let deadline = now.saturating_add(self.nodes[id].settings.stop_deadline);
            self.states[id].phase = Phase::Draining { deadline };
            self.effects.push_back(Effect::Drain { id });
        }
    }
}
