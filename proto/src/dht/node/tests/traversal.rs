//! Searches in swarms of any size, of which any part has gone without a word.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::dht::REPLICAS;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn a_search_ends_and_finds_the_nearest_of_those_who_are_left(
        size in 2..60usize,
        gone in prop::collection::vec(any::<u16>(), 0..25),
        target in any::<u64>(),
        from in any::<u16>(),
    ) {
        let (mut swarm, peers) = Swarm::of(size);
        let searcher = peers[usize::from(from) % size];
        // Up to two fifths.
        for gone in gone.iter().take(size * 2 / 5) {
            swarm.dead.insert(peers[usize::from(*gone) % size]);
        }
        swarm.dead.remove(&searcher);
        let target = DhtId::of_bytes(&target.to_be_bytes());
        swarm.calls.clear();
        let found = swarm.find(searcher, &[target]).remove(&target).unwrap().nearest;
        let mut alive: Vec<PeerId> =
            peers.iter().copied().filter(|peer| *peer != searcher && !swarm.dead.contains(peer)).collect();
        alive.sort_by_key(|peer| swarm.nodes[peer].id().distance(&target));
        let found: Vec<PeerId> = found.iter().map(|contact| contact.peer).collect();
        let most = REPLICAS.min(alive.len());
        prop_assert_eq!(&found[..most.min(found.len())], &alive[..most]);
        prop_assert!(found.iter().all(|peer| alive.contains(peer)));
        let mut in_order = found.clone();
        in_order.sort_by_key(|peer| swarm.nodes[peer].id().distance(&target));
        prop_assert_eq!(&found, &in_order);
        // Nobody is asked twice, and nobody at all without end.
        let asked: Vec<PeerId> =
            swarm.calls.iter().filter(|(call, _)| *call == "DHTProtocol.rpc_find").map(|(_, peer)| *peer).collect();
        prop_assert_eq!(asked.iter().collect::<HashSet<_>>().len(), asked.len());
    }

    #[test]
    fn what_was_stored_is_found_though_many_have_gone_since(
        size in 8..50usize,
        gone in prop::collection::vec(any::<u16>(), 0..4),
        from in any::<u16>(),
    ) {
        let (mut swarm, peers) = Swarm::of(size);
        let records = blocks(6);
        let report = swarm.store(peers[usize::from(from) % size], records.clone());
        prop_assert!(report.records.iter().all(|outcome| outcome.acknowledged.len() == REPLICAS));
        // Fewer than hold each record.
        for gone in &gone {
            swarm.dead.insert(peers[usize::from(*gone) % size]);
        }
        let reader = *peers.iter().find(|peer| !swarm.dead.contains(peer)).unwrap();
        let keys: Vec<DhtId> = records.iter().map(|record| record.key).collect();
        let found = swarm.find(reader, &keys);
        prop_assert!(keys.iter().all(|key| found[key].value.is_some()));
    }
}

#[test]
fn a_table_of_the_dead_is_gone_through_many_at_a_time_when_they_do_not_even_refuse() {
    let (mut swarm, peers) = Swarm::of(40);
    let now = swarm.now;
    let node = swarm.nodes.get_mut(&peers[0]).unwrap();
    let members = node.table().len();
    let task = node.lookup([DhtId::of_text("k")], now);
    let mut open: Vec<CallId> = Vec::new();
    let mut asked = 0;
    for second in 1..=2u64 {
        let calls = std::iter::from_fn(|| node.next_effect()).filter_map(|effect| match effect {
            Effect::Call { call, request: Request::Find { .. }, .. } => Some(call),
            _ => None,
        });
        open.extend(calls);
        asked = open.len();
        node.tick(now + Duration::from_secs(second));
    }
    let calls = std::iter::from_fn(|| node.next_effect());
    asked +=
        calls.filter(|effect| matches!(effect, Effect::Call { request: Request::Find { .. }, .. })).count();
    // Eight at once, and eight more each second that they take; twenty stand in the beam.
    assert_eq!(asked, 20);
    assert!(members > 20);
    assert!(node.tasks.contains_key(&task));
}
