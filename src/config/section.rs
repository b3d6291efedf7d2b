//! Reading the merged config: every value is taken once, by its key and a parser, and whatever is
//! wrong is noted and not thrown, so that the operator sees all of it at once.
//!
//! A new key is one `take` and one field; a key that nobody takes is an error by itself.

use std::cell::RefCell;
use std::collections::BTreeSet;

use ::config::{Value, ValueKind};

use super::entry::{Entry, Parsed, kind_name};
use super::layers::{Places, join};
use super::problem::{Origin, Problem};

/// The longest edit distance at which another key is offered as the one that was meant.
const NEAREST_DISTANCE: usize = 4;

/// One reading of a merged config.
#[derive(Debug)]
pub(super) struct Reading {
    places: Places,
    notes: RefCell<Notes>,
}

/// What a reading noted.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Whatever makes it no config.
    pub(super) problems: Vec<Problem>,
    /// Whatever is odd, but may be meant.
    pub(super) warnings: Vec<Problem>,
    /// Every key that was asked for, with dots; sections are none.
    pub(super) known: BTreeSet<String>,
    /// Keys that nobody asked for, and the nearest in their section or, failing that, all that it has.
    unknown: Vec<(String, Nearest)>,
}

#[derive(Debug)]
enum Nearest {
    Key(String),
    All(String),
}

impl Reading {
    pub(super) fn new(places: Places) -> Self {
        Self { places, notes: RefCell::default() }
    }

    /// The section that holds all others.
    pub(super) fn root(&self, merged: Value) -> Section<'_> {
        Section::new(self, String::new(), merged)
    }

    /// Whether the operator wrote this section or anything in it.
    pub(super) fn given(&self, section: &str) -> bool {
        self.places.given(section)
    }

    /// Notes a problem with a key.
    pub(super) fn wrong(&self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        let problem = self.problem(key, what, remedy);
        self.notes.borrow_mut().problems.push(problem);
    }

    /// Notes what is odd about a key, but may be meant.
    pub(super) fn warn(&self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        let warning = self.problem(key, what, remedy);
        self.notes.borrow_mut().warnings.push(warning);
    }

    fn problem(&self, key: &str, what: impl Into<String>, remedy: impl Into<String>) -> Problem {
        let section = key.rsplit_once('.').map_or("", |(section, _)| section);
        let written = |key| self.places.get(key).filter(|origin| **origin != Origin::Defaults);
        let origin = written(key).or_else(|| written(section)).cloned();
        Problem { origin, key: key.into(), what: what.into(), remedy: remedy.into() }
    }

    /// Everything that was noted, by place.
    pub(super) fn into_notes(self) -> Notes {
        let unknown = std::mem::take(&mut self.notes.borrow_mut().unknown);
        for (key, nearest) in unknown {
            let elsewhere = self.notes.borrow().elsewhere(&key);
            let remedy = match (nearest, elsewhere) {
                (Nearest::Key(near), _) => format!("did you mean `{near}`?"),
                (Nearest::All(known), elsewhere) if elsewhere.is_empty() => format!("known here: {known}"),
                (Nearest::All(_), elsewhere) => format!("did you mean {}?", elsewhere.join(" or ")),
            };
            self.wrong(&key, "is not a known key", remedy);
        }
        let mut notes = self.notes.into_inner();
        notes.problems.sort();
        notes.warnings.sort();
        notes
    }
}

impl Notes {
    /// Keys of the same name in other sections. What one actor may have every other may too.
    fn elsewhere(&self, key: &str) -> Vec<String> {
        let name = |key: &str| key.rsplit_once('.').map(|(_, name)| name.to_owned());
        let same =
            self.known.iter().filter(|known| name(known) == name(key) && known.matches('.').count() == 1);
        same.map(|known| format!("`{known}`")).collect()
    }
}

