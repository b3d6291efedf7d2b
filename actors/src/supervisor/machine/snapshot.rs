//! The machine's state as others see it.

use crate::supervisor::{
    panics::stray_panics,
    status::{ActorState, ActorStatus, SupervisorStatus, TreeState, TreeStatus},
};

use super::{Aim, Machine, Moment, Phase};

impl Machine {
    /// The whole tree at this moment.
    pub(in crate::supervisor) fn status(&self, now: Moment) -> TreeStatus {
        let state = match self.aim {
            Aim::Over => TreeState::Ended,
            Aim::Stop(_) => TreeState::Stopping,
            Aim::Run if self.states[0].serving_since.is_some() => TreeState::Running,
            Aim::Run => TreeState::Starting,
        };
        let ids = 0..self.nodes.len();
        TreeStatus {
            state,
            actors: ids.clone().filter_map(|id| self.actor_status(id, now)).collect(),
            supervisors: ids.filter_map(|id| self.supervisor_status(id)).collect(),
            stray_panics: stray_panics(),
        }
    }

    /// The actor of that name.
    pub(in crate::supervisor) fn actor(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.branch.is_none() && node.name == name)
    }

    fn actor_status(&self, id: usize, now: Moment) -> Option<ActorStatus> {
        let (node, state) = (&self.nodes[id], &self.states[id]);
        if node.branch.is_some() {
            return None;
        }
        let ago = |at: Moment| now.saturating_sub(at).as_secs_f64();
        let waits = state.not_before.saturating_sub(now);
        let shown = match state.phase {
            Phase::Down if self.aim != Aim::Run => ActorState::Stopped,
            Phase::Down if !waits.is_zero() => ActorState::Backoff,
            Phase::Down => ActorState::Waiting,
            Phase::Starting { .. } => ActorState::Starting,
            Phase::Serving { .. } => ActorState::Running,
            Phase::Draining { .. } => ActorState::Draining,
            Phase::Stopping { .. } | Phase::Aborting { .. } => ActorState::Stopping,
            Phase::Ended => ActorState::Stopped,
        };
        Some(ActorStatus {
            name: node.name.to_owned(),
            supervisor: node.parent.map(|parent| self.nodes[parent].name.to_owned()).unwrap_or_default(),
            state: shown,
            restarts: state.restarts,
            generation: state.generation,
            panics: state.panics,
            hangs: state.hangs,
            rebuilds: state.rebuilds,
            last_error: state.last_error.as_ref().map(|(error, _)| error.clone()),
            last_error_seconds_ago: state.last_error.as_ref().map(|(_, at)| ago(*at)),
            uptime_seconds: state.serving_since.map(ago),
            backoff_seconds: (shown == ActorState::Backoff).then_some(waits.as_secs_f64()),
            answered_seconds_ago: state.answer.as_ref().map(|(_, at)| ago(*at)),
            silent_seconds: ago(state.heard),
            tolerated_silence_seconds: node.settings.tolerated_silence().as_secs_f64(),
            report: state.answer.as_ref().map(|(report, _)| report.clone()),
        })
    }

    fn supervisor_status(&self, id: usize) -> Option<SupervisorStatus> {
        let (node, state) = (&self.nodes[id], &self.states[id]);
        let branch = node.branch.as_ref()?;
        Some(SupervisorStatus {
            name: node.name.to_owned(),
            strategy: branch.strategy,
            restarts: state.restarts,
            last_error: state.last_error.as_ref().map(|(error, _)| error.clone()),
        })
    }
}
