//! One life of one actor: built by its factory, run in a task of its own, watched until its end.
use std::fmt;

use super::{
    messages::{Birth, Supervised},
    slot::Slot,
};

/// Builds the incarnations of one actor, whatever its type.
pub(super) trait Spawn: fmt::Debug {}

pub(super) struct Factory<A: Supervised, F> {
    slot: Slot<A>,
    factory: F,
}

impl<A: Supervised, F: FnMut(Birth) -> A + 'static> Factory<A, F> {
    pub(super) fn new(slot: Slot<A>, factory: F) -> Self {
        Self { slot, factory }
    }
}

impl<A: Supervised, F> fmt::Debug for Factory<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Factory").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl<A: Supervised, F: FnMut(Birth) -> A + 'static> Spawn for Factory<A, F> {}
