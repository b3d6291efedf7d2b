//! Peers that are remembered from one life to the next.

use std::path::Path;

use super::*;
use crate::{clock::SharedClock, dht::tests::member_as, durable};

struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("known_peers")
    }

    /// What a new process would remember.
    fn memory(&self) -> PeerMemory {
        PeerMemory::in_file(self.file())
    }
}

fn lines(file: &Path) -> usize {
    let content = durable::read(file, 1 << 20).unwrap();
    let content = durable::unseal("known_peers", 1, &content).unwrap();
    serde_json::from_slice::<Vec<serde_json::Value>>(content).unwrap().len()
}

/// A life that knows `count` other nodes, killed after five seconds.
async fn first_life(
    home: &Home,
    swarm: &SimulatedNetwork,
    clock: &SharedClock,
    count: u64,
) -> (Vec<Member>, PeerId) {
    let members = swarm_of(swarm, clock, count).await;
    let us = member(swarm, clock, 99);
    let bootstrap = start_with(&us, &[members[0].peer], home.memory());
    sleep(Duration::from_secs(5)).await;
    assert_eq!(status(&bootstrap).await["remembered"]["peers"], count);
    swarm.cut(us.peer);
    (members, us.peer)
}

#[actix_rt::test]
async fn a_restart_joins_while_every_bootstrap_is_down() {
    let (clock, swarm, home) = (virtual_clock(), SimulatedNetwork::default(), Home::new());
    let (members, us) = first_life(&home, &swarm, &clock, 12).await;
    swarm.cut(members[0].peer);
    swarm.heal(us);
    let us = member_as(us, &swarm, &clock, 99);
    let bootstrap = start_with(&us, &[members[0].peer], home.memory());
    sleep(Duration::from_secs(3)).await;
    let status = status(&bootstrap).await;
    assert_eq!((&status["joined"], &status["known_nodes"]), (&true.into(), &11.into()));
    assert!(status["initial_peers"][0]["failures"].as_u64().unwrap() > 0);
}

#[actix_rt::test]
async fn without_memory_it_takes_a_bootstrap_and_not_longer_than_that_takes() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &clock, 5).await;
    swarm.cut(members[0].peer);
    let us = member(&swarm, &clock, 99);
    let bootstrap = start(&us, &[members[0].peer]);
    sleep(Duration::from_secs(600)).await;
    assert_eq!(status(&bootstrap).await["joined"], false);
    swarm.heal(members[0].peer);
    sleep(Duration::from_secs(31)).await;
    assert_eq!(status(&bootstrap).await["joined"], true);
}

#[actix_rt::test]
async fn who_is_gone_is_forgotten_while_others_answer_and_nobody_is_while_none_does() {
    let (clock, swarm, home) = (virtual_clock(), SimulatedNetwork::default(), Home::new());
    let (members, us) = first_life(&home, &swarm, &clock, 6).await;
    // A life in which nobody at all answers, for an hour.
    let lonely = member_as(us, &swarm, &clock, 99);
    let bootstrap = start_with(&lonely, &[members[0].peer], home.memory());
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(status(&bootstrap).await["remembered"]["peers"], 6);
    // Three lives in which two are gone for good.
    swarm.heal(us);
    swarm.cut(members[2].peer);
    swarm.cut(members[3].peer);
    let memory = home.memory();
    for life in 1..=3 {
        let us = member_as(us, &swarm, &clock, 99);
        let bootstrap = start_with(&us, &[members[0].peer], memory.clone());
        sleep(Duration::from_secs(60)).await;
        let status = status(&bootstrap).await;
        assert_eq!(status["known_nodes"], 4, "{status}");
        assert_eq!(status["remembered"]["peers"], if life < 3 { 6 } else { 4 });
    }
    assert_eq!(lines(&home.file()), 4);
}

#[actix_rt::test]
async fn a_damaged_file_is_set_aside_and_the_next_one_is_good() {
    let (clock, swarm, home) = (virtual_clock(), SimulatedNetwork::default(), Home::new());
    let (members, us) = first_life(&home, &swarm, &clock, 4).await;
    let mut content = std::fs::read(home.file()).unwrap();
    *content.last_mut().unwrap() ^= 1;
    std::fs::write(home.file(), content).unwrap();
    swarm.heal(us);
    let us = member_as(us, &swarm, &clock, 99);
    let bootstrap = start_with(&us, &[members[1].peer], home.memory());
    sleep(Duration::from_secs(5)).await;
    let status = status(&bootstrap).await;
    assert_eq!(status["joined"], true);
    let aside = status["remembered"]["set_aside"].as_str().unwrap();
    assert!(aside.contains("known_peers.damaged-1") && aside.contains("checksum"), "{aside}");
    assert_eq!(lines(&home.file()), 4);
}

#[actix_rt::test]
async fn the_disk_is_written_seldom_and_at_the_end() {
    let (clock, swarm, home) = (virtual_clock(), SimulatedNetwork::default(), Home::new());
    let mut members = swarm_of(&swarm, &clock, 3).await;
    let us = member(&swarm, &clock, 99);
    let bootstrap = start_with(&us, &[members[0].peer], home.memory());
    let mut written = Vec::new();
    for second in 0..120 {
        sleep(Duration::from_secs(1)).await;
        if second % 5 == 0 {
            members.push(member(&swarm, &clock, 1000 + second));
            crate::dht::tests::join(members.last().unwrap(), &members[0]).await;
        }
        let now = home.file().exists().then(|| lines(&home.file()));
        if written.last() != Some(&now) {
            written.push(now);
        }
    }
    assert!((4..=6).contains(&written.len()), "{written:?}");
    bootstrap.send(Drain).await.unwrap();
    let all = status(&bootstrap).await["remembered"]["peers"].as_u64().unwrap();
    assert_eq!(lines(&home.file()) as u64, all);
}

#[actix_rt::test]
async fn a_full_disk_is_told_and_stops_nothing() {
    let (clock, swarm, home) = (virtual_clock(), SimulatedNetwork::default(), Home::new());
    let members = swarm_of(&swarm, &clock, 4).await;
    let us = member(&swarm, &clock, 99);
    let nowhere = PeerMemory::in_file(home.folder.path().join("missing").join("known_peers"));
    let bootstrap = start_with(&us, &[members[0].peer], nowhere);
    sleep(Duration::from_secs(100)).await;
    let status = status(&bootstrap).await;
    assert_eq!((&status["joined"], &status["known_nodes"]), (&true.into(), &4.into()));
    assert!(status["remembered"]["last_error"].is_string(), "{status}");
    bootstrap.send(Drain).await.unwrap();
}
