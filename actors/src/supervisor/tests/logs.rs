//! What the operator reads: one event for each fact.

use std::{
    fmt::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::lab::*;
use crate::supervisor::*;

/// Keeps the events of this crate, from info upwards.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.0.insert_str(0, &format!("{value:?}")),
            name => write!(self.0, " {name}={value:?}").unwrap(),
        }
    }
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && metadata.target().starts_with("petald_actors")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(format!("{} {}", event.metadata().level(), line.0));
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[actix_rt::test]
async fn each_fact_is_one_event_with_its_fields() {
    let lab = Lab::new();
    let recorder = Recorder::default();
    let _guard = tracing::subscriber::set_default(recorder.clone());
    lab.fault("b", 0, Fault::PanicInTimer(Duration::from_secs(1)));
    lab.fault("c", 0, Fault::DrainHangs);
    let few = Intensity { restarts: 1, within: Duration::from_secs(60) };
    let children = lab.children(&["a", "b", "c"]);
    let (_handle, outcome) = start(Strategy::RestForOne, few, children);
    assert!(matches!(outcome.await, Outcome::GaveUp { .. }));
    let lines = recorder.0.lock().unwrap();
    let boom = lines.iter().find_map(|line| line.split_once("cause=\"")?.1.split_once('"')).unwrap().0;
    assert!(boom.starts_with("boom in a timer, at actors/src/supervisor/tests/lab.rs:"), "{boom}");
    let expected = [
        "INFO actor ready actor=\"a\" generation=1".to_owned(),
        "INFO actor ready actor=\"b\" generation=1".to_owned(),
        "INFO actor ready actor=\"c\" generation=1".to_owned(),
        "INFO all actors ready".to_owned(),
        format!("WARN actor crashed actor=\"b\" cause=\"{boom}\" restarts=0 backoff=100ms"),
        format!("INFO actor restarted actor=\"b\" generation=2 cause=\"{boom}\" restarts=1 backoff=100ms"),
        "INFO actor ready actor=\"b\" generation=2".to_owned(),
        "INFO actor rebuilt actor=\"c\" generation=2 rebuilds=1".to_owned(),
        "INFO actor ready actor=\"c\" generation=2".to_owned(),
        "INFO all actors ready".to_owned(),
        format!("WARN actor crashed actor=\"b\" cause=\"{boom}\" restarts=1"),
        format!("ERROR root supervisor gave up cause=\"restart limit of b exceeded (1 within 60s): {boom}\""),
        "WARN actor aborted at its stop deadline actor=\"c\" deadline=5s".to_owned(),
        "INFO actor stopped actor=\"c\"".to_owned(),
        "INFO actor stopped actor=\"a\"".to_owned(),
    ];
    assert_eq!(lines[..], expected);
}
