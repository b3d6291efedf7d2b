//! How many bytes the messages of others may hold, and our answers to them: of one peer, and all together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Bytes that all calls of others hold at once: 32 messages of the largest size.
const ALL_BYTES: usize = 128 * 1024 * 1024;

/// Bytes that the calls of one peer hold at once: four messages of the largest size. So a few peers with large messages
/// leave room for others.
const PEER_BYTES: usize = 16 * 1024 * 1024;

/// So much of each message is not counted: it costs no more than the stream that it comes on, and streams are bounded.
/// Almost every call fits, and has its place however much the others hold.
const UNCOUNTED: usize = 4096;

/// The bytes that are left. Cheap to clone.
#[derive(Clone)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Default for Budget {
    fn default() -> Self {
        Self::of(ALL_BYTES)
    }
}

impl Budget {
    pub(super) fn of(bytes: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(bytes)))
    }

    /// What one peer may have of it.
    pub(super) fn of_peer() -> Self {
        Self::of(PEER_BYTES)
    }

    /// A reservation that holds nothing yet, and takes from `share` as well.
    pub(super) fn reserve(&self, share: &Budget) -> Reservation {
        Reservation { budget: self.clone(), share: share.clone(), bytes: 0 }
    }

    fn take(&self, bytes: usize) -> bool {
        self.0.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Relaxed);
    }
}

/// Gives its bytes back when it is dropped.
pub(super) struct Reservation {
    budget: Budget,
    share: Budget,
    bytes: usize,
}

impl Reservation {
    /// Holds what is counted of a message of `bytes` from now on, or says that there is no room.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(UNCOUNTED).saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        if !self.share.take(more) {
            return false;
        }
        let room = self.budget.take(more);
        if room {
            self.bytes += more;
        } else {
            self.share.give_back(more);
        }
        room
    }

    /// Holds another message of `bytes` in the place of the one before, or says that there is no room.
    pub(super) fn change_to(&mut self, bytes: usize) -> bool {
        self.release();
        self.grow_to(bytes)
    }

    fn release(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes > 0 {
            self.share.give_back(bytes);
            self.budget.give_back(bytes);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_its_share_and_all_have_the_whole() {
        let (all, one, other) = (Budget::of(100), Budget::of(60), Budget::of(60));
        let mut first = all.reserve(&one);
        assert!(first.grow_to(UNCOUNTED) && first.grow_to(UNCOUNTED + 50));
        assert!(!all.reserve(&one).grow_to(UNCOUNTED + 11), "its share is spent");
        let mut second = all.reserve(&other);
        assert!(!second.grow_to(UNCOUNTED + 51), "the whole is");
        assert!(second.grow_to(UNCOUNTED + 50) && second.grow_to(UNCOUNTED));
        assert!(all.reserve(&other).grow_to(UNCOUNTED), "what is small always has room");
        drop((first, second));
        assert!(all.reserve(&one).grow_to(UNCOUNTED + 60) && all.reserve(&other).grow_to(UNCOUNTED + 60));
    }
}
