//! When restarting does not help.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::lab::*;
use crate::supervisor::*;

const FEW: Intensity = Intensity { restarts: 3, within: Duration::from_secs(60) };

#[actix_rt::test]
async fn an_actor_that_dies_again_and_again_makes_the_root_give_up_after_draining_the_others() {
    let lab = Lab::new();
    lab.fault("b", 0, Fault::PanicInTimer(Duration::from_millis(10)));
    lab.fault("c", 0, Fault::SlowToDrain(Duration::from_secs(2)));
    let (handle, outcome) = start(Strategy::OneForOne, FEW, lab.children(&["a", "b", "c"]));
    let begun = Instant::now();
    let Outcome::GaveUp { cause } = outcome.await else { panic!("it was not told to stop") };
    assert!(cause.starts_with("restart limit of b exceeded (3 within 60s): boom in a timer, at "), "{cause}");
    // Three backoffs, four lives, and the drain.
    let expected = Duration::from_millis(100 + 200 + 400 + 4 * 10 + 2000);
    let took = begun.elapsed();
    assert!(took >= expected && took < expected + Duration::from_millis(20), "{took:?}");
    let news = lab.news();
    assert_eq!(
        news[news.len() - 6..],
        ["c 1 drains", "c 1 drained", "c 1 stopped", "a 1 drains", "a 1 drained", "a 1 stopped"]
    );
    let status = handle.status().await;
    assert_eq!((status.state, of(&status, "b").restarts), (TreeState::Ended, 3));
}

#[actix_rt::test]
async fn failures_that_are_far_apart_are_not_escalated() {
    let lab = Lab::new();
    lab.fault("a", 0, Fault::PanicInTimer(Duration::from_secs(25)));
    let (handle, _outcome) = start(Strategy::OneForOne, FEW, lab.children(&["a"]));
    sleep(Duration::from_secs(3600)).await;
    assert!(look(&handle, "a").await.restarts > 140, "and each counts as the first");
}

#[actix_rt::test]
async fn five_hundred_panics_in_ten_minutes_are_weather_if_they_are_spread() {
    let lab = Lab::new();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let swarm = supervisor("swarm", Strategy::RestForOne, Intensity::default(), lab.children(&names));
    let (handle, outcome) = start(Strategy::OneForOne, Intensity::OF_SUPERVISORS, vec![swarm]);
    let mut panics = 0;
    while panics < 500 {
        sleep(Duration::from_millis(1200)).await;
        let name = names[rand::random_range(0..names.len())];
        panics += u64::from(handle.crash(name).await.is_ok());
    }
    until_running(&handle).await;
    let status = handle.status().await;
    assert_eq!(status.actors.iter().map(|actor| actor.panics).sum::<u64>(), panics);
    assert_eq!(status.supervisors[1].restarts, 0);
    handle.stop();
    assert_eq!(outcome.await, Outcome::Drained);
}

#[actix_rt::test]
async fn a_nested_supervisor_that_fails_is_rebuilt_as_a_whole_and_alone() {
    let lab = Lab::new();
    for generation in 1..=4 {
        lab.fault("b", generation, Fault::PanicInStarted);
    }
    let swarm = supervisor("swarm", Strategy::RestForOne, FEW, lab.children(&["a", "b", "c"]));
    let ops = supervisor("ops", Strategy::OneForOne, FEW, lab.children(&["d"]));
    let (handle, outcome) = start(Strategy::OneForOne, FEW, vec![swarm, ops]);
    let took = until_running(&handle).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    let status = handle.status().await;
    let generations: Vec<_> = status.actors.iter().map(|actor| actor.generation).collect();
    assert_eq!(generations, [2, 5, 1, 1]);
    assert_eq!(of(&status, "b").restarts, 4);
    let swarm = &status.supervisors[1];
    assert_eq!((swarm.name.as_str(), swarm.restarts), ("swarm", 1));
    assert!(swarm.last_error.as_ref().unwrap().starts_with("restart limit of b exceeded"));
    handle.stop();
    assert_eq!(outcome.await, Outcome::Drained);
}

#[actix_rt::test]
async fn escalation_climbs_to_the_root() {
    let lab = Lab::new();
    lab.fault("b", 0, Fault::NeverReady);
    let within = Duration::from_secs(600);
    let settings = ChildSettings { start_deadline: Duration::from_secs(1), ..settings() };
    let swarm =
        supervisor("swarm", Strategy::OneForOne, FEW, vec![lab.child("a"), lab.child_with("b", settings)]);
    let ops = supervisor("ops", Strategy::OneForOne, FEW, lab.children(&["c"]));
    let (handle, outcome) = start(Strategy::OneForOne, Intensity { restarts: 1, within }, vec![swarm, ops]);
    let Outcome::GaveUp { cause } = outcome.await else { panic!("it was not told to stop") };
    assert_eq!(
        cause,
        "restart limit of swarm exceeded (1 within 600s): restart limit of b exceeded (3 within 60s): not ready within 1s"
    );
    let status = handle.status().await;
    assert_eq!((of(&status, "b").hangs, of(&status, "b").generation), (8, 8));
    assert_eq!(of(&status, "a").generation, 2);
    let news = lab.news();
    assert_eq!(
        news[news.len() - 6..],
        ["c 1 drains", "c 1 drained", "c 1 stopped", "a 2 drains", "a 2 drained", "a 2 stopped"]
    );
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let lab = Lab::default();
    let tree = |intensity, backoff| {
        let child = lab.child_with("a", ChildSettings { backoff, ..settings() });
        Tree::new(supervisor("root", Strategy::OneForOne, intensity, vec![child])).map(drop)
    };
    assert_eq!(tree(FEW, Backoff::default()), Ok(()));
    let never = Intensity { restarts: 25, within: Duration::from_secs(60) };
    let text = tree(never, Backoff::default()).unwrap_err().to_string();
    assert_eq!(
        text,
        "intensity of root for a: 25 restarts within 60s can never be exceeded: with the backoff they take up to 82.3s"
    );
    let slow = Backoff { first: Duration::from_secs(1), ..Backoff::default() };
    assert_eq!(
        tree(FEW, slow).unwrap_err().to_string(),
        "a: backoff: the first delay 1s is longer than 500ms"
    );
    let twice = supervisor("root", Strategy::OneForOne, FEW, lab.children(&["a", "a"]));
    assert_eq!(Tree::new(twice).unwrap_err(), TreeError::NameTwice("a"));
    assert_eq!(Tree::new(lab.child("a")).unwrap_err(), TreeError::RootIsAnActor("a"));
    // The inner supervisor takes 700 ms to fail, so two of its restarts take more than a second.
    let nested = |within| {
        let inner = supervisor("inner", Strategy::OneForOne, FEW, lab.children(&["a"]));
        let intensity = Intensity { restarts: 2, within };
        Tree::new(supervisor("root", Strategy::OneForOne, intensity, vec![inner])).map(drop)
    };
    assert!(matches!(
        nested(Duration::from_secs(1)),
        Err(TreeError::Intensity { supervisor: "root", child: "inner", .. })
    ));
    assert_eq!(nested(Duration::from_secs(2)), Ok(()));
}
