//! When we looked at all. What happened while we did not is unknown, and counts neither for a server nor against it.

use std::collections::VecDeque;

/// Seconds since 1970 by the local clock: a history outlives the process, so no other clock will do.
pub type UnixSeconds = u64;

/// Spans that are remembered; the oldest makes room. At least one gap lies between two, so these are gaps of minutes.
pub(super) const MOST_SPANS: usize = 4096;

/// A time during which crawl followed crawl: from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first second.
    pub from: UnixSeconds,
    /// The one after the last.
    pub to: UnixSeconds,
}

/// Spans in order of time; no two touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    spans: VecDeque<Span>,
}

impl Coverage {
    /// Of spans that were kept: those that are in order, up to where they are not.
    pub(super) fn of(kept: impl IntoIterator<Item = Span>) -> Self {
        let mut coverage = Self::default();
        for span in kept {
            if span.from > span.to || coverage.end().is_some_and(|end| span.from <= end) {
                break;
            }
            coverage.push(span);
        }
        coverage
    }

    /// A crawl at `at`, which is no earlier than the last. Within `gap` of it, what that one saw is taken to have held.
    pub(super) fn note(&mut self, at: UnixSeconds, gap: u64) {
        match self.spans.back_mut() {
            Some(last) if at.saturating_sub(last.to) <= gap => last.to = last.to.max(at),
            _ => self.push(Span { from: at, to: at }),
        }
    }

    fn push(&mut self, span: Span) {
        if self.spans.len() == MOST_SPANS {
            self.spans.pop_front();
        }
        self.spans.push_back(span);
    }

    /// Forgets what is wholly before `at`.
    pub(super) fn forget_before(&mut self, at: UnixSeconds) {
        while self.spans.front().is_some_and(|span| span.to < at) {
            self.spans.pop_front();
        }
    }

    /// When we first looked, as far as is remembered.
    pub fn begin(&self) -> Option<UnixSeconds> {
        self.spans.front().map(|span| span.from)
    }

    /// When we last looked.
    pub fn end(&self) -> Option<UnixSeconds> {
        self.spans.back().map(|span| span.to)
    }

    /// The spans that reach into `from..to`, cut to it.
    pub fn within(&self, from: UnixSeconds, to: UnixSeconds) -> impl Iterator<Item = Span> {
        let first = self.spans.partition_point(|span| span.to <= from);
        let cut = move |span: &Span| Span { from: span.from.max(from), to: span.to.min(to) };
        self.spans.range(first..).take_while(move |span| span.from < to).map(cut)
    }

    /// Seconds of `from..to` during which we looked.
    pub(super) fn seconds(&self, from: UnixSeconds, to: UnixSeconds) -> u64 {
        self.within(from, to).map(|span| span.to.saturating_sub(span.from)).sum()
    }

    /// All of them.
    pub(super) fn spans(&self) -> impl Iterator<Item = Span> {
        self.spans.iter().copied()
    }
}
