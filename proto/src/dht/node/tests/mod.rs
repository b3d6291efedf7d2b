//! Nodes that call each other inside one thread, in virtual time.

mod caching;
mod handover;
mod hearsay;
mod refresh;
mod signatures;
mod swarm;
mod traversal;

use std::collections::HashSet;

use rand::RngExt;

use self::swarm::{START, Swarm};
use super::*;
use crate::dht::{FIND_HANDLER, FoundValue, FreshValue, REPLICAS, Record, Row, Subkey, Tag};

fn record(key: &str, subkey: &str, expires_in: f64) -> Record {
    Record {
        key: DhtId::of_text(key),
        tag: Tag::Subkey(Subkey::text(subkey)),
        value: b"\xa1v"[..].into(),
        expiration: DhtTime::from_unix(START + expires_in).unwrap(),
    }
}

fn blocks(count: u32) -> Vec<Record> {
    (0..count).map(|n| record(&format!("model.{n}"), "me", 60.0)).collect()
}

#[test]
fn what_one_stores_any_other_finds() {
    let (mut swarm, peers) = Swarm::of(50);
    let report = swarm.store(peers[7], blocks(30));
    assert!(report.is_success() && !report.alone);
    for outcome in &report.records {
        let counts = (outcome.acknowledged.len(), outcome.refused.len(), outcome.failed.len());
        assert_eq!(counts, (REPLICAS, 0, 0));
    }
    let keys: Vec<DhtId> = blocks(30).iter().map(|record| record.key).collect();
    for reader in [peers[0], peers[33]] {
        let found = swarm.find(reader, &keys);
        assert!(keys.iter().all(|key| found[key].subkey(&Subkey::text("me")).is_some()));
    }
    // The holders are the very nearest of all.
    let mut nearest: Vec<(PeerId, DhtId)> =
        swarm.nodes.iter().map(|(peer, node)| (*peer, node.id())).collect();
    nearest.sort_by_key(|(_, id)| id.distance(&keys[0]));
    for (peer, _) in &nearest[..5] {
        let now = swarm.now;
        assert!(swarm.nodes.get_mut(peer).unwrap().storage.get(&keys[0], now).is_some());
    }
}

#[test]
fn one_announcement_takes_a_tenth_of_the_calls_that_one_a_key_and_replica_would() {
    let (mut swarm, peers) = Swarm::of(21);
    swarm.calls.clear();
    let report = swarm.store(peers[20], blocks(126));
    assert!(report.is_success());
    assert_eq!(report.calls, swarm.calls_of("DHTProtocol.rpc_store"));
    assert!(report.calls <= 126 * 5 / 10, "{} calls", report.calls);
    assert!(report.calls <= 20, "one call a peer is enough, not {}", report.calls);
}

#[test]
fn an_announcement_asks_the_nearest_alone_and_still_reaches_the_nearest_of_all() {
    let (mut swarm, peers) = Swarm::of(60);
    let finds = |swarm: &Swarm| swarm.calls.iter().filter(|(handler, _)| *handler == FIND_HANDLER).count();
    let (mut to_store, mut to_read) = (0, 0);
    for announced in blocks(8) {
        swarm.calls.clear();
        let report = swarm.store(peers[1], vec![announced.clone()]);
        let mut others: Vec<Contact> =
            swarm.nodes.iter().map(|(peer, node)| Contact { id: node.id(), peer: *peer }).collect();
        others.retain(|contact| contact.peer != peers[1]);
        others.sort_by_key(|contact| contact.id.distance(&announced.key));
        let nearest: HashSet<PeerId> = others[..REPLICAS].iter().map(|contact| contact.peer).collect();
        let acknowledged: HashSet<PeerId> = report.records[0].acknowledged.iter().copied().collect();
        assert_eq!(acknowledged, nearest);
        to_store += finds(&swarm);
        swarm.calls.clear();
        swarm.find(peers[2], &[announced.key]);
        to_read += finds(&swarm);
    }
    assert!(5 * to_store <= 4 * to_read, "{to_store} calls to store, {to_read} to read");
}