/// A table of the config while it is read. When it is dropped, the keys that nobody took are noted
/// as unknown: take all of them before anything returns early.
#[derive(Debug)]
pub(super) struct Section<'r> {
    reading: &'r Reading,
    path: String,
    values: ::config::Map<String, Value>,
    known: Vec<String>,
    /// Something else stood in the table's place: that its keys are missing need not be said too.
    broken: bool,
}

impl<'r> Section<'r> {
    fn new(reading: &'r Reading, path: String, value: Value) -> Self {
        let (values, broken) = match value.kind {
            ValueKind::Table(values) => (values, false),
            ValueKind::Nil => (::config::Map::new(), false),
            kind => {
                reading.wrong(&path, format!("is {}", kind_name(&kind)), "expected a table of keys");
                (::config::Map::new(), true)
            }
        };
        Self { reading, path, values, known: Vec::new(), broken }
    }

    /// A key that must be there, in the defaults if nowhere else.
    pub(super) fn take<T>(&mut self, key: &str, parse: impl FnOnce(&Entry) -> Parsed<T>) -> Option<T> {
        let known = self.optional(key, parse)?;
        if known.is_none() && !self.broken {
            self.wrong(key, "is missing", format!("write it in [{}]", self.path));
        }
        known
    }

    /// A key that may be absent: `Some(None)` then, and `None` only if it is wrong.
    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        parse: impl FnOnce(&Entry) -> Parsed<T>,
    ) -> Option<Option<T>> {
        self.known.push(key.to_owned());
        let path = join(&self.path, key);
        self.reading.notes.borrow_mut().known.insert(path.clone());
        let Some(value) = self.values.remove(key) else { return Some(None) };
        let origin = self.reading.places.get(&path).cloned().unwrap_or(Origin::Defaults);
        let items = match &value.kind {
            ValueKind::Array(items) => items.len(),
            _ => 0,
        };
        let places = (0..items)
            .map(|index| {
                self.reading.places.get(&format!("{path}[{index}]")).cloned().unwrap_or(origin.clone())
            })
            .collect();
        match parse(&Entry { path, origin, value, places }) {
            Ok(parsed) => Some(Some(parsed)),
            Err(problems) => {
                self.reading.notes.borrow_mut().problems.extend(problems);
                None
            }
        }
    }

    /// A section inside this one; empty if nobody wrote it.
    pub(super) fn section(&mut self, key: &str) -> Section<'r> {
        self.known.push(key.to_owned());
        let value = self.values.remove(key).unwrap_or_else(|| Value::new(None, ValueKind::Nil));
        Section::new(self.reading, join(&self.path, key), value)
    }

    /// The names of the sections inside this one that the operator chose, in their order.
    pub(super) fn tables(&self) -> Vec<String> {
        let tables = self.values.iter().filter(|(_, value)| matches!(value.kind, ValueKind::Table(_)));
        let mut names: Vec<String> = tables.map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    }

    /// Whether the operator wrote this key, and not merely a default.
    pub(super) fn given(&self, key: &str) -> bool {
        self.reading.given(&join(&self.path, key))
    }

    /// Notes a problem with a key of this section.
    pub(super) fn wrong(&self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.reading.wrong(&join(&self.path, key), what, remedy);
    }

    /// Notes what is odd about a key of this section, but may be meant.
    pub(super) fn warn(&self, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        self.reading.warn(&join(&self.path, key), what, remedy);
    }

    /// Drops the section unread: what stands in it does not matter.
    pub(super) fn forget(mut self) {
        self.values.clear();
    }

    fn nearest(&self, key: &str) -> Option<&str> {
        let distance = |known: &&str| strsim::damerau_levenshtein(known, key);
        let near = self.known.iter().map(String::as_str).min_by_key(distance)?;
        (distance(&near) <= NEAREST_DISTANCE.min(key.len().max(2) - 1)).then_some(near)
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        for key in self.values.keys() {
            let nearest = match self.nearest(key) {
                Some(near) => Nearest::Key(join(&self.path, near)),
                None => Nearest::All(self.known.join(", ")),
            };
            self.reading.notes.borrow_mut().unknown.push((join(&self.path, key), nearest));
        }
    }
}
