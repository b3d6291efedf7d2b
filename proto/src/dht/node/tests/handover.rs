//! What newly met nodes are handed.

use super::*;
use crate::dht::Row;

fn holds(swarm: &Swarm, peer: PeerId, key: &DhtId) -> bool {
    swarm.nodes[&peer].storage.peek(key).is_some()
}

/// Everybody but `without`, nearest to `key` first.
fn ranked(swarm: &Swarm, key: &DhtId, without: &[PeerId]) -> Vec<PeerId> {
    let mut all: Vec<(PeerId, DhtId)> = swarm
        .nodes
        .iter()
        .map(|(peer, node)| (*peer, node.id()))
        .filter(|(p, _)| !without.contains(p))
        .collect();
    all.sort_by_key(|(_, id)| id.distance(key));
    all.into_iter().map(|(peer, _)| peer).collect()
}

fn keys(count: u32) -> Vec<DhtId> {
    blocks(count).iter().map(|record| record.key).collect()
}

#[test]
fn a_newcomer_is_handed_what_it_is_among_the_nearest_for_and_little_else() {
    let (mut swarm, peers) = Swarm::of(30);
    // A writer that is gone afterwards: what is handed over comes from those who hold it.
    let writer = swarm.add(500, true);
    swarm.join(writer, peers[0]);
    swarm.store(writer, blocks(60));
    swarm.nodes.remove(&writer);
    let newcomer = swarm.add(1000, false);
    swarm.join(newcomer, peers[3]);
    let (mut due, mut surplus) = (0, 0);
    for key in keys(60) {
        let place = ranked(&swarm, &key, &[]).iter().position(|peer| *peer == newcomer).unwrap();
        let held = holds(&swarm, newcomer, &key);
        assert!(held || place >= REPLICAS, "place {place}");
        due += usize::from(place < REPLICAS);
        // Whoever hands over may know fewer nodes than there are.
        surplus += usize::from(held && place >= REPLICAS);
        assert!(!held || place < REPLICAS + 3, "place {place}");
    }
    assert!(due > 2 && surplus <= due, "{due} and {surplus} more");
}

#[test]
fn a_restarted_node_holds_our_records_again_though_nobody_who_held_them_is_left() {
    let (mut swarm, peers) = Swarm::of(12);
    let writer = peers[5];
    swarm.store(writer, blocks(40));
    // All but the writer are restarted at once, without what they held; some are known already, some are not.
    for peer in peers.iter().filter(|peer| **peer != writer) {
        let seed = swarm.nodes[peer].id();
        swarm.restart(*peer, seed);
    }
    swarm.now = swarm.now + Duration::from_secs(31);
    for peer in peers.iter().filter(|peer| **peer != writer) {
        swarm.join(*peer, writer);
    }
    for key in keys(40) {
        let nearest = ranked(&swarm, &key, &[writer]);
        let held = nearest[..REPLICAS].iter().filter(|peer| holds(&swarm, **peer, &key)).count();
        assert_eq!(held, REPLICAS);
    }
    let held =
        ranked(&swarm, &keys(1)[0], &[]).iter().filter(|peer| holds(&swarm, **peer, &keys(1)[0])).count();
    assert!(held <= 11, "{held}");
}

#[test]
fn a_large_dictionary_goes_over_in_batches() {
    let (mut swarm, peers) = Swarm::of(1);
    let outside = PeerId::random();
    let key = DhtId::of_text("k");
    let rows = (0..5000).map(|n| Row {
        key: key.as_bytes().to_vec(),
        tag: Tag::Subkey(Subkey::text(&n.to_string())).encode(),
        value: [&b"\xc4\xc8"[..], &[7; 200]].concat().into(),
        expiration: START + 60.0,
        in_cache: false,
    });
    swarm.ask(peers[0], outside, Request::Store { sender: None, rows: rows.collect() });
    let newcomer = swarm.add(7, false);
    swarm.calls.clear();
    swarm.join(newcomer, peers[0]);
    let Some(crate::dht::Held::Dictionary(entries)) = swarm.nodes[&newcomer].storage.peek(&key) else {
        panic!("a dictionary")
    };
    assert_eq!(entries.count(), 5000);
    let calls = swarm.calls_of("DHTProtocol.rpc_store");
    assert!((5..=12).contains(&calls), "{calls}");
    assert_eq!(swarm.nodes[&peers[0]].counters().records_handed_over, 5000);
}

