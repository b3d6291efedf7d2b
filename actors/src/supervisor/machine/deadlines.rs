//! What falls due with time: backoffs, probes and deadlines.

use std::time::Duration;

use super::{Aim, Effect, Fact, Machine, Moment, Phase, ProbeState, Why};

/// Beyond this the supervisor itself was held up (the process was stopped, or an actor blocked the thread), and so were
/// the actors: nobody is blamed for a deadline that passed meanwhile.
const TOLERATED_LATENESS: Duration = Duration::from_millis(500);

impl Machine {
    /// When [`tick`](Self::tick) is to be called next, unless something happens before.
    pub(in crate::supervisor) fn next_tick(&self) -> Option<Moment> {
        self.states.iter().filter_map(|state| self.due(state)).min()
    }

    /// Lets time pass.
    pub(in crate::supervisor) fn tick(&mut self, now: Moment) {
        if let Some(due) = self.next_tick()
            && now.saturating_sub(due) > TOLERATED_LATENESS
        {
            // And as much again, for the answers that wait behind this turn of the loop.
            self.extend_deadlines(now.saturating_sub(due).saturating_add(TOLERATED_LATENESS));
        }
        for id in 0..self.nodes.len() {
            self.tick_actor(id, now);
        }
        self.settle(now);
    }

    fn due(&self, state: &super::State) -> Option<Moment> {
        match state.phase {
            Phase::Starting { deadline }
            | Phase::Draining { deadline }
            | Phase::Stopping { deadline }
            | Phase::Serving { probe: ProbeState::Asked { deadline } } => Some(deadline),
            Phase::Serving { probe: ProbeState::Due { at } } => Some(at),
            // Once it has passed, the actor waits for its turn and not for time.
            Phase::Down if self.aim == Aim::Run => Some(state.not_before).filter(|at| !at.is_zero()),
            Phase::Down | Phase::Aborting { .. } | Phase::Ended => None,
        }
    }

    fn tick_actor(&mut self, id: usize, now: Moment) {
        let settings = self.nodes[id].settings;
        match self.states[id].phase {
            Phase::Down if now >= self.states[id].not_before => self.states[id].not_before = Moment::ZERO,
            Phase::Starting { deadline } if now >= deadline => {
                self.hang(id, format!("not ready within {:?}", settings.start_deadline));
            }
            Phase::Serving { probe: ProbeState::Asked { deadline } } if now >= deadline => {
                self.hang(id, format!("no answer to a probe within {:?}", settings.probe_deadline));
            }
            Phase::Serving { probe: ProbeState::Due { at } } if now >= at => {
                let deadline = now.saturating_add(settings.probe_deadline);
                self.states[id].phase = Phase::Serving { probe: ProbeState::Asked { deadline } };
                self.effects.push_back(Effect::Probe { id });
            }
            Phase::Draining { deadline } | Phase::Stopping { deadline } if now >= deadline => {
                self.states[id].phase = Phase::Aborting { why: Why::Stop };
                self.log(Fact::StopTimedOut { id, deadline: settings.stop_deadline });
                self.effects.push_back(Effect::Abort { id });
            }
            _ => {}
        }
    }

    fn hang(&mut self, id: usize, cause: String) {
        let state = &mut self.states[id];
        state.hangs += 1;
        let condemned = std::mem::take(&mut state.condemned);
        let why = if condemned { Why::Rebuild } else { Why::Failure(cause) };
        state.phase = Phase::Aborting { why };
        self.effects.push_back(Effect::Abort { id });
    }

    fn extend_deadlines(&mut self, late: Duration) {
        for state in &mut self.states {
            match &mut state.phase {
                Phase::Starting { deadline }
                | Phase::Draining { deadline }
                | Phase::Stopping { deadline }
                | Phase::Serving { probe: ProbeState::Asked { deadline } } => {
                    *deadline = deadline.saturating_add(late);
                }
                _ => {}
            }
        }
    }
}
