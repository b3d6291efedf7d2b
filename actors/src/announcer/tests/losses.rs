//! The losses from which the original does not recover: it reports success, and is gone for good.

use super::*;
use crate::{
    bootstrap::{Bootstrap, PeerMemory, tests as joining},
    dht::tests::member_as,
};

/// A node that looks after itself: it joins, and announces.
struct Daemon {
    server: Server,
    bootstrap: Addr<Bootstrap>,
}

fn daemon(me: Member, initial: &[PeerId], memory: PeerMemory, clock: &SharedClock) -> Daemon {
    let bootstrap = joining::start_with(&me, initial, memory);
    Daemon { server: start(me, clock, offer(), false), bootstrap }
}

/// Whether `reader` finds every block.
async fn visible(reader: &Member, peer: PeerId) -> bool {
    let mut found = true;
    for index in 0..4 {
        found &= block(reader, index, peer).await.is_some();
    }
    found
}

/// A record comes back within this time: the longest pause of a retry, and what calls take.
const RECOVERY: Duration = Duration::from_secs(35);

#[actix_rt::test]
async fn the_only_bootstrap_is_away_during_one_announcement() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let only = member(&swarm, &clock, 1);
    let daemon = daemon(member(&swarm, &clock, 2), &[only.peer], PeerMemory::volatile(), &clock);
    let peer = daemon.server.member.peer;
    sleep(Duration::from_secs(10)).await;
    assert!(visible(&only, peer).await);
    swarm.cut(only.peer);
    sleep(PERIOD + Duration::from_secs(20)).await;
    let status = daemon.server.status().await;
    assert_ne!(status["verdict"], "confirmed", "nobody heard it: {status}");
    assert_eq!(joining::status(&daemon.bootstrap).await["known_nodes"], 0);
    // It has lost what it held.
    let only = member_as(only.peer, &swarm, &clock, 1);
    swarm.heal(only.peer);
    sleep(RECOVERY).await;
    assert!(visible(&only, peer).await);
    assert_eq!(daemon.server.status().await["verdict"], "confirmed");
}

#[actix_rt::test]
async fn every_bootstrap_is_replaced_by_others() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &clock, 8).await;
    let initial = [members[0].peer, members[1].peer];
    let folder = tempfile::tempdir().unwrap();
    let memory = || PeerMemory::in_file(folder.path().join("known_peers"));
    let life = daemon(member(&swarm, &clock, 90), &initial, memory(), &clock);
    let peer = life.server.member.peer;
    sleep(Duration::from_secs(30)).await;
    // The two are gone for good; two others have come, and a reader knows only them.
    initial.iter().for_each(|gone| swarm.cut(*gone));
    let others = [member(&swarm, &clock, 50), member(&swarm, &clock, 51)];
    for other in &others {
        join(other, &members[5]).await;
    }
    let reader = member(&swarm, &clock, 60);
    join(&reader, &others[1]).await;
    for _ in 0..20 {
        sleep(PERIOD / 2).await;
        assert!(visible(&reader, peer).await);
    }
    // A new life finds the swarm without any peer of its config.
    let me = member_as(peer, &swarm, &clock, 90);
    let life = daemon(me, &initial, memory(), &clock);
    sleep(Duration::from_secs(3)).await;
    assert!(visible(&reader, peer).await);
    assert_eq!(life.server.status().await["verdict"], "confirmed");
    sleep(2 * TTL).await;
    assert!(visible(&reader, peer).await);
}

#[actix_rt::test]
async fn a_start_while_all_bootstraps_are_down_with_remembered_peers() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &clock, 8).await;
    let initial = [members[0].peer, members[1].peer];
    let folder = tempfile::tempdir().unwrap();
    let memory = || PeerMemory::in_file(folder.path().join("known_peers"));
    let first = daemon(member(&swarm, &clock, 90), &initial, memory(), &clock);
    let peer = first.server.member.peer;
    sleep(Duration::from_secs(10)).await;
    // It is killed, and is away until nothing of it is left.
    swarm.cut(peer);
    initial.iter().for_each(|down| swarm.cut(*down));
    sleep(2 * TTL).await;
    assert!(!visible(&members[4], peer).await);
    let me = member_as(peer, &swarm, &clock, 90);
    swarm.heal(peer);
    let _life = daemon(me, &initial, memory(), &clock);
    sleep(Duration::from_secs(3)).await;
    assert!(visible(&members[4], peer).await);
}

#[actix_rt::test]
async fn a_start_while_all_bootstraps_are_down_without_remembered_peers() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &clock, 8).await;
    let initial = [members[0].peer, members[1].peer];
    initial.iter().for_each(|down| swarm.cut(*down));
    let life = daemon(member(&swarm, &clock, 90), &initial, PeerMemory::volatile(), &clock);
    let peer = life.server.member.peer;
    sleep(Duration::from_secs(7200)).await;
    assert_ne!(life.server.status().await["verdict"], "confirmed");
    assert_eq!(joining::status(&life.bootstrap).await["joined"], false);
    let back = member_as(initial[1], &swarm, &clock, 1);
    swarm.heal(initial[1]);
    join(&back, &members[4]).await;
    sleep(RECOVERY).await;
    assert!(visible(&members[4], peer).await);
    assert_eq!(life.server.status().await["verdict"], "confirmed");
}

#[actix_rt::test]
async fn all_peers_are_restarted_with_new_node_ids() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &clock, 8).await;
    let peers: Vec<PeerId> = members.iter().map(|member| member.peer).collect();
    let life = daemon(member(&swarm, &clock, 90), &peers[..2], PeerMemory::volatile(), &clock);
    let peer = life.server.member.peer;
    sleep(Duration::from_secs(90)).await;
    // All at once, with nothing of what they held, in other places.
    let members: Vec<Member> =
        peers.iter().enumerate().map(|(n, peer)| member_as(*peer, &swarm, &clock, 500 + n as u64)).collect();
    for member in &members[1..] {
        join(member, &members[0]).await;
    }
    sleep(PERIOD + Duration::from_secs(5)).await;
    for member in &members {
        assert!(visible(member, peer).await);
    }
    let status = life.server.status().await;
    assert_eq!(status["verdict"], "confirmed");
    // Five, of which we may be one ourselves.
    assert!(status["least_replicas"].as_u64().unwrap() >= 4, "{status}");
}