#[test]
fn whoever_has_everything_already_is_left_alone_after_a_few_rows() {
    let (mut swarm, peers) = Swarm::of(2);
    swarm.store(peers[0], (0..1000).map(|n| record(&format!("model.{n}"), "me", 600.0)).collect());
    let foreign = (0..500).map(|n| Row::from(&record(&n.to_string(), "other", 600.0))).collect();
    swarm.ask(peers[0], PeerId::random(), Request::Store { sender: None, rows: foreign });
    let first = swarm.nodes[&peers[0]].counters().records_handed_over;
    swarm.now = swarm.now + Duration::from_secs(31);
    let id = swarm.nodes[&peers[1]].id();
    swarm.restart(peers[1], id);
    swarm.join(peers[1], peers[0]);
    let before = swarm.nodes[&peers[0]].counters().records_handed_over;
    assert_eq!(before - first, 1500, "ours, and those of others for which we are the nearest");
    swarm.now = swarm.now + Duration::from_secs(31);
    let (now, peer) = (swarm.now, peers[1]);
    swarm.with(peer, |node| node.lookup([id], now));
    let again = swarm.nodes[&peers[0]].counters().records_handed_over - before;
    assert!((1..=128).contains(&again), "{again}");
    // And not more often than now and then.
    swarm.with(peer, |node| node.lookup([id], now));
    assert_eq!(swarm.nodes[&peers[0]].counters().records_handed_over, before + again);
}

#[test]
fn a_flood_of_new_nodes_gets_no_more_than_is_bounded() {
    let (mut swarm, peers) = Swarm::of(1);
    let big = |n: u32| Record {
        value: [&b"\xc5\x75\x30"[..], &[7; 30_000]].concat().into(),
        ..record(&n.to_string(), "me", 600.0)
    };
    swarm.store(peers[0], (0..120).map(big).collect());
    let node = swarm.nodes.get_mut(&peers[0]).unwrap();
    let mut now = swarm.now;
    let mut sent = 0;
    for second in 0..3u64 {
        for n in 0..60u64 {
            let id = DhtId::of_bytes(&(second * 60 + n).to_be_bytes());
            let ping = Request::Ping { sender: Some(id), validate: false };
            node.request(InboundId(n), PeerId::random(), ping, now);
        }
        let mut answered = true;
        while answered {
            answered = false;
            for effect in std::iter::from_fn(|| node.next_effect()).collect::<Vec<_>>() {
                let Effect::Call { call, request, .. } = effect else { continue };
                answered = true;
                let response = match request {
                    Request::Store { rows, .. } => {
                        sent += rows.iter().map(|row| row.value.len()).sum::<usize>();
                        Response::Store { sender: None, stored: vec![true; rows.len()] }
                    }
                    _ => Response::Ping { sender: None, time: None, available: false },
                };
                node.call_ended(call, Ok(response), now);
            }
        }
        now = now + Duration::from_secs(1);
        node.tick(now);
    }
    // 4 MiB a second, and what the last call of each second has more.
    assert!(sent > 3 * 4_000_000 && sent < 3 * 5_000_000, "{sent}");
}

#[test]
fn one_peer_with_ever_new_node_ids_is_served_once() {
    let (mut swarm, peers) = Swarm::of(1);
    swarm.store(peers[0], blocks(10));
    let (now, changeling) = (swarm.now, PeerId::random());
    let node = swarm.nodes.get_mut(&peers[0]).unwrap();
    for n in 0..100u64 {
        let ping = Request::Ping { sender: Some(DhtId::of_bytes(&n.to_be_bytes())), validate: false };
        node.request(InboundId(n), changeling, ping, now);
    }
    let stores = std::iter::from_fn(|| node.next_effect());
    let stores =
        stores.filter(|effect| matches!(effect, Effect::Call { request: Request::Store { .. }, .. }));
    assert_eq!(stores.count(), 1);
}