#[test]
fn the_next_nearest_takes_the_place_of_one_that_fails_between_lookup_and_store() {
    let (mut swarm, peers) = Swarm::of(12);
    let (now, writer) = (swarm.now, peers[3]);
    let task = swarm.nodes.get_mut(&writer).unwrap().store(blocks(1), now);
    // All answer the lookup; two of them are gone when the store comes.
    let mut failed = Vec::new();
    while let Some(effect) = swarm.nodes.get_mut(&writer).unwrap().next_effect() {
        match effect {
            Effect::Call { call, peer, request: request @ Request::Store { .. } } if failed.len() < 2 => {
                assert_eq!(request.handler(), "DHTProtocol.rpc_store");
                failed.push(peer);
                swarm.end(writer, call, Err(CallFailure("gone".into())));
            }
            Effect::Call { call, peer, request } => {
                let response = swarm.ask(peer, writer, request);
                swarm.end(writer, call, Ok(response));
            }
            Effect::Done { outcome: Outcome::Store(report), task: done } => {
                assert_eq!(done, task);
                let outcome = &report.records[0];
                assert_eq!(outcome.failed, failed);
                assert_eq!(outcome.acknowledged.len(), REPLICAS);
                return;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("the store never ended");
}

#[test]
fn a_store_that_reaches_nobody_is_no_success() {
    let (mut swarm, peers) = Swarm::of(1);
    let report = swarm.store(peers[0], blocks(3));
    assert!(report.alone && !report.is_success());
    assert!(report.records.iter().all(|record| record.held_here));

    let (mut swarm, peers) = Swarm::of(3);
    swarm.dead.extend([peers[1], peers[2]]);
    let report = swarm.store(peers[0], blocks(3));
    assert!(!report.is_success());
}

#[test]
fn a_refused_record_is_reported_as_refused() {
    let (mut swarm, peers) = Swarm::of(4);
    swarm.store(peers[1], vec![record("k", "s", 60.0)]);
    let report = swarm.store(peers[2], vec![record("k", "s", 50.0)]);
    assert!(!report.is_success());
    assert_eq!(report.records[0].refused.len(), 3);
}

#[test]
fn a_validated_ping_is_answered_after_a_real_call_back() {
    let (mut swarm, peers) = Swarm::of(2);
    let now = swarm.now;
    let pong = |outcome| match outcome {
        Outcome::Ping(Ok(pong)) => pong,
        other => panic!("{other:?}"),
    };
    let answer = pong(swarm.with(peers[1], |node| node.ping(peers[0], true, now)));
    assert_eq!(
        (answer.id, answer.time, answer.available),
        (Some(swarm.nodes[&peers[0]].id()), Some(now), true)
    );

    // A caller that cannot be called back, or answers under another id, is not available, and is not listed.
    let stranger = PeerId::random();
    let request = Request::Ping { sender: Some(DhtId::of_bytes(b"stranger")), validate: true };
    assert!(matches!(swarm.ask(peers[0], stranger, request), Response::Ping { available: false, .. }));
    assert_eq!(swarm.nodes[&peers[0]].table().id_of(&stranger), None);
    let liar = Request::Ping { sender: Some(DhtId::of_bytes(b"liar")), validate: true };
    let node = swarm.nodes.get_mut(&peers[0]).unwrap();
    node.request(InboundId(0), peers[1], liar, now);
    let Some(Effect::Call { call, .. }) = node.next_effect() else { panic!("a call back") };
    let honest = Response::Ping { sender: Some(DhtId::of_bytes(b"honest")), time: None, available: false };
    node.call_ended(call, Ok(honest), now);
    let Some(Effect::Answer { response, .. }) = node.next_effect() else { panic!("an answer") };
    assert!(matches!(response, Response::Ping { available: false, .. }));
}

#[test]
fn an_older_value_is_not_spread_beside_a_fresher_one() {
    let (mut swarm, peers) = Swarm::of(20);
    let store = |swarm: &mut Swarm, peer, value, lives| {
        let record = Record { value: [value][..].into(), ..record("k", "s", lives) };
        swarm.store(peer, vec![record])
    };
    assert_eq!(store(&mut swarm, peers[0], 1, 200.0).records[0].acknowledged.len(), REPLICAS);
    let older = store(&mut swarm, peers[1], 2, 100.0);
    assert!(older.records[0].acknowledged.len() + older.records[0].refused.len() <= REPLICAS, "{older:?}");
    // A fresher one replaces them all.
    let fresher = store(&mut swarm, peers[1], 3, 300.0);
    assert_eq!(fresher.records[0].acknowledged.len(), REPLICAS);
}

/// A validated ping of the node that `n` names.
fn validated_ping(n: u64) -> Request {
    Request::Ping { sender: Some(DhtId::of_bytes(&n.to_be_bytes())), validate: true }
}

#[test]
fn call_backs_are_bounded() {
    let (mut swarm, peers) = Swarm::of(1);
    let now = swarm.now;
    let node = swarm.nodes.get_mut(&peers[0]).unwrap();
    for n in 0..MAX_CALL_BACKS as u64 + 1 {
        node.request(InboundId(n), PeerId::random(), validated_ping(n), now);
    }
    let effects: Vec<Effect> = std::iter::from_fn(|| node.next_effect()).collect();
    let calls = effects.iter().filter(|effect| matches!(effect, Effect::Call { .. })).count();
    assert_eq!((calls, effects.len()), (MAX_CALL_BACKS, MAX_CALL_BACKS + 1));
}

#[test]
fn all_pings_of_one_node_share_one_call_back() {
    let (mut swarm, peers) = Swarm::of(1);
    let (now, caller) = (swarm.now, PeerId::random());
    let node = swarm.nodes.get_mut(&peers[0]).unwrap();
    for n in 0..MAX_PINGS_A_CALL_BACK as u64 + 1 {
        node.request(InboundId(n), caller, validated_ping(7), now);
    }
    let Some(Effect::Call { call, .. }) = node.next_effect() else { panic!("a call back") };
    let Some(Effect::Answer { response, .. }) = node.next_effect() else { panic!("one too many") };
    assert!(matches!(response, Response::Ping { available: false, .. }));
    assert!(node.next_effect().is_none());
    let pong =
        Response::Ping { sender: Some(DhtId::of_bytes(&7u64.to_be_bytes())), time: None, available: false };
    node.call_ended(call, Ok(pong), now);
    let answered = std::iter::from_fn(|| node.next_effect()).filter(|effect| {
        matches!(effect, Effect::Answer { response: Response::Ping { available: true, .. }, .. })
    });
    assert_eq!(answered.count(), MAX_PINGS_A_CALL_BACK);
    // The next one is called back anew.
    node.request(InboundId(0), caller, validated_ping(7), now);
    assert!(matches!(node.next_effect(), Some(Effect::Call { .. })));
}

#[test]
fn clients_are_listed_by_nobody_and_hold_nothing() {
    let (mut swarm, peers) = Swarm::of(6);
    let client = swarm.add(100, true);
    swarm.join(client, peers[0]);
    let report = swarm.store(client, blocks(4));
    assert!(report.is_success() && report.records.iter().all(|record| !record.held_here));
    assert!(peers.iter().all(|peer| swarm.nodes[peer].table().id_of(&client).is_none()));
    assert_eq!(swarm.nodes[&client].storage().keys(), 0);
}

#[test]
fn answers_name_neighbours_without_the_asker_and_the_fresher_of_storage_and_cache() {
    let (mut swarm, peers) = Swarm::of(30);
    let key = DhtId::of_text("k");
    let asker = swarm.nodes[&peers[5]].id();
    let row = |value: &[u8], expiration: f64, in_cache| Row {
        key: key.as_bytes().to_vec(),
        tag: Tag::Plain.encode(),
        value: value.into(),
        expiration: START + expiration,
        in_cache,
    };
    let rows = vec![row(b"\x01", 10.0, false), row(b"\x02", 20.0, true)];
    swarm.ask(peers[0], peers[5], Request::Store { sender: Some(asker), rows });
    let find = Request::Find { sender: Some(asker), keys: vec![key] };
    let Response::Find { results, .. } = swarm.ask(peers[0], peers[5], find) else { panic!() };
    assert_eq!(results[0].value, Some(FoundValue::Plain(b"\x02".to_vec(), START + 20.0)));
    assert_eq!(results[0].neighbours.len(), 20);
    assert!(results[0].neighbours.iter().all(|c| c.id != asker && c.peer != peers[0]));
}

#[test]
fn rows_that_are_not_what_they_should_be_are_refused_one_by_one_and_counted() {
    let (mut swarm, peers) = Swarm::of(1);
    let good = Row {
        key: vec![1; 20],
        tag: Tag::Plain.encode(),
        value: b"\x01"[..].into(),
        expiration: START + 10.0,
        in_cache: false,
    };
    let rows = vec![
        Row { key: vec![1; 3], ..good.clone() },
        Row { tag: vec![0xc1], ..good.clone() },
        Row { tag: vec![0x91, 1], ..good.clone() },
        Row { tag: vec![], ..good.clone() },
        Row { value: b"\x91"[..].into(), ..good.clone() },
        Row { expiration: f64::INFINITY, ..good.clone() },
        Row { expiration: f64::NAN, ..good.clone() },
        Row { expiration: START - 1.0, ..good.clone() },
        Row { expiration: START + 1e9, ..good.clone() },
        good,
    ];
    let outside = PeerId::random();
    let Response::Store { stored, .. } = swarm.ask(peers[0], outside, Request::Store { sender: None, rows })
    else {
        panic!()
    };
    assert_eq!(stored, [false, false, false, false, false, false, false, false, false, true]);
    let counters = swarm.nodes[&peers[0]].counters();
    let refused = &counters.rows_refused;
    assert_eq!(
        (refused.malformed, refused.not_finite, refused.expired, refused.beyond_horizon),
        (5, 2, 1, 1)
    );
    assert_eq!(counters.rows_stored, 1);
}

#[test]
fn every_subkey_of_a_whole_dictionary_is_tried() {
    let (mut swarm, peers) = Swarm::of(2);
    swarm.store(peers[0], vec![record("k", "a", 50.0)]);
    let (key, latest) = (DhtId::of_text("k"), START + 60.0);
    let (a, b) = (Subkey::text("a"), Subkey::text("b"));
    // "a" is refused for being older, "b" comes after it.
    let value = crate::dht::dictionary::encode(
        latest,
        [(&a, &b"\x01"[..], START + 40.0), (&b, &b"\x02"[..], latest)].into_iter(),
    );
    let row = Row {
        key: key.as_bytes().to_vec(),
        tag: vec![],
        value: value.into(),
        expiration: latest,
        in_cache: false,
    };
    let response = swarm.ask(peers[0], peers[1], Request::Store { sender: None, rows: vec![row] });
    assert!(matches!(response, Response::Store { stored, .. } if stored == [false]));
    let found = swarm.find(peers[1], &[key]);
    let Some(FreshValue::Dictionary(entries)) = &found[&key].value else { panic!("{found:?}") };
    assert_eq!(&entries.get(&a).unwrap().value[..], b"\xa1v");
    assert_eq!(&entries.get(&b).unwrap().value[..], b"\x02");
}

#[test]
fn failed_peers_leave_the_table_and_a_lookup_goes_round_them() {
    let (mut swarm, peers) = Swarm::of(40);
    let keys: Vec<DhtId> = blocks(20).iter().map(|record| record.key).collect();
    swarm.store(peers[0], blocks(20));
    let mut rng = SmallRng::seed_from_u64(3);
    while swarm.dead.len() < 8 {
        swarm.dead.insert(peers[rng.random_range(1..40)]);
    }
    let found = swarm.find(peers[0], &keys);
    let alive = keys.iter().filter(|key| found[*key].value.is_some()).count();
    assert!(alive >= 19, "{alive} of 20");
    let known = swarm.nodes[&peers[0]].table();
    assert!(swarm.dead.iter().filter(|peer| known.id_of(peer).is_some()).count() <= 1);
}

#[test]
fn whoever_was_cut_off_itself_leaves_nobody_out_afterwards() {
    let (mut swarm, peers) = Swarm::of(6);
    let others = peers[1..].to_vec();
    swarm.dead.extend(&others);
    swarm.find(peers[0], &[DhtId::of_text("k")]);
    assert!(swarm.nodes[&peers[0]].table().is_empty());
    swarm.dead.clear();
    swarm.join(peers[0], peers[3]);
    let report = swarm.store(peers[0], blocks(1));
    let outcome = &report.records[0];
    assert_eq!(outcome.acknowledged.len(), 5);
}

#[test]
fn a_task_ends_at_its_deadline_with_what_it_has() {
    let (mut swarm, peers) = Swarm::of(3);
    let now = swarm.now;
    let node = swarm.nodes.get_mut(&peers[0]).unwrap();
    let task = node.lookup([DhtId::of_text("k")], now);
    let calls: Vec<CallId> = std::iter::from_fn(|| node.next_effect())
        .map(|effect| match effect {
            Effect::Call { call, .. } => call,
            other => panic!("{other:?}"),
        })
        .collect();
    node.tick(now + TASK_DEADLINE);
    assert!(node.next_effect().is_none());
    node.tick(now + TASK_DEADLINE + Duration::from_secs(1));
    assert!(
        matches!(node.next_effect(), Some(Effect::Done { task: done, outcome: Outcome::Lookup(_) }) if done == task)
    );
    // What comes later changes nothing but the table.
    for call in calls {
        node.call_ended(call, Err(CallFailure("late".into())), now);
    }
    assert!(node.next_effect().is_none() && node.table().is_empty());
}

#[test]
fn a_store_tells_what_stood_in_its_place() {
    let (mut swarm, peers) = Swarm::of(8);
    assert_eq!(swarm.store(peers[1], blocks(1)).records[0].found, None);
    let mut forged = record("model.0", "me", 90.0);
    forged.value = b"\xa1x"[..].into();
    swarm.store(peers[2], vec![forged.clone()]);
    let report = swarm.store(peers[1], blocks(1));
    let found = report.records[0].found.as_ref().unwrap();
    assert_eq!((&found.value, found.expiration), (&forged.value, forged.expiration));
    assert!(!report.records[0].refused.is_empty());
    // A plain value keeps every subkey out.
    let plain = Record { tag: Tag::Plain, ..record("model.0", "", 95.0) };
    swarm.store(peers[3], vec![plain.clone()]);
    let report = swarm.store(peers[1], blocks(1));
    assert_eq!(report.records[0].found.as_ref().unwrap().expiration, plain.expiration);
}

#[test]
fn a_search_through_one_node_finds_only_what_that_node_leads_to() {
    let (mut swarm, peers) = Swarm::of(10);
    let island: Vec<PeerId> = (100..105).map(|seed| swarm.add(seed, false)).collect();
    for peer in &island[1..] {
        swarm.join(*peer, island[0]);
    }
    let visitor = swarm.add(200, false);
    let now = swarm.now;
    for peer in [peers[0], island[0]] {
        swarm.with(visitor, |node| node.ping(peer, false, now));
    }
    let contact = |swarm: &Swarm, peer: PeerId| Contact { id: swarm.nodes[&peer].id(), peer };
    let (here, there, deep) =
        (contact(&swarm, peers[0]), contact(&swarm, island[0]), contact(&swarm, island[4]));
    let mut leads = |first: Contact, to: Contact| match swarm
        .with(visitor, |node| node.lookup_through(first, [to.id], now))
    {
        Outcome::Lookup(found) => found[&to.id].nearest.contains(&to),
        other => panic!("{other:?}"),
    };
    assert!(leads(there, deep));
    assert!(!leads(here, there) && !leads(here, deep) && !leads(there, here));
}

#[test]
fn after_a_leap_of_time_nothing_waits_for_the_old_time() {
    let (mut swarm, peers) = Swarm::of(3);
    let key = DhtId::of_text("k");
    swarm.dead.insert(peers[2]);
    assert_eq!(swarm.find(peers[0], &[key])[&key].nearest.len(), 1);
    swarm.dead.clear();
    let now = swarm.now;
    let task = swarm.nodes.get_mut(&peers[0]).unwrap().lookup([key], now);
    // It was believed to be a year later than it is.
    swarm.now = DhtTime::from_unix(START - 31_536_000.0).unwrap();
    let (back, node) = (swarm.now, swarm.nodes.get_mut(&peers[0]).unwrap());
    node.time_leapt(back);
    node.tick(back + TASK_DEADLINE + Duration::from_secs(1));
    let done = std::iter::from_fn(|| node.next_effect())
        .any(|effect| matches!(effect, Effect::Done { task: done, .. } if done == task));
    assert!(done, "the task ends in the new time");
    assert_eq!(swarm.find(peers[0], &[key])[&key].nearest.len(), 2, "nobody is left out any longer");
}
