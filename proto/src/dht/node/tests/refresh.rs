//! Tables that fill up, and are kept fresh.

use super::*;

fn tick(swarm: &mut Swarm, peer: PeerId, after: Duration) {
    swarm.now = swarm.now + after;
    let now = swarm.now;
    swarm.nodes.get_mut(&peer).unwrap().tick(now);
    swarm.settle();
}

#[test]
fn stale_buckets_are_refreshed() {
    let (mut swarm, peers) = Swarm::of(5);
    tick(&mut swarm, peers[2], FIRST_REFRESH);
    swarm.calls.clear();
    tick(&mut swarm, peers[2], 2 * REFRESH_PERIOD);
    assert!(swarm.calls_of("DHTProtocol.rpc_find") >= 4);
}

#[test]
fn whoever_has_joined_learns_before_long_of_a_neighbour_that_came_at_the_same_moment() {
    let (mut swarm, mut peers) = Swarm::of(30);
    let neighbour = swarm.add(1000, false);
    let id = swarm.nodes[&neighbour].id();
    peers.sort_by_key(|peer| swarm.nodes[peer].id().distance(&id));
    let (us, other) = (peers[0], peers[1]);
    // Its search for itself went through before ours: it is known to one node alone.
    let now = swarm.now;
    swarm.with(neighbour, |node| node.ping(other, true, now));
    assert_eq!(swarm.nodes[&us].table().id_of(&neighbour), None);
    tick(&mut swarm, us, FIRST_REFRESH - Duration::from_secs(1));
    assert_eq!(swarm.nodes[&us].table().id_of(&neighbour), None);
    tick(&mut swarm, us, Duration::from_secs(1));
    assert!(swarm.nodes[&us].table().id_of(&neighbour).is_some());
}

#[test]
fn a_refresh_is_not_taken_for_a_start() {
    let (mut swarm, peers) = Swarm::of(6);
    let records = (0..4).map(|n| record(&format!("model.{n}"), "me", 900.0)).collect();
    swarm.store(peers[1], records);
    swarm.calls.clear();
    tick(&mut swarm, peers[1], FIRST_REFRESH);
    assert!(swarm.calls_of("DHTProtocol.rpc_find") >= 4);
    assert_eq!(swarm.calls_of("DHTProtocol.rpc_store"), 0, "nobody hands us what we hold");
}

#[test]
fn a_node_that_knows_nobody_waits_with_its_first_refresh() {
    let (mut swarm, peers) = Swarm::of(3);
    let late = swarm.add(1000, false);
    tick(&mut swarm, late, FIRST_REFRESH);
    let now = swarm.now;
    swarm.with(late, |node| node.ping(peers[0], true, now));
    tick(&mut swarm, late, FIRST_REFRESH);
    assert_eq!(swarm.nodes[&late].table().len(), 3);
}

#[test]
fn many_keys_are_searched_for_with_more_calls_at_once() {
    let (mut swarm, peers) = Swarm::of(60);
    let now = swarm.now;
    for (keys, at_once) in [(1, 8), (20, 20), (80, 32)] {
        let node = swarm.nodes.get_mut(&peers[0]).unwrap();
        node.lookup((0..keys).map(|n| DhtId::of_text(&format!("{keys}.{n}"))), now);
        let calls = std::iter::from_fn(|| node.next_effect());
        let finds =
            calls.filter(|effect| matches!(effect, Effect::Call { request: Request::Find { .. }, .. }));
        assert_eq!(finds.count(), at_once, "{keys} keys");
    }
}
