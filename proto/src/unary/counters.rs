//! What happened to the calls of this node, since it started.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

/// A snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Inbound calls that were answered with a response.
    pub answered: u64,
    /// Inbound calls that were answered with their handler's error.
    pub handler_errors: u64,
    /// Inbound streams whose message could not be understood.
    pub malformed: u64,
    /// Inbound messages over the bound.
    pub oversized: u64,
    /// Inbound calls refused because too much was under way, and streams that were reset for it before they said anything.
    pub refused_busy: u64,
    /// Inbound calls whose caller went away before the answer.
    pub cancelled: u64,
    /// Inbound calls that ran into a deadline: request, answer or writing.
    pub deadline: u64,
    /// Outbound calls that got a response.
    pub calls_ok: u64,
    /// Outbound calls that got none.
    pub calls_failed: u64,
}

#[derive(Default)]
pub(super) struct Cells {
    pub(super) answered: AtomicU64,
    pub(super) handler_errors: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) oversized: AtomicU64,
    pub(super) refused_busy: AtomicU64,
    pub(super) cancelled: AtomicU64,
    pub(super) deadline: AtomicU64,
    pub(super) calls_ok: AtomicU64,
    pub(super) calls_failed: AtomicU64,
}

pub(super) fn count(cell: &AtomicU64) {
    cell.fetch_add(1, Relaxed);
}

impl Cells {
    pub(super) fn snapshot(&self) -> Counters {
        Counters {
            answered: self.answered.load(Relaxed),
            handler_errors: self.handler_errors.load(Relaxed),
            malformed: self.malformed.load(Relaxed),
            oversized: self.oversized.load(Relaxed),
            refused_busy: self.refused_busy.load(Relaxed),
            cancelled: self.cancelled.load(Relaxed),
            deadline: self.deadline.load(Relaxed),
            calls_ok: self.calls_ok.load(Relaxed),
            calls_failed: self.calls_failed.load(Relaxed),
        }
    }
}
