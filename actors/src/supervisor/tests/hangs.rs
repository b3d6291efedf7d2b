//! Actors that live and do not answer, or never come to serve.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::lab::*;
use crate::supervisor::*;

/// One actor with this fault in its first life: how long until it was restarted.
async fn restarted_after(fault: Fault) -> (Duration, ActorStatus) {
    let lab = Lab::new();
    lab.fault("a", 1, fault);
    let begun = Instant::now();
    let (handle, _outcome) = start(Strategy::OneForOne, Intensity::default(), lab.children(&["a"]));
    until(&handle, "it lives again", |status| {
        of(status, "a").generation == 2 && status.state == TreeState::Running
    })
    .await;
    let took = begun.elapsed();
    sleep(Duration::from_secs(60)).await;
    let status = look(&handle, "a").await;
    assert_eq!((status.restarts, status.hangs, status.panics), (1, 1, 0));
    assert_eq!(status.report, Some(serde_json::json!({ "born": 2 })), "the next one answers");
    (took, status)
}

#[actix_rt::test]
async fn an_actor_that_does_not_answer_is_restarted() {
    let (took, status) = restarted_after(Fault::Deaf).await;
    // A deadline and the first backoff: the first probe comes with its readiness.
    let expected = Duration::from_millis(5_100);
    assert!(took >= expected && took < expected + Duration::from_millis(10), "{took:?}");
    assert_eq!(status.last_error.as_deref(), Some("no answer to a probe within 5s"));
}

#[actix_rt::test]
async fn an_actor_that_is_stuck_in_a_wait_is_restarted() {
    let (took, _) = restarted_after(Fault::Stuck).await;
    assert!(took < Duration::from_millis(5_110), "{took:?}");
}

#[actix_rt::test]
async fn an_actor_that_never_becomes_ready_is_restarted() {
    let (took, status) = restarted_after(Fault::NeverReady).await;
    let expected = Duration::from_millis(30_100);
    assert!(took >= expected && took < expected + Duration::from_millis(10), "{took:?}");
    assert_eq!(status.last_error.as_deref(), Some("not ready within 30s"));
}

#[actix_rt::test]
async fn whoever_depends_on_an_actor_that_is_not_ready_waits_and_others_do_not() {
    let lab = Lab::new();
    lab.fault("a", 0, Fault::NeverReady);
    lab.fault("slow", 1, Fault::SlowToStart(Duration::from_secs(20)));
    let swarm =
        supervisor("swarm", Strategy::RestForOne, Intensity::default(), lab.children(&["slow", "a", "b"]));
    let ops = supervisor("ops", Strategy::OneForOne, Intensity::default(), lab.children(&["c"]));
    let (handle, _outcome) =
        start(Strategy::OneForOne, Intensity { restarts: 0, ..Intensity::default() }, vec![swarm, ops]);
    sleep(Duration::from_secs(19)).await;
    assert_eq!(lab.news(), ["slow 1 started"], "in order");
    sleep(Duration::from_secs(20)).await;
    assert_eq!(lab.news(), ["slow 1 ready", "a 1 started"]);
    // After its first failure, those who do not need it are held up no longer.
    sleep(Duration::from_secs(20)).await;
    assert_eq!(lab.news(), ["a 1 stopped", "c 1 started", "c 1 ready", "a 2 started"]);
    let status = handle.status().await;
    assert_eq!(of(&status, "b").state, ActorState::Waiting);
    assert_eq!(status.state, TreeState::Starting);
}

#[actix_rt::test]
async fn nobody_is_blamed_for_time_in_which_the_process_was_stopped() {
    let lab = Lab::new();
    for name in ["a", "b"] {
        lab.fault(name, 0, Fault::SlowToAnswer(Duration::from_secs(1)));
    }
    let (handle, _outcome) = start(Strategy::OneForOne, Intensity::default(), lab.children(&["a", "b"]));
    until_running(&handle).await;
    for _ in 0..10 {
        until(&handle, "an answer", |status| of(status, "a").answered_seconds_ago < Some(0.1)).await;
        // The next probe is out, and not quite answered, when the clock leaps over its deadline.
        sleep(Duration::from_millis(5_800)).await;
        tokio::time::advance(Duration::from_secs(20)).await;
    }
    sleep(Duration::from_secs(60)).await;
    for name in ["a", "b"] {
        assert_eq!(look(&handle, name).await.hangs, 0);
    }
}
