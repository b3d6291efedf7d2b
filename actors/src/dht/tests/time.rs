//! Clocks that are wrong, and members that have gone while nobody searches.

use std::sync::atomic::{AtomicI64, Ordering};

use tokio::time::sleep;

use super::*;

/// A clock that is set while it runs.
pub(crate) struct SetClock {
    right: SharedClock,
    ahead_seconds: AtomicI64,
}

impl SetClock {
    pub(crate) fn ahead(right: &SharedClock, seconds: i64) -> Arc<Self> {
        Arc::new(Self { right: right.clone(), ahead_seconds: AtomicI64::new(seconds) })
    }

    fn set(&self, ahead_seconds: i64) {
        self.ahead_seconds.store(ahead_seconds, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> DhtTime {
        let ahead = self.ahead_seconds.load(Ordering::Relaxed) as f64;
        DhtTime::from_unix(self.right.now().as_unix() + ahead).unwrap()
    }
}

/// How far its idea of swarm time is from the right one, in seconds.
async fn error(member: &Member, right: &SharedClock) -> f64 {
    member.dht.send(Membership).await.unwrap().clock.now().seconds_since(right.now())
}

fn expiring(key: &str, at: DhtTime) -> Record {
    Record {
        key: DhtId::of_text(key),
        tag: Tag::Subkey(Subkey::text("me")),
        value: b"\xa1v"[..].into(),
        expiration: at,
    }
}

/// A node whose clock is off by `off` seconds serves both sides of the storage in swarm time.
async fn is_corrected(off: i64) {
    let (right, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &right, 4).await;
    let wrong: SharedClock = SetClock::ahead(&right, off);
    let odd = member(&swarm, &wrong, 99);
    join(&odd, &members[0]).await;
    sleep(Duration::from_secs(2)).await;
    assert!(error(&odd, &right).await.abs() < 0.1);
    let ProbeReport(status) = odd.dht.send(Probe).await.unwrap();
    assert!((status["clock"]["correction_seconds"].as_f64().unwrap() + off as f64).abs() < 0.1, "{status}");
    // What others store for the next five seconds is held, and dropped when they mean it.
    let record = expiring("k", right.now() + Duration::from_secs(5));
    let report = members[1].dht.send(Store { records: vec![record] }).await.unwrap().unwrap();
    assert!(report.records[0].refused.is_empty(), "{report:?}");
    assert!(report.records[0].acknowledged.contains(&odd.peer));
    sleep(Duration::from_secs(7)).await;
    let ProbeReport(status) = odd.dht.send(Probe).await.unwrap();
    assert_eq!(status["stored_keys"], 0);
    // Others are told the swarm's time.
    let pong = members[2].dht.send(Ping { peer: odd.peer, validate: false }).await.unwrap().unwrap();
    assert!(pong.time.unwrap().seconds_since(right.now()).abs() < 0.1);
}

#[actix_rt::test]
async fn a_clock_that_is_ten_seconds_behind_is_corrected() {
    is_corrected(-10).await;
}

#[actix_rt::test]
async fn a_clock_that_is_ten_seconds_ahead_is_corrected() {
    is_corrected(10).await;
}

#[actix_rt::test]
async fn a_clock_that_is_set_while_it_runs_is_followed_at_once() {
    let (right, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &right, 5).await;
    let clock = SetClock::ahead(&right, 0);
    let odd = member(&swarm, &(clock.clone() as SharedClock), 99);
    join(&odd, &members[0]).await;
    sleep(Duration::from_secs(30)).await;
    for ahead in [-86_400, 3600, 0] {
        clock.set(ahead);
        sleep(Duration::from_secs(3)).await;
        assert!(error(&odd, &right).await.abs() < 0.1, "{ahead}");
    }
    let ProbeReport(status) = odd.dht.send(Probe).await.unwrap();
    assert_eq!((&status["clock"]["leaps"], &status["clock"]["correction_seconds"]), (&3.into(), &0.0.into()));
    // Nobody was lost on the way.
    assert_eq!(status["known_nodes"], 5);
}

#[actix_rt::test]
async fn one_peer_with_a_wrong_clock_moves_nobody() {
    let (right, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &right, 4).await;
    let wrong: SharedClock = SetClock::ahead(&right, 1_000_000);
    let liar = member(&swarm, &wrong, 99);
    join(&liar, &members[0]).await;
    sleep(Duration::from_secs(120)).await;
    for member in &members {
        assert!(error(member, &right).await.abs() < 1e-9);
    }
}

#[actix_rt::test]
async fn a_table_of_dead_members_is_empty_within_two_minutes_though_nobody_searches() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &clock, 21).await;
    let mut known = members[20].dht.send(Membership).await.unwrap().known;
    assert_eq!(*known.borrow_and_update(), 20);
    // All is well for a while, so that no round comes early.
    sleep(Duration::from_secs(300)).await;
    members[..20].iter().for_each(|member| swarm.cut(member.peer));
    let begun = Instant::now();
    known.wait_for(|known| *known == 0).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", begun.elapsed());
}
