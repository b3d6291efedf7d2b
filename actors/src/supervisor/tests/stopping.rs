//! The ordered stop, and what stands in its way.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::lab::*;
use crate::supervisor::*;

/// Three actors, `b` with this fault: how long the stop takes, what is written, and what is left.
async fn stop_with(lab: Lab, fault: Fault) -> (Duration, Vec<String>, TreeStatus) {
    lab.fault("b", 0, fault);
    let (handle, outcome) = start(Strategy::RestForOne, Intensity::default(), lab.children(&["a", "b", "c"]));
    until_running(&handle).await;
    lab.news();
    let begun = Instant::now();
    handle.stop();
    assert_eq!(outcome.await, Outcome::Drained);
    (begun.elapsed(), lab.news(), handle.status().await)
}

#[actix_rt::test]
async fn a_stop_goes_from_the_last_to_the_first_and_waits_for_each() {
    let (took, news, status) = stop_with(Lab::new(), Fault::SlowToDrain(Duration::from_secs(4))).await;
    assert_eq!(took.as_secs(), 4);
    assert_eq!(
        news,
        [
            "c 1 drains",
            "c 1 drained",
            "c 1 stopped",
            "b 1 drains",
            "b 1 drained",
            "b 1 stopped",
            "a 1 drains",
            "a 1 drained",
            "a 1 stopped"
        ]
    );
    assert!(status.actors.iter().all(|actor| actor.state == ActorState::Stopped && actor.restarts == 0));
}

#[actix_rt::test]
async fn a_drain_that_hangs_is_cut_off_at_its_deadline() {
    let (took, news, _) = stop_with(Lab::new(), Fault::DrainHangs).await;
    assert!(took >= Duration::from_secs(5) && took < Duration::from_millis(5_010), "{took:?}");
    assert_eq!(news[3..5], ["b 1 drains", "b 1 stopped"]);
}

#[actix_rt::test]
async fn an_actor_that_is_stuck_or_refuses_is_cut_off_at_its_deadline() {
    tokio::time::pause();
    for fault in [Fault::Stuck, Fault::RefusesToStop] {
        let (took, news, status) = stop_with(Lab::default(), fault).await;
        assert!(took >= Duration::from_secs(5) && took < Duration::from_millis(5_010), "{fault:?}: {took:?}");
        assert_eq!(news.last().unwrap(), "a 1 stopped");
        assert_eq!(status.state, TreeState::Ended);
    }
}

#[actix_rt::test]
async fn a_failure_during_the_stop_is_noted_and_does_not_hold_it_up() {
    tokio::time::pause();
    for (fault, text) in [(Fault::PanicInDrain, "boom in drain"), (Fault::PanicInStopped, "boom in stopped")]
    {
        let (took, news, status) = stop_with(Lab::default(), fault).await;
        assert!(took < Duration::from_millis(10), "{took:?}");
        assert_eq!(news.last().unwrap(), "a 1 stopped");
        let b = of(&status, "b");
        assert!(b.last_error.unwrap().starts_with(text));
        assert_eq!((b.panics, b.restarts, b.state), (1, 0, ActorState::Stopped));
    }
}

#[actix_rt::test]
async fn an_actor_above_that_dies_while_those_below_drain_is_not_restarted() {
    let lab = Lab::new();
    lab.fault("b", 0, Fault::SlowToDrain(Duration::from_secs(4)));
    let none = Intensity { restarts: 0, ..Intensity::default() };
    let (handle, outcome) = start(Strategy::RestForOne, none, lab.children(&["a", "b", "c"]));
    until_running(&handle).await;
    handle.stop();
    sleep(Duration::from_secs(1)).await;
    handle.crash("a").await.unwrap();
    assert_eq!(outcome.await, Outcome::Drained, "a stop that was asked for is not a failure");
    let a = look(&handle, "a").await;
    assert_eq!((a.generation, a.panics), (1, 1));
    assert!(lab.news().contains(&"b 1 drained".to_owned()), "and does not disturb the others");
}

#[actix_rt::test]
async fn a_stop_while_starting_stops_what_was_started_and_starts_nothing() {
    let lab = Lab::new();
    lab.fault("b", 0, Fault::NeverReady);
    let (handle, outcome) = start(Strategy::RestForOne, Intensity::default(), lab.children(&["a", "b", "c"]));
    sleep(Duration::from_secs(1)).await;
    lab.news();
    let begun = Instant::now();
    handle.stop();
    assert_eq!(outcome.await, Outcome::Drained);
    assert!(begun.elapsed() < Duration::from_millis(10));
    assert_eq!(
        lab.news(),
        ["b 1 drains", "b 1 drained", "b 1 stopped", "a 1 drains", "a 1 drained", "a 1 stopped"]
    );
}

#[actix_rt::test]
async fn a_stop_before_the_first_turn_starts_nothing() {
    let lab = Lab::new();
    let (handle, outcome) = start(Strategy::RestForOne, Intensity::default(), lab.children(&["a", "b"]));
    handle.stop();
    assert_eq!(outcome.await, Outcome::Drained);
    sleep(Duration::from_secs(60)).await;
    assert!(!lab.news().iter().any(|line| line.starts_with('b')));
}

#[actix_rt::test]
async fn a_stop_during_a_backoff_ends_it() {
    let lab = Lab::new();
    lab.fault("b", 0, Fault::PanicInStarted);
    let (handle, outcome) = start(Strategy::RestForOne, Intensity::default(), lab.children(&["a", "b", "c"]));
    until(&handle, "a long backoff", |status| of(status, "b").backoff_seconds > Some(3.0)).await;
    let generation = look(&handle, "b").await.generation;
    let begun = Instant::now();
    handle.stop();
    handle.stop();
    assert_eq!(outcome.await, Outcome::Drained);
    assert!(begun.elapsed() < Duration::from_millis(10));
    let b = look(&handle, "b").await;
    assert_eq!((b.generation, b.state), (generation, ActorState::Stopped));
}

#[actix_rt::test]
async fn a_stop_takes_no_longer_than_all_deadlines_together() {
    let lab = Lab::new();
    for name in ["a", "b", "c"] {
        lab.fault(name, 0, Fault::DrainHangs);
    }
    let tree = Tree::new(supervisor(
        "root",
        Strategy::RestForOne,
        Intensity::default(),
        lab.children(&["a", "b", "c"]),
    ))
    .unwrap();
    let longest = tree.longest_stop();
    assert_eq!(longest, Duration::from_secs(15));
    let (handle, outcome) = tree.start();
    until_running(&handle).await;
    let begun = Instant::now();
    handle.stop();
    assert_eq!(outcome.await, Outcome::Drained);
    assert!(begun.elapsed() < longest + Duration::from_millis(10));
}

#[actix_rt::test]
async fn dropping_every_handle_is_no_wish_to_stop() {
    let lab = Lab::new();
    let (handle, outcome) = start(Strategy::OneForOne, Intensity::default(), lab.children(&["a"]));
    drop(handle);
    assert!(tokio::time::timeout(Duration::from_secs(3600), outcome).await.is_err());
    assert_eq!(lab.slot("a").get().unwrap().send(Who).await.unwrap(), 1);
}
