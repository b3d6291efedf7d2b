//! How many bytes all inbound calls may hold together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Bytes that inbound messages hold at once, over all connections: 16 messages of the largest size, or
/// some ten thousand of a usual one.
const INBOUND_BYTES: usize = 64 * 1024 * 1024;

/// The bytes that are left. Cheap to clone.
#[derive(Clone)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Default for Budget {
    fn default() -> Self {
        Self::of(INBOUND_BYTES)
    }
}

impl Budget {
    pub(super) fn of(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// A reservation that holds nothing yet.
    pub(super) fn reserve(&self) -> Reservation {
        Reservation { budget: self.clone(), bytes: 0 }
    }
}

/// Gives its bytes back when it is dropped.
pub(super) struct Reservation {
    budget: Budget,
    bytes: usize,
}

impl Reservation {
    /// Holds at least `bytes` from now on, or says that there is no room.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let room = self.budget.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(more)).is_ok();
        if room {
            self.bytes += more;
        }
        room
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Relaxed);
    }
}
