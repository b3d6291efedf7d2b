//! What a tree is built from: actors and supervisors, described before anything runs.

use std::time::Duration;

use super::{
    backoff::Backoff,
    incarnation::{Factory, Spawn},
    intensity::Intensity,
    messages::{Birth, Supervised},
    policy::{Restart, Strategy},
    settings::ChildSettings,
    slot::Slot,
};

/// An actor or a supervisor, to be placed under a supervisor.
#[derive(Debug)]
pub struct Child {
    pub(super) name: &'static str,
    pub(super) settings: ChildSettings,
    pub(super) role: Role,
}

#[derive(Debug)]
pub(super) enum Role {
    Actor(Box<dyn Spawn>),
    Supervisor { strategy: Strategy, intensity: Intensity, children: Vec<Child> },
}

/// An actor. `factory` builds a new one at each start, on the arbiter of the tree; what the old one knew is lost.
/// `slot` holds the address of whichever lives.
pub fn actor<A: Supervised>(
    name: &'static str,
    slot: &Slot<A>,
    settings: ChildSettings,
    factory: impl FnMut(Birth) -> A + 'static,
) -> Child {
    Child { name, settings, role: Role::Actor(Box::new(Factory::new(slot.clone(), factory))) }
}

/// A supervisor of `children`, which are started in this order and stopped in the reverse one. It fails when one
/// of them exceeds `intensity`; then its own supervisor rebuilds it as a whole, or gives up in turn.
pub fn supervisor(
    name: &'static str,
    strategy: Strategy,
    intensity: Intensity,
    children: Vec<Child>,
) -> Child {
    let settings = ChildSettings { restart: Restart::Permanent, ..ChildSettings::default() };
    Child { name, settings, role: Role::Supervisor { strategy, intensity, children } }
}

impl Child {
    /// Another backoff than the one it was made with: for a supervisor, which is made with the default.
    pub fn with_backoff(self, backoff: Backoff) -> Self {
        Self { settings: ChildSettings { backoff, ..self.settings }, ..self }
    }

    /// The longest time that stopping it can take: all stop deadlines below it together.
    pub fn longest_stop(&self) -> Duration {
        match &self.role {
            Role::Actor(_) => self.settings.stop_deadline,
            Role::Supervisor { children, .. } => {
                children.iter().map(Self::longest_stop).fold(Duration::ZERO, Duration::saturating_add)
            }
        }
    }
}
