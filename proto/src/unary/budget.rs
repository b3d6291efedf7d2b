//! How many bytes the messages of others may hold, and our answers to them: of one peer, and all together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Bytes that the calls of others hold at once, questions and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboundBytes {
    /// All of them together.
    pub all: usize,
    /// Those of one peer, so that a few peers with large messages leave room for others.
    pub of_peer: usize,
}

impl Default for InboundBytes {
    /// 32 messages of the largest size, of which four may be one peer's.
    fn default() -> Self {
        Self { all: 128 * 1024 * 1024, of_peer: 16 * 1024 * 1024 }
    }
}

/// So much of each message is not counted: it costs no more than the stream that it comes on, and streams are bounded.
/// Almost every call fits, and has its place however much the others hold.
const UNCOUNTED: usize = 4096;

/// The bytes that are spent. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Budget {
    /// A reservation that holds nothing yet, and takes from the `share` of its peer as well.
    pub(super) fn reserve(&self, share: &Budget, bounds: InboundBytes) -> Reservation {
        Reservation { budget: self.clone(), share: share.clone(), bounds, bytes: 0 }
    }

    fn take(&self, bytes: usize, bound: usize) -> bool {
        let within = |spent: usize| spent.checked_add(bytes).filter(|spent| *spent <= bound);
        self.0.fetch_update(Relaxed, Relaxed, within).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Relaxed);
    }
}

/// Gives its bytes back when it is dropped.
pub(super) struct Reservation {
    budget: Budget,
    share: Budget,
    bounds: InboundBytes,
    bytes: usize,
}

impl Reservation {
    /// Holds what is counted of a message of `bytes` from now on, or says that there is no room.
    pub(super) fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(UNCOUNTED).saturating_sub(self.bytes);
        if more == 0 {
            return true;
        }
        if !self.share.take(more, self.bounds.of_peer) {
            return false;
        }
        let room = self.budget.take(more, self.bounds.all);
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
        let bounds = InboundBytes { all: 100, of_peer: 60 };
        let (all, one, other) = (Budget::default(), Budget::default(), Budget::default());
        let mut first = all.reserve(&one, bounds);
        assert!(first.grow_to(UNCOUNTED) && first.grow_to(UNCOUNTED + 50));
        assert!(!all.reserve(&one, bounds).grow_to(UNCOUNTED + 11), "its share is spent");
        let mut second = all.reserve(&other, bounds);
        assert!(!second.grow_to(UNCOUNTED + 51), "the whole is");
        assert!(second.grow_to(UNCOUNTED + 50) && second.grow_to(UNCOUNTED));
        assert!(all.reserve(&other, bounds).grow_to(UNCOUNTED), "what is small always has room");
        drop((first, second));
        assert!(all.reserve(&one, bounds).grow_to(UNCOUNTED + 60));
        assert!(all.reserve(&other, bounds).grow_to(UNCOUNTED + 60));
    }
}
