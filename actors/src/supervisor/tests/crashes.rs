//! Panics, wherever they happen, and exits that nobody asked for.

use std::time::Duration;

use super::lab::*;
use crate::supervisor::{
    incarnation::{Factory, Spawn},
    machine::{Exit, News},
    *,
};

/// One actor with this fault in its first life: what is left of it after a while.
async fn survives(fault: Fault) -> (ActorStatus, Vec<String>) {
    let lab = Lab::new();
    lab.fault("a", 1, fault);
    let (handle, _outcome) = start(Strategy::OneForOne, Intensity::default(), lab.children(&["a", "b"]));
    until(&handle, "it lives again", |status| {
        of(status, "a").generation == 2 && status.state == TreeState::Running
    })
    .await;
    let b = look(&handle, "b").await;
    assert_eq!((b.restarts, b.generation, b.rebuilds), (0, 1, 0), "nobody else is concerned");
    (look(&handle, "a").await, lab.news())
}

fn says(status: &ActorStatus, text: &str) {
    let error = status.last_error.as_deref().unwrap_or_default();
    assert!(error.starts_with(text), "{error}");
    assert!(error.contains("lab.rs:"), "it says where: {error}");
    assert_eq!((status.restarts, status.panics, status.hangs), (1, 1, 0));
}

#[actix_rt::test]
async fn a_panic_in_started_is_survived() {
    says(&survives(Fault::PanicInStarted).await.0, "boom in started");
}

#[actix_rt::test]
async fn a_panic_in_a_spawned_future_is_survived() {
    says(&survives(Fault::PanicInSpawned(Duration::from_secs(3))).await.0, "boom in a spawned future");
}

#[actix_rt::test]
async fn a_panic_in_a_timer_is_survived() {
    let (status, journal) = survives(Fault::PanicInTimer(Duration::from_secs(3))).await;
    says(&status, "boom in a timer");
    assert!(journal.contains(&"a 1 stopped".to_owned()), "its hooks have run: {journal:?}");
}

#[actix_rt::test]
async fn a_panic_in_the_factory_is_survived() {
    says(&survives(Fault::PanicInFactory).await.0, "boom in the factory");
}

#[actix_rt::test]
async fn an_actor_that_stops_by_itself_is_started_again() {
    let (status, _) = survives(Fault::StopsItself(Duration::from_secs(3))).await;
    assert_eq!(status.last_error.as_deref(), Some("stopped by itself"));
    assert_eq!((status.restarts, status.panics), (1, 0));
}

#[actix_rt::test]
async fn a_panic_in_a_handler_is_survived_and_the_slot_holds_the_next_address() {
    let lab = Lab::new();
    let (handle, _outcome) = start(Strategy::OneForOne, Intensity::default(), lab.children(&["a"]));
    until_running(&handle).await;
    let slot = lab.slot("a");
    let first = slot.get().unwrap();
    assert_eq!(first.send(Who).await.unwrap(), 1);
    assert!(first.send(Boom).await.is_err());
    pass_turns().await;
    assert!(slot.get().is_none(), "nobody mails a dead actor");
    assert_eq!(look(&handle, "a").await.state, ActorState::Backoff);
    let took = until_running(&handle).await;
    assert!(took <= Duration::from_millis(500), "{took:?}");
    assert_eq!(slot.get().unwrap().send(Who).await.unwrap(), 2);
    assert!(first.send(Who).await.is_err(), "the old address stays dead");
    says(&look(&handle, "a").await, "boom in a handler");
}

#[actix_rt::test]
async fn a_panic_in_stopped_after_a_panic_does_not_abort_the_process() {
    let lab = Lab::new();
    lab.fault("a", 1, Fault::PanicInStopped);
    let (handle, _outcome) = start(Strategy::OneForOne, Intensity::default(), lab.children(&["a"]));
    until_running(&handle).await;
    assert!(lab.slot("a").get().unwrap().send(Boom).await.is_err());
    until(&handle, "it lives again", |status| of(status, "a").generation == 2).await;
    let error = look(&handle, "a").await.last_error.unwrap();
    assert!(error.contains("boom in a handler"), "{error}");
    assert!(error.contains("then, while it was stopped: boom in stopped"), "{error}");
}

