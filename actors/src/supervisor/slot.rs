//! Where the current address of an actor is found, across its restarts.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use actix::{Actor, Addr};

/// Holds the address of whichever incarnation of an actor lives now. The supervisor fills it at each start and
/// empties it at each exit, so that nobody keeps mailing a dead one. Cheap to clone, and usable from any thread.
pub struct Slot<A: Actor> {
    current: Arc<RwLock<Option<Addr<A>>>>,
}

impl<A: Actor> Slot<A> {
    /// An empty slot.
    pub fn new() -> Self {
        Self { current: Arc::new(RwLock::new(None)) }
    }

    /// The address of the living actor, if one lives.
    pub fn get(&self) -> Option<Addr<A>> {
        // Nothing can panic while the lock is held, so a poisoned one still holds a whole value.
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts an address in: what the supervisor does, and a test that runs an actor without a tree.
    pub fn fill(&self, address: Addr<A>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    pub(super) fn empty(&self) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl<A: Actor> Default for Slot<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Actor> Clone for Slot<A> {
    fn clone(&self) -> Self {
        Self { current: Arc::clone(&self.current) }
    }
}

impl<A: Actor> fmt::Debug for Slot<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("filled", &self.get().is_some()).finish()
    }
}
