//! What is cached, offered, refreshed and shared.

use super::*;
use crate::dht::Row;

fn get(swarm: &mut Swarm, peer: PeerId, key: DhtId, sufficient: Option<f64>) -> Option<FreshValue> {
    let now = swarm.now;
    let sufficient = sufficient.map(|seconds| DhtTime::from_unix(START + seconds).unwrap());
    match swarm.with(peer, |node| node.get([key], sufficient, now)) {
        Outcome::Lookup(mut found) => found.remove(&key).unwrap().value,
        other => panic!("{other:?}"),
    }
}

fn plain(key: &str, value: &[u8], expires_in: f64) -> Record {
    Record { tag: Tag::Plain, value: value.into(), ..record(key, "", expires_in) }
}

/// A swarm in which `key` is held by its five nearest, and a node that is none of them and has cached nothing.
fn held_by_five(value: &[u8], expires_in: f64) -> (Swarm, DhtId, PeerId) {
    let (mut swarm, peers) = Swarm::of(30);
    let writer = swarm.add(500, true);
    swarm.join(writer, peers[0]);
    swarm.store(writer, vec![plain("k", value, expires_in)]);
    swarm.nodes.remove(&writer);
    let key = DhtId::of_text("k");
    let reader = *peers.iter().find(|peer| swarm.nodes[*peer].storage.peek(&key).is_none()).unwrap();
    (swarm, key, reader)
}

#[test]
fn what_was_found_is_kept_and_answers_gets_until_it_expires_but_never_a_lookup() {
    let (mut swarm, key, reader) = held_by_five(b"\x01", 60.0);
    let first = get(&mut swarm, reader, key, None);
    assert!(matches!(&first, Some(FreshValue::Plain(item)) if item.value[..] == *b"\x01"));
    swarm.calls.clear();
    assert_eq!(get(&mut swarm, reader, key, None), first);
    assert_eq!(get(&mut swarm, reader, key, Some(60.0)), first);
    assert!(swarm.calls.is_empty());
    // Not good enough: it is searched for.
    assert_eq!(get(&mut swarm, reader, key, Some(61.0)), first);
    assert!(swarm.calls_of("DHTProtocol.rpc_find") > 0);
    // Whoever needs the truth learns that nobody holds it any more.
    let peers: Vec<PeerId> = swarm.nodes.keys().copied().filter(|peer| *peer != reader).collect();
    for peer in peers {
        let id = swarm.nodes[&peer].id();
        swarm.restart(peer, id);
        swarm.join(peer, reader);
    }
    assert_eq!(swarm.find(reader, &[key])[&key].value, None);
    assert_eq!(get(&mut swarm, reader, key, None), first);
    swarm.now = swarm.now + Duration::from_secs(61);
    assert_eq!(get(&mut swarm, reader, key, None), None);
}

#[test]
fn the_nearest_node_that_lacks_a_found_value_is_offered_it_for_its_cache() {
    let (mut swarm, key, reader) = held_by_five(b"\x01", 60.0);
    let mut ranked: Vec<PeerId> = swarm.nodes.keys().copied().filter(|peer| *peer != reader).collect();
    ranked.sort_by_key(|peer| swarm.nodes[peer].id().distance(&key));
    // The nearest of all has lost it.
    let id = swarm.nodes[&ranked[0]].id();
    swarm.restart(ranked[0], id);
    let anybody = Contact { id: swarm.nodes[&ranked[9]].id(), peer: ranked[9] };
    let now = swarm.now;
    swarm.nodes.get_mut(&ranked[0]).unwrap().heard(Some(anybody.id), anybody.peer, now);
    swarm.settle();
    assert!(swarm.nodes[&ranked[0]].storage.peek(&key).is_none());
    swarm.find(reader, &[key]);
    let node = &swarm.nodes[&ranked[0]];
    assert!(node.cache.peek(&key).is_some() && node.storage.peek(&key).is_none());
    assert_eq!(swarm.nodes.values().filter(|node| node.cache.peek(&key).is_some()).count(), 2);
    // Whoever has it cached does not offer it again.
    swarm.calls.clear();
    swarm.find(reader, &[key]);
    assert_eq!(swarm.calls_of("DHTProtocol.rpc_store"), 0);
}

#[test]
fn gets_of_one_key_at_the_same_time_are_one_search() {
    let (mut swarm, key, reader) = held_by_five(b"\x01", 60.0);
    let now = swarm.now;
    let node = swarm.nodes.get_mut(&reader).unwrap();
    let first = node.get([key], None, now);
    let alone = node.calls.len();
    let others: Vec<TaskId> = (0..20).map(|_| node.get([key, DhtId::of_text("other")], None, now)).collect();
    // One search more, for the other key.
    assert!(node.calls.len() <= 2 * alone, "{} calls instead of {alone}", node.calls.len());
    swarm.settle();
    for task in others.into_iter().chain([first]) {
        let Some(Outcome::Lookup(found)) = swarm.take(reader, task) else { panic!("every get ends") };
        assert!(found[&key].value.is_some());
    }
    assert_eq!(swarm.nodes[&reader].sharing_is_empty(), (true, true));
}