#[actix_rt::test]
async fn crash_panics_the_actor_inside_its_own_task() {
    let lab = Lab::new();
    let (handle, _outcome) = start(Strategy::OneForOne, Intensity::default(), lab.children(&["a", "b"]));
    until_running(&handle).await;
    assert_eq!(handle.crash("c").await, Err(CrashError::Unknown("c".to_owned())));
    assert_eq!(handle.crash("root").await, Err(CrashError::Unknown("root".to_owned())));
    assert_eq!(handle.crash("a").await, Ok(()));
    pass_turns().await;
    assert_eq!(handle.crash("a").await, Err(CrashError::NotRunning("a".to_owned())));
    until_running(&handle).await;
    let a = look(&handle, "a").await;
    assert!(a.last_error.unwrap().starts_with("crashed on request"));
    assert_eq!((a.restarts, a.panics, a.generation), (1, 1, 2));
    assert_eq!(lab.news()[4..], ["a 1 stopped", "a 2 started", "a 2 ready"]);
}

#[actix_rt::test]
async fn a_handle_works_from_another_thread() {
    let lab = Lab::new();
    let (handle, outcome) = start(Strategy::OneForOne, Intensity::default(), lab.children(&["a"]));
    until_running(&handle).await;
    let theirs = handle.clone();
    let seen = tokio::task::spawn_blocking(move || {
        futures::executor::block_on(async {
            theirs.crash("a").await.unwrap();
            let status = theirs.status().await;
            theirs.stop();
            status
        })
    });
    assert_eq!(seen.await.unwrap().actors.len(), 1);
    assert_eq!(outcome.await, Outcome::Drained);
    assert_eq!(handle.status().await.state, TreeState::Ended);
    assert_eq!(handle.crash("a").await, Err(CrashError::Ended));
}

#[actix_rt::test]
async fn a_panic_in_the_future_of_an_answer_is_counted() {
    let lab = Lab::new();
    let (handle, _outcome) = start(Strategy::OneForOne, Intensity::default(), lab.children(&["a"]));
    until_running(&handle).await;
    let before = handle.status().await.stray_panics;
    assert!(lab.slot("a").get().unwrap().send(BoomInAnswer).await.is_err());
    pass_turns().await;
    // Other tests of this process add to the count: it is the process's.
    assert!(handle.status().await.stray_panics > before);
    assert_eq!(look(&handle, "a").await.generation, 1, "it ends that request only");
}

#[actix_rt::test]
async fn transient_and_temporary_children_end_as_they_should() {
    let lab = Lab::new();
    let after = Duration::from_secs(1);
    let kind = |restart| ChildSettings { restart, ..settings() };
    lab.fault("done", 0, Fault::StopsItself(after));
    lab.fault("failed", 1, Fault::PanicInTimer(after));
    lab.fault("gone", 0, Fault::PanicInTimer(after));
    let children = vec![
        lab.child_with("done", kind(Restart::Transient)),
        lab.child_with("failed", kind(Restart::Transient)),
        lab.child_with("gone", kind(Restart::Temporary)),
    ];
    let (handle, _outcome) = start(Strategy::RestForOne, Intensity::default(), children);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let status = handle.status().await;
    assert_eq!(status.state, TreeState::Running);
    assert_eq!((of(&status, "done").state, of(&status, "done").generation), (ActorState::Stopped, 1));
    assert_eq!((of(&status, "failed").state, of(&status, "failed").generation), (ActorState::Running, 2));
    assert_eq!((of(&status, "gone").state, of(&status, "gone").generation), (ActorState::Stopped, 1));
}

#[actix_rt::test]
async fn an_actor_that_is_aborted_before_its_first_turn_never_starts() {
    let lab = Lab::new();
    let mut factory = Factory::new(lab.slot("a"), lab.factory("a"));
    let (life, [_, ended]) = factory.spawn(1).unwrap();
    life.abort();
    assert_eq!(ended.await, Some(News::Exited(Exit::Aborted)));
    assert_eq!(lab.news(), [""; 0]);
    assert_eq!(lab.slot("a").get(), None);
}
