//! What is still to be told of one rule, oldest first, and how often it was tried. Pure data.

use std::{collections::VecDeque, time::Duration};

use super::rule::Notice;

/// Notices of one rule that wait; the oldest makes room. Each says what the server is now, so the newest matters most.
pub(super) const MOST_WAITING: usize = 16;

/// Attempts at one notice: some five minutes with their pauses.
const MOST_ATTEMPTS: u32 = 8;

/// Before the second attempt; doubles from then on.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The most between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(90);

/// The notices of one rule.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: VecDeque<Notice>,
    attempts: u32,
    /// One is on its way, or will be tried again by itself.
    busy: bool,
}

/// What becomes of a notice that was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is tried again after this.
    Again(Duration),
    /// It is given up.
    GivenUp,
}

impl Outbox {
    /// Another one; gives back how many had to make room.
    pub(super) fn put(&mut self, notice: Notice) -> u64 {
        let full = self.waiting.len() == MOST_WAITING;
        if full {
            // The first may be on its way.
            self.waiting.remove(1);
        }
        self.waiting.push_back(notice);
        full.into()
    }

    /// The one that is to be told now, unless one is on its way.
    pub(super) fn begin(&mut self) -> Option<Notice> {
        if self.busy {
            return None;
        }
        let first = self.waiting.front().cloned()?;
        self.busy = true;
        Some(first)
    }

    /// It was taken.
    pub(super) fn done(&mut self) {
        self.waiting.pop_front();
        (self.attempts, self.busy) = (0, false);
    }

    /// It was not. `chance` is from 0 to 1: it shortens the pause by up to a fifth.
    pub(super) fn failed(&mut self, chance: f64) -> Next {
        self.attempts += 1;
        if self.attempts >= MOST_ATTEMPTS {
            self.done();
            return Next::GivenUp;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << (self.attempts - 1)).min(LONGEST_PAUSE);
        Next::Again(pause.mul_f64(1.0 - 0.2 * chance.clamp(0.0, 1.0)))
    }

    /// The pause is over.
    pub(super) fn rested(&mut self) {
        self.busy = false;
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
