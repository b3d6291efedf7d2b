//! Digests of what was found good, a bounded number of them: the newer half is kept when the memory is full.

use std::{collections::HashSet, mem};

/// SHA-256 of all that a check looks at.
pub(super) type CheckDigest = [u8; 32];

#[derive(Debug)]
pub(super) struct Memory {
    newer: HashSet<CheckDigest>,
    older: HashSet<CheckDigest>,
    half: usize,
}

impl Memory {
    /// Remembers the last `half` digests at least, and twice as many at most.
    pub(super) fn new(half: usize) -> Self {
        Self { newer: HashSet::new(), older: HashSet::new(), half }
    }

    pub(super) fn holds(&self, digest: &CheckDigest) -> bool {
        self.newer.contains(digest) || self.older.contains(digest)
    }

    pub(super) fn note(&mut self, digest: CheckDigest) {
        if self.newer.len() >= self.half {
            self.older = mem::take(&mut self.newer);
        }
        self.newer.insert(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_kept_and_the_number_is_bounded() {
        let mut memory = Memory::new(4);
        for number in 0..100 {
            memory.note([number; 32]);
            assert!((number.saturating_sub(3)..=number).all(|recent| memory.holds(&[recent; 32])));
            assert!(memory.newer.len() + memory.older.len() <= 8);
        }
        assert!(!memory.holds(&[50; 32]));
    }
}
