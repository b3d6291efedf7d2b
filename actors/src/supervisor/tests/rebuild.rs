//! Who is rebuilt with a failed actor, in which order, and what if another fails meanwhile.

use std::time::Duration;

use tokio::time::sleep;

use super::lab::*;
use crate::supervisor::*;

/// The generations of all actors.
async fn generations(handle: &Handle) -> Vec<u64> {
    handle.status().await.actors.iter().map(|actor| actor.generation).collect()
}

async fn crash(lab: &Lab, name: &'static str) {
    assert!(lab.slot(name).get().unwrap().send(Boom).await.is_err());
}

#[actix_rt::test]
async fn rest_for_one_rebuilds_those_below_in_order() {
    let lab = Lab::new();
    let (handle, _outcome) =
        start(Strategy::RestForOne, Intensity::default(), lab.children(&["a", "b", "c", "d"]));
    until_running(&handle).await;
    lab.news();
    let above = lab.slot("a").get().unwrap();
    let below = lab.slot("c").get().unwrap();
    crash(&lab, "b").await;
    pass_turns().await;
    assert_eq!(
        lab.news(),
        ["b 1 stopped", "d 1 stopped", "c 1 stopped"],
        "at once, from the last, undrained"
    );
    assert_eq!(lab.slot("c").get(), None);
    let took = until_running(&handle).await;
    assert!(took <= Duration::from_millis(500), "{took:?}");
    assert_eq!(
        lab.news(),
        ["b 2 started", "b 2 ready", "c 2 started", "c 2 ready", "d 2 started", "d 2 ready"]
    );
    assert_eq!(lab.slot("a").get(), Some(above), "who stands above is left alone");
    assert_ne!(lab.slot("c").get(), Some(below));
    assert_eq!(lab.slot("c").get().unwrap().send(Who).await.unwrap(), 2);
    let status = handle.status().await;
    let counts: Vec<_> = status.actors.iter().map(|actor| (actor.restarts, actor.rebuilds)).collect();
    assert_eq!(counts, [(0, 0), (1, 0), (0, 1), (0, 1)]);
}

#[actix_rt::test]
async fn one_for_all_rebuilds_everybody() {
    let lab = Lab::new();
    let (handle, _outcome) = start(Strategy::OneForAll, Intensity::default(), lab.children(&["a", "b", "c"]));
    until_running(&handle).await;
    lab.news();
    crash(&lab, "b").await;
    until_running(&handle).await;
    assert_eq!(lab.news()[..3], ["b 1 stopped", "c 1 stopped", "a 1 stopped"]);
    assert_eq!(generations(&handle).await, [2, 2, 2]);
}

#[actix_rt::test]
async fn one_for_one_rebuilds_nobody_else() {
    let lab = Lab::new();
    let (handle, _outcome) = start(Strategy::OneForOne, Intensity::default(), lab.children(&["a", "b", "c"]));
    until_running(&handle).await;
    crash(&lab, "a").await;
    until_running(&handle).await;
    assert_eq!(generations(&handle).await, [2, 1, 1]);
}

#[actix_rt::test]
async fn a_dependent_that_fails_while_it_is_rebuilt_is_started_after_its_own_backoff() {
    let lab = Lab::new();
    lab.fault("c", 2, Fault::PanicInStarted);
    let (handle, _outcome) =
        start(Strategy::RestForOne, Intensity::default(), lab.children(&["a", "b", "c", "d"]));
    until_running(&handle).await;
    lab.news();
    crash(&lab, "b").await;
    until_running(&handle).await;
    assert_eq!(
        lab.news()[3..],
        [
            "b 2 started",
            "b 2 ready",
            "c 2 started",
            "c 2 stopped",
            "c 3 started",
            "c 3 ready",
            "d 2 started",
            "d 2 ready"
        ]
    );
    assert_eq!(generations(&handle).await, [1, 2, 3, 2]);
}

#[actix_rt::test]
async fn an_actor_above_that_fails_during_a_rebuild_starts_it_over() {
    let lab = Lab::new();
    lab.fault("c", 2, Fault::SlowToStart(Duration::from_secs(10)));
    let (handle, _outcome) =
        start(Strategy::RestForOne, Intensity::default(), lab.children(&["a", "b", "c", "d"]));
    until_running(&handle).await;
    crash(&lab, "b").await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(look(&handle, "c").await.state, ActorState::Starting);
    lab.news();
    crash(&lab, "a").await;
    pass_turns().await;
    assert_eq!(lab.news(), ["a 1 stopped", "c 2 stopped", "b 2 stopped"], "d was not alive");
    until_running(&handle).await;
    assert_eq!(generations(&handle).await, [2, 3, 3, 2]);
    assert_eq!(
        lab.news(),
        [
            "a 2 started",
            "a 2 ready",
            "b 3 started",
            "b 3 ready",
            "c 3 started",
            "c 3 ready",
            "d 2 started",
            "d 2 ready"
        ]
    );
}

#[actix_rt::test]
async fn all_that_fail_at_once_are_rebuilt() {
    let lab = Lab::new();
    let (handle, _outcome) =
        start(Strategy::RestForOne, Intensity::default(), lab.children(&["a", "b", "c"]));
    until_running(&handle).await;
    let crashes = futures::join!(handle.crash("c"), handle.crash("a"), handle.crash("b"));
    assert_eq!(crashes, (Ok(()), Ok(()), Ok(())));
    pass_turns().await;
    until_running(&handle).await;
    assert_eq!(generations(&handle).await, [2, 2, 2]);
}

#[actix_rt::test]
async fn a_rebuild_does_not_wait_for_one_that_refuses_to_stop() {
    let lab = Lab::new();
    lab.fault("b", 1, Fault::RefusesToStop);
    lab.fault("c", 1, Fault::PanicInStopped);
    let (handle, _outcome) =
        start(Strategy::RestForOne, Intensity::default(), lab.children(&["a", "b", "c"]));
    until_running(&handle).await;
    crash(&lab, "a").await;
    pass_turns().await;
    let took = until_running(&handle).await;
    assert!(took <= Duration::from_millis(500), "{took:?}");
    assert_eq!(generations(&handle).await, [2, 2, 2]);
    assert!(look(&handle, "c").await.last_error.unwrap().contains("boom in stopped"));
}

#[actix_rt::test]
async fn a_child_that_had_done_its_work_does_it_again_for_those_who_are_rebuilt() {
    let lab = Lab::new();
    for name in ["done", "gone"] {
        lab.fault(name, 0, Fault::StopsItself(Duration::from_secs(1)));
    }
    let kind = |restart| ChildSettings { restart, ..settings() };
    let children = vec![
        lab.child("a"),
        lab.child_with("done", kind(Restart::Transient)),
        lab.child_with("gone", kind(Restart::Temporary)),
        lab.child_with("stays", kind(Restart::Temporary)),
    ];
    let (handle, _outcome) = start(Strategy::RestForOne, Intensity::default(), children);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(look(&handle, "done").await.state, ActorState::Stopped);
    crash(&lab, "a").await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(generations(&handle).await, [2, 2, 1, 1]);
    assert_eq!(look(&handle, "stays").await.state, ActorState::Stopped, "it went down with the others");
}
