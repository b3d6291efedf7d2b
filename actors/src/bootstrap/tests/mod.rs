//! Joining, and joining again, on a simulated swarm in virtual time.

mod apart;
mod reload;
mod remembering;

use hivemind_proto::dht::DhtId;
use tokio::time::sleep;

use super::*;
use crate::{
    dht::tests::{Member, member, swarm_of, virtual_clock},
    simulated::SimulatedNetwork,
};

pub(crate) fn start(member: &Member, initial: &[PeerId]) -> Addr<Bootstrap> {
    start_with(member, initial, PeerMemory::volatile())
}

pub(crate) fn start_with(member: &Member, initial: &[PeerId], memory: PeerMemory) -> Addr<Bootstrap> {
    let settings = Settings {
        initial_peers: initial.iter().map(|peer| InitialPeer { peer: *peer, addresses: vec![] }).collect(),
        retry: Backoff {
            cap: Duration::from_secs(30),
            reset_after: Duration::from_secs(30),
            ..Backoff::default()
        },
        memory,
        seed: 1,
    };
    Bootstrap::new(settings, member.network.clone(), member.dht.clone(), Birth::detached().0).start()
}

pub(crate) async fn status(bootstrap: &Addr<Bootstrap>) -> serde_json::Value {
    bootstrap.send(Probe).await.unwrap().0
}

#[actix_rt::test]
async fn one_initial_peer_is_enough_to_know_everybody() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &clock, 10).await;
    let newcomer = member(&swarm, &clock, 99);
    let bootstrap = start(&newcomer, &[members[4].peer]);
    sleep(Duration::from_secs(1)).await;
    let status = status(&bootstrap).await;
    assert_eq!((&status["joined"], &status["known_nodes"]), (&true.into(), &10.into()));
    assert_eq!(status["initial_peers"][0]["answered"]["available"], true);
}

#[actix_rt::test]
async fn an_only_initial_peer_that_was_away_for_an_hour_is_found_within_seconds() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &clock, 3).await;
    swarm.cut(members[0].peer);
    let newcomer = member(&swarm, &clock, 99);
    let bootstrap = start(&newcomer, &[members[0].peer]);
    sleep(Duration::from_secs(3600)).await;
    let before = status(&bootstrap).await;
    assert_eq!(before["joined"], false);
    assert!(before["initial_peers"][0]["failures"].as_u64().unwrap() > 100);
    swarm.heal(members[0].peer);
    sleep(LOST_PAUSE + Duration::from_secs(1)).await;
    assert_eq!(status(&bootstrap).await["joined"], true);
}

#[actix_rt::test]
async fn while_others_are_known_an_initial_peer_that_is_away_is_left_in_peace() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &clock, 3).await;
    swarm.cut(members[0].peer);
    let newcomer = member(&swarm, &clock, 99);
    let bootstrap = start(&newcomer, &[members[0].peer, members[1].peer]);
    sleep(Duration::from_secs(3600)).await;
    let before = status(&bootstrap).await;
    let failures = before["initial_peers"][0]["failures"].as_u64().unwrap();
    assert!((100..200).contains(&failures), "{failures}");
    // It calls us itself: it is asked at once.
    swarm.heal(members[0].peer);
    newcomer.network.publish(NetworkEvent::Connected(members[0].peer));
    sleep(Duration::from_millis(500)).await;
    assert!(status(&bootstrap).await["initial_peers"][0].get("answered").is_some());
}

#[actix_rt::test]
async fn a_table_that_was_emptied_is_filled_again() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &clock, 4).await;
    let newcomer = member(&swarm, &clock, 99);
    let bootstrap = start(&newcomer, &[members[0].peer]);
    sleep(Duration::from_secs(1)).await;
    // We are cut off for two minutes: every call fails, and every failure takes a node out of the table.
    swarm.cut(newcomer.peer);
    for _ in 0..4 {
        sleep(Duration::from_secs(30)).await;
        newcomer.dht.send(Lookup { keys: vec![DhtId::of_text("k")] }).await.unwrap().unwrap();
    }
    assert_eq!(status(&bootstrap).await["known_nodes"], 0);
    swarm.heal(newcomer.peer);
    sleep(LOST_PAUSE + Duration::from_secs(1)).await;
    assert_eq!(status(&bootstrap).await["known_nodes"], 4);
}

#[actix_rt::test]
async fn without_initial_peers_it_waits_to_be_joined() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let seed = member(&swarm, &clock, 1);
    let bootstrap = start(&seed, &[]);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(status(&bootstrap).await["joined"], false);
    let newcomer = member(&swarm, &clock, 2);
    crate::dht::tests::join(&newcomer, &seed).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(status(&bootstrap).await["joined"], true);
}
