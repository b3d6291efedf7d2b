//! What the operator reads: one event for each fact.

use std::time::Duration;

use super::lab::*;
use crate::{logged::Logged, supervisor::*};

#[actix_rt::test]
async fn each_fact_is_one_event_with_its_fields() {
    let lab = Lab::new();
    let (logged, _logging) = Logged::of("petald_actors");
    lab.fault("b", 0, Fault::PanicInTimer(Duration::from_secs(1)));
    lab.fault("c", 0, Fault::DrainHangs);
    let few = Intensity { restarts: 1, within: Duration::from_secs(60) };
    let children = lab.children(&["a", "b", "c"]);
    let (_handle, outcome) = start(Strategy::RestForOne, few, children);
    assert!(matches!(outcome.await, Outcome::GaveUp { .. }));
    let lines: Vec<_> = logged.take().iter().map(ToString::to_string).collect();
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
