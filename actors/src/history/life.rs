//! One server over time: only changes are kept, so that a server that just serves costs next to nothing.

use std::collections::VecDeque;

use super::{
    coverage::{Coverage, UnixSeconds},
    sighting::Sighting,
};

/// Changes of one server; the oldest makes room. One that flaps every minute forgets its own past, and nobody else's.
pub(super) const MOST_CHANGES: usize = 1024;

/// Characters of a name and of a model that are kept: a peer may announce any length.
const LONGEST_TEXT: usize = 128;

/// From this moment on it was seen so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The crawl that saw it first.
    pub at: UnixSeconds,
    /// How.
    pub sighting: Sighting,
}

/// What a crawl tells of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// How it was seen.
    pub sighting: Sighting,
    /// What it calls itself.
    pub name: Option<String>,
    /// The prefix of a model that it serves.
    pub model: Option<String>,
}

/// One server over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Life {
    /// When it was first seen at all.
    pub first_seen: UnixSeconds,
    /// What it last called itself.
    pub name: Option<String>,
    /// The prefix of a model that it last served.
    pub model: Option<String>,
    /// In order of time, the first as far as it is remembered; no two neighbours see the same. Never empty.
    changes: VecDeque<Change>,
}

/// How long a server was seen so, within some span of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Seconds, by the places of [`Sighting::ALL`].
    seconds: [u64; Sighting::ALL.len()],
    /// Seconds in which nobody looked, or of which nothing is remembered.
    pub unknown: u64,
}

impl Tally {
    /// Seconds in which it was seen so.
    pub fn of(&self, sighting: Sighting) -> u64 {
        self.seconds[sighting.place()]
    }

    /// The share of the time that is known in which it was online, from 0 to 1.
    pub fn uptime(&self) -> Option<f64> {
        let known: u64 = self.seconds.iter().sum();
        (known > 0).then(|| self.of(Sighting::Online) as f64 / known as f64)
    }
}

impl Life {
    /// A server that is seen for the first time.
    pub(super) fn begin(at: UnixSeconds, seen: &Seen) -> Self {
        let changes = VecDeque::from([Change { at, sighting: seen.sighting }]);
        let mut life = Self { first_seen: at, name: None, model: None, changes };
        life.describe(seen);
        life
    }

    /// One that was kept. `None` if the changes are no changes in order of time.
    pub(super) fn of(
        first_seen: UnixSeconds,
        name: Option<String>,
        model: Option<String>,
        changes: Vec<Change>,
    ) -> Option<Self> {
        let in_order = |two: &[Change]| two[0].at < two[1].at && two[0].sighting != two[1].sighting;
        let first = changes.first()?;
        let right = changes.len() <= MOST_CHANGES
            && first.at >= first_seen
            && changes.windows(2).all(in_order)
            && [&name, &model].into_iter().flatten().all(|text| text.chars().count() <= LONGEST_TEXT);
        right.then(|| Self { first_seen, name, model, changes: changes.into() })
    }

    /// Whether [`Life::see`] would change anything.
    pub(super) fn differs(&self, seen: &Seen) -> bool {
        let cut = |text: &Option<String>| text.as_deref().map(cut);
        self.now() != seen.sighting
            || (seen.name.is_some() && self.name != cut(&seen.name))
            || (seen.model.is_some() && self.model != cut(&seen.model))
    }

    /// A later crawl saw it so.
    pub(super) fn see(&mut self, at: UnixSeconds, seen: &Seen) {
        self.describe(seen);
        self.become_(at, seen.sighting);
    }

    /// A later crawl saw it so, and heard nothing else of it.
    pub(super) fn become_(&mut self, at: UnixSeconds, sighting: Sighting) {
        if self.now() == sighting {
            return;
        }
        if self.changes.back().is_some_and(|last| last.at == at) {
            // Two crawls within a second: the later one is right.
            self.changes.pop_back();
            if self.changes.back().is_some_and(|last| last.sighting == sighting) {
                return;
            }
        }
        if self.changes.len() == MOST_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back(Change { at, sighting });
    }

    fn describe(&mut self, seen: &Seen) {
        if let Some(name) = &seen.name {
            self.name = Some(cut(name));
        }
        if let Some(model) = &seen.model {
            self.model = Some(cut(model));
        }
    }

    /// Forgets what was before `at`, save how it was seen then.
    pub(super) fn forget_before(&mut self, at: UnixSeconds) -> bool {
        let before = self.changes.partition_point(|change| change.at <= at);
        self.changes.drain(..before.saturating_sub(1));
        before > 1
    }

    /// How it was last seen.
    pub fn now(&self) -> Sighting {
        self.last().sighting
    }

    /// Since when.
    pub fn since(&self) -> UnixSeconds {
        self.last().at
    }

    fn last(&self) -> Change {
        // Never empty; a life without a change would be one that was never seen.
        self.changes.back().copied().unwrap_or(Change { at: self.first_seen, sighting: Sighting::Missing })
    }

    /// When it was last seen, if the last crawl was at `end`.
    pub fn last_seen(&self, end: UnixSeconds) -> UnixSeconds {
        if self.now() == Sighting::Missing { self.since() } else { end.max(self.since()) }
    }

    /// What is remembered of its changes.
    pub fn changes(&self) -> impl ExactSizeIterator<Item = Change> + DoubleEndedIterator {
        self.changes.iter().copied()
    }

    /// How long it was seen how in `from..to`, from its first sight on.
    pub fn tally(&self, coverage: &Coverage, from: UnixSeconds, to: UnixSeconds) -> Tally {
        let from = from.max(self.first_seen).min(to);
        let mut tally = Tally::default();
        let first = self.changes.partition_point(|change| change.at <= from).saturating_sub(1);
        for (index, change) in self.changes.iter().enumerate().skip(first) {
            let end = self.changes.get(index + 1).map_or(to, |next| next.at.min(to));
            if change.at >= to {
                break;
            }
            tally.seconds[change.sighting.place()] += coverage.seconds(change.at.max(from), end);
        }
        tally.unknown = (to - from) - tally.seconds.iter().sum::<u64>();
        tally
    }

    /// How it was last seen for `after` seconds at a stretch by the moment `at`: what a change that does not last is
    /// measured against. Only time in which somebody looked counts. `None` while nothing has lasted so long.
    pub fn settled(&self, coverage: &Coverage, at: UnixSeconds, after: u64) -> Option<Change> {
        let mut end = at;
        for change in self.changes.iter().rev() {
            if change.at <= at && coverage.seconds(change.at, end) >= after {
                return Some(*change);
            }
            end = end.min(change.at);
        }
        None
    }

    /// Bytes that it holds, roughly.
    pub(super) fn weight(&self) -> u64 {
        let text = [&self.name, &self.model].into_iter().flatten().map(String::len).sum::<usize>();
        (LIFE_BYTES + text + self.changes.len() * size_of::<Change>()) as u64
    }
}

/// A life without changes and texts, with its place in the map.
const LIFE_BYTES: usize = 256;

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}
