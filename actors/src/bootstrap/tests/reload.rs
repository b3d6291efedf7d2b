//! Other initial peers while the node runs.

use std::sync::Arc;

use super::*;
use crate::config_keeper::messages::Apply;

fn settings(initial: &[PeerId]) -> Arc<Settings> {
    Arc::new(Settings {
        initial_peers: initial.iter().map(|peer| InitialPeer { peer: *peer, addresses: vec![] }).collect(),
        retry: Backoff::default(),
        memory: PeerMemory::volatile(),
        seed: 1,
    })
}

fn named(status: &serde_json::Value) -> Vec<&str> {
    let peers = status["initial_peers"].as_array().unwrap();
    peers.iter().map(|peer| peer["peer"].as_str().unwrap()).collect()
}

#[actix_rt::test]
async fn new_ones_are_tried_at_once_and_others_are_left_alone() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &clock, 3).await;
    let (dead, newcomer) = (PeerId::random(), member(&swarm, &clock, 99));
    let bootstrap = start(&newcomer, &[dead]);
    sleep(Duration::from_secs(120)).await;
    let before = status(&bootstrap).await;
    assert_eq!(before["joined"], false);
    bootstrap.send(Apply(settings(&[members[0].peer, dead]))).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    let after = status(&bootstrap).await;
    assert_eq!(after["joined"], true);
    assert_eq!(named(&after), [members[0].peer.to_base58(), dead.to_base58()]);
    assert_eq!(
        after["initial_peers"][1]["failures"], before["initial_peers"][0]["failures"],
        "it waits as before"
    );

    // The dead one is not named any more, and not tried.
    bootstrap.send(Apply(settings(&[members[0].peer]))).await.unwrap();
    sleep(Duration::from_secs(300)).await;
    let last = status(&bootstrap).await;
    assert_eq!((named(&last), &last["joined"]), (vec![&*members[0].peer.to_base58()], &true.into()));
    // And named again, it begins anew.
    bootstrap.send(Apply(settings(&[members[0].peer, dead]))).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    assert!(status(&bootstrap).await["initial_peers"][1]["failures"].as_u64().unwrap() <= 3);
}
