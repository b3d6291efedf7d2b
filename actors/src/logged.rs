//! What is logged on this thread while a test runs: the events from info upwards.

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::{DefaultGuard, set_default},
};

/// The events of the targets that begin with `target`.
#[derive(Clone)]
pub(crate) struct Logged {
    target: &'static str,
    lines: Arc<Mutex<Vec<Line>>>,
}

/// One event.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) message: String,
    /// ` name=value` of each.
    fields: String,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.level, self.message, self.fields)
    }
}

impl Logged {
    /// Listens until the guard is dropped.
    pub(crate) fn of(target: &'static str) -> (Self, DefaultGuard) {
        let logged = Self { target, lines: Arc::default() };
        let guard = set_default(logged.clone());
        (logged, guard)
    }

    /// Everything since [`Logged::take`].
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap().clone()
    }

    /// The same, and forgets it.
    pub(crate) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => write!(self.message, "{value:?}").unwrap(),
            name => write!(self.fields, " {name}={value:?}").unwrap(),
        }
    }
}

impl Subscriber for Logged {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && metadata.target().starts_with(self.target)
    }

    fn event(&self, event: &Event<'_>) {
        let (message, fields) = Default::default();
        let mut line = Line { level: *event.metadata().level(), message, fields };
        event.record(&mut line);
        self.lines.lock().unwrap().push(line);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}
