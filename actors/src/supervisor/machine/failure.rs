//! What follows from a failure: a restart after a backoff, with those who go down as well, or escalation.

use std::time::Duration;

use crate::supervisor::{
    backoff::Streak,
    intensity::Recent,
    plan::Branch,
    policy::{ExitKind, Restart},
    tree::Outcome,
};

use super::{Aim, Fact, Machine, Moment, Phase, Why};

impl Machine {
    /// A node has ended: an actor that is gone, or a supervisor one of whose children failed too often.
    pub(super) fn failed(&mut self, id: usize, kind: ExitKind, cause: String, now: Moment) {
        if self.aim != Aim::Run || !self.nodes[id].settings.restart.wants(kind) {
            self.ended(id, kind, cause, now);
            return;
        }
        self.interrupt(id, now);
        let restarts = self.states[id].restarts;
        self.states[id].last_error = Some((cause.clone(), now));
        let Some((parent, branch)) = self.supervisor_of(id) else {
            self.log(Fact::GaveUp { cause: cause.clone() });
            self.aim = Aim::Stop(Outcome::GaveUp { cause });
            return;
        };
        self.trouble(id);
        if self.states[id].recent.failed(&branch.intensity, now) {
            if self.is_actor(id) {
                self.log(Fact::Crashed { id, cause: cause.clone(), restarts, backoff: None });
            }
            let name = self.nodes[id].name;
            let (most, within) = (branch.intensity.restarts, branch.intensity.within);
            self.states[id].answers = Some((cause.clone(), Duration::ZERO));
            let cause = format!("restart limit of {name} exceeded ({most} within {within:?}): {cause}");
            self.failed(parent, ExitKind::Failed, cause, now);
            return;
        }
        let chance = (self.chance)();
        let backoff = self.states[id].streak.failed(&self.nodes[id].settings.backoff, chance);
        self.states[id].not_before = now.saturating_add(backoff);
        self.states[id].answers = Some((cause.clone(), backoff));
        if self.is_actor(id) {
            self.log(Fact::Crashed { id, cause, restarts, backoff: Some(backoff) });
        } else {
            self.states[id].restarts += 1;
            self.log(Fact::SupervisorFailed { id, cause, restarts: restarts + 1, backoff });
        }
        self.condemn(id, id, now);
        self.begin_afresh(id);
        let at = branch.children.iter().position(|&child| child == id).unwrap_or_default();
        for &sibling in &branch.children[branch.strategy.concerned(at, branch.children.len())] {
            if sibling != id {
                self.condemn(sibling, id, now);
            }
        }
    }

    /// A node has ended for good. Nobody else is concerned.
    fn ended(&mut self, id: usize, kind: ExitKind, cause: String, now: Moment) {
        let state = &mut self.states[id];
        state.phase = Phase::Ended;
        state.serving_since = None;
        let restarts = state.restarts;
        if kind == ExitKind::Finished {
            self.log(Fact::Finished { id });
        } else {
            state.last_error = Some((cause.clone(), now));
            self.log(Fact::Crashed { id, cause, restarts, backoff: None });
        }
    }

    fn supervisor_of(&self, id: usize) -> Option<(usize, Branch)> {
        let parent = self.nodes[id].parent?;
        Some((parent, self.nodes[parent].branch.clone()?))
    }

    /// Marks a node and all supervisors above it.
    fn trouble(&mut self, id: usize) {
        let mut at = Some(id);
        while let Some(id) = at {
            self.states[id].troubled = true;
            at = self.nodes[id].parent;
        }
    }

    /// Everything in the subtree goes down, to be started again.
    fn condemn(&mut self, top: usize, failed: usize, now: Moment) {
        for id in self.nodes[top].subtree.clone() {
            if id == failed || !self.is_actor(id) {
                continue;
            }
            let transient = self.nodes[id].settings.restart == Restart::Transient;
            let state = &mut self.states[id];
            match &mut state.phase {
                Phase::Down => {}
                // It had done its work for those who are now rebuilt, so it does it once more.
                Phase::Ended if transient => state.phase = Phase::Down,
                Phase::Ended => {}
                Phase::Aborting { why: Why::Failure(cause) } => {
                    state.last_error = Some((std::mem::take(cause), now));
                    state.phase = Phase::Aborting { why: Why::Rebuild };
                }
                Phase::Aborting { .. } => {}
                Phase::Starting { .. }
                | Phase::Serving { .. }
                | Phase::Draining { .. }
                | Phase::Stopping { .. } => state.condemned = true,
            }
        }
    }

    /// What is below a failed supervisor forgets its failures, as if it were started for the first time.
    fn begin_afresh(&mut self, top: usize) {
        for id in self.nodes[top].subtree.clone().skip(1) {
            let state = &mut self.states[id];
            state.recent = Recent::default();
            state.streak = Streak::default();
            state.not_before = Moment::ZERO;
            state.troubled = false;
            state.afresh = state.alive();
            if state.phase == Phase::Ended {
                state.phase = Phase::Down;
            }
        }
    }
}