#[test]
fn a_get_that_wants_more_does_not_wait_for_one_that_wants_less_and_nobody_waits_for_ever() {
    let (mut swarm, key, reader) = held_by_five(b"\x01", 60.0);
    let now = swarm.now;
    let node = swarm.nodes.get_mut(&reader).unwrap();
    let modest = node.get([key], None, now);
    let before = node.calls.len();
    let demanding = node.get([key], Some(now + Duration::from_secs(50)), now);
    assert!(node.calls.len() > before);
    let follower = node.get([key], None, now);
    // Nothing is ever answered.
    while node.next_effect().is_some() {}
    node.tick(now + TASK_DEADLINE + Duration::from_secs(1));
    let ended: BTreeSet<TaskId> = std::iter::from_fn(|| node.next_effect())
        .filter_map(|effect| match effect {
            Effect::Done { task, .. } => Some(task),
            _ => None,
        })
        .collect();
    assert_eq!(ended, BTreeSet::from([modest, demanding, follower]));
    assert_eq!(node.sharing_is_empty(), (true, true));
}

#[test]
fn what_is_asked_for_is_refreshed_before_it_expires_and_nothing_else_is() {
    let (mut swarm, key, reader) = held_by_five(b"\x01", 60.0);
    get(&mut swarm, reader, key, None);
    let writer = *swarm.nodes.keys().find(|peer| **peer != reader).unwrap();
    swarm.store(writer, vec![plain("k", b"\x02", 120.0)]);
    let cached =
        |swarm: &Swarm| swarm.nodes[&reader].cache.peek(&key).map(|held| held.expiration().as_unix() - START);
    let wait_until = |swarm: &mut Swarm, seconds: f64| {
        swarm.now = DhtTime::from_unix(START + seconds).unwrap();
        let now = swarm.now;
        swarm.nodes.get_mut(&reader).unwrap().tick(now);
        swarm.settle();
    };
    // Found once, but not asked for since.
    wait_until(&mut swarm, 56.0);
    assert_eq!(cached(&swarm), Some(60.0));
    get(&mut swarm, reader, key, None);
    wait_until(&mut swarm, 57.0);
    assert_eq!(cached(&swarm), Some(120.0));
    let fresh = get(&mut swarm, reader, key, None);
    assert!(matches!(fresh, Some(FreshValue::Plain(item)) if item.value[..] == *b"\x02"));
}

#[test]
fn a_store_brings_what_is_cached_up_to_date() {
    let (mut swarm, key, reader) = held_by_five(b"\x01", 60.0);
    swarm.store(reader, vec![plain("k", b"\x02", 90.0)]);
    swarm.calls.clear();
    let value = get(&mut swarm, reader, key, None);
    assert!(matches!(value, Some(FreshValue::Plain(item)) if item.value[..] == *b"\x02"));
    assert!(swarm.calls.is_empty());
    // One that was refused makes the cache look again.
    let other = *swarm.nodes.keys().find(|peer| **peer != reader).unwrap();
    swarm.store(other, vec![plain("k", b"\x03", 200.0)]);
    assert!(!swarm.store(reader, vec![plain("k", b"\x04", 100.0)]).records[0].refused.is_empty());
    let now = swarm.now;
    swarm.nodes.get_mut(&reader).unwrap().tick(now);
    swarm.settle();
    let value = get(&mut swarm, reader, key, None);
    assert!(matches!(value, Some(FreshValue::Plain(item)) if item.value[..] == *b"\x03"));
}

#[test]
fn a_find_brings_what_is_stored_and_what_is_cached_of_one_dictionary() {
    let (mut swarm, peers) = Swarm::of(1);
    let row = |subkey: &str, expires_in: f64, in_cache| Row {
        in_cache,
        ..Row::from(&record("k", subkey, expires_in))
    };
    let rows = vec![row("a", 10.0, false), row("b", 30.0, false), row("b", 20.0, true), row("c", 40.0, true)];
    swarm.ask(peers[0], PeerId::random(), Request::Store { sender: None, rows });
    let find = Request::Find { sender: None, keys: vec![DhtId::of_text("k")] };
    let Response::Find { results, .. } = swarm.ask(peers[0], PeerId::random(), find) else { panic!() };
    let Some(FoundValue::Dictionary(bytes, expiration)) = &results[0].value else { panic!("{results:?}") };
    let items = crate::dht::dictionary::decode(bytes, 10).unwrap();
    let items: Vec<(String, f64)> =
        items.iter().map(|item| (item.subkey.as_text().unwrap(), item.expiration - START)).collect();
    assert_eq!(items, [("a".into(), 10.0), ("b".into(), 30.0), ("c".into(), 40.0)]);
    assert_eq!(*expiration, START + 40.0);
}

#[test]
fn whoever_only_looks_leaves_no_trace() {
    let (mut swarm, key, _) = held_by_five(b"\x01", 60.0);
    let visitor = swarm.add(900, true);
    swarm.nodes.get_mut(&visitor).unwrap().caching = Caching::off();
    let first = *swarm.nodes.keys().find(|peer| **peer != visitor).unwrap();
    swarm.join(visitor, first);
    swarm.calls.clear();
    assert!(swarm.find(visitor, &[key])[&key].value.is_some());
    assert!(get(&mut swarm, visitor, key, None).is_some());
    assert_eq!(swarm.calls_of("DHTProtocol.rpc_store"), 0);
    assert_eq!(swarm.nodes[&visitor].cache.keys(), 0);
}
