//! The table, one rule at a time.

mod model;

use rand::{SeedableRng, rngs::SmallRng};

use super::*;

fn now() -> DhtTime {
    DhtTime::from_unix(1000.0).unwrap()
}

/// The n-th peer of a reproducible crowd.
fn peer(n: u64) -> PeerId {
    let identity = [&[0, 32][..], &n.to_be_bytes(), &[0; 24]].concat();
    PeerId::from_bytes(&identity).unwrap()
}

/// The n-th contact of a reproducible crowd.
fn contact(n: u64) -> Contact {
    Contact { id: DhtId::of_bytes(&n.to_be_bytes()), peer: peer(n) }
}

fn table() -> RoutingTable {
    RoutingTable::new(DhtId::of_bytes(b"own"), now())
}

#[test]
fn neighbours_come_nearest_first() {
    let mut table = table();
    let crowd: Vec<Contact> = (0..200).map(contact).collect();
    for contact in &crowd {
        table.heard(*contact, now());
    }
    let members: Vec<Contact> = table.members().collect();
    assert!(members.len() > BUCKET_SIZE);
    let mut rng = SmallRng::seed_from_u64(1);
    for _ in 0..50 {
        let target = DhtId::random(&mut rng);
        let mut expected = members.clone();
        expected.sort_by_key(|contact| contact.id.distance(&target));
        let excluded = expected.remove(1).id;
        assert_eq!(table.nearest(&target, 20, Some(&excluded)), expected[..20]);
    }
}

#[test]
fn a_full_far_bucket_asks_for_its_oldest_and_takes_the_replacement_when_that_fails() {
    let mut table = table();
    let mut checked = None;
    for n in 0..2000 {
        if let Heard::Check(old) = table.heard(contact(n), now()) {
            checked = Some((old, contact(n)));
            break;
        }
    }
    let (old, newcomer) = checked.expect("2000 nodes fill a bucket that may not split");
    assert!(table.members().any(|c| c == old) && !table.members().any(|c| c == newcomer));
    assert!(table.remove(&old.peer));
    assert!(!table.members().any(|c| c == old) && table.members().any(|c| c == newcomer));
}

#[test]
fn a_peer_has_one_entry_and_an_id_one_peer() {
    let mut table = table();
    let (a, b) = (contact(1), contact(2));
    assert_eq!(table.heard(a, now()), Heard::Added);
    let moved = Contact { id: b.id, peer: a.peer };
    assert_eq!(table.heard(moved, now()), Heard::Added);
    assert_eq!(table.members().collect::<Vec<_>>(), [moved]);
    // b claims the id that a holds: a is to be checked, and stays if it answers.
    assert_eq!(table.heard(b, now()), Heard::Check(moved));
    assert_eq!(table.heard(b, now()), Heard::Waiting);
    assert_eq!(table.members().collect::<Vec<_>>(), [moved]);
    table.remove(&a.peer);
    assert_eq!(table.heard(b, now()), Heard::Added);
}

#[test]
fn we_are_not_our_own_neighbour() {
    let mut table = table();
    let own = Contact { id: DhtId::of_bytes(b"own"), peer: contact(1).peer };
    assert_eq!(table.heard(own, now()), Heard::Ourselves);
    assert!(table.is_empty());
}

#[test]
fn a_crowd_at_one_place_splits_no_further_than_the_last_bit() {
    let mut table = RoutingTable::new(DhtId::MIN, now());
    let mut rng = SmallRng::seed_from_u64(2);
    for n in 0..300 {
        // Ids that share 155 bits with ours: the buckets split down to the last bits, and then they are full.
        let id = DhtId::MIN.random_within(155, &mut rng);
        table.heard(Contact { id, peer: contact(n).peer }, now());
    }
    assert!(table.len() <= 32);
}

#[test]
fn whoever_waits_under_an_id_makes_room_for_whoever_shows_up_under_it() {
    let mut table = table();
    let newcomer =
        (0..2000).map(contact).find(|c| matches!(table.heard(*c, now()), Heard::Check(_))).unwrap();
    let restarted = Contact { id: newcomer.id, peer: peer(9999) };
    table.heard(restarted, now());
    assert_eq!((table.id_of(&newcomer.peer), table.id_of(&restarted.peer)), (None, Some(newcomer.id)));
}

#[test]
fn whoever_was_silent_for_long_is_checked_the_longest_silence_first() {
    let mut table = table();
    let at = |n: u64| now() + std::time::Duration::from_secs(n);
    for n in 0..40 {
        table.heard(contact(n), at(n));
    }
    let members = table.len();
    let mut checked = table.check_silent(at(10), 1);
    assert_eq!(checked, [contact(0)]);
    // One of each bucket at a time, nobody twice, and nobody who was heard of since.
    loop {
        let more = table.check_silent(at(10), 3);
        if more.is_empty() {
            break;
        }
        checked.extend(more);
    }
    assert_eq!(checked.len(), 10);
    assert!((0..10).all(|n| checked.contains(&contact(n))));
    table.leave_unchecked(&checked[0]);
    assert_eq!(table.check_silent(at(10), 3), [checked[0]]);
    // A clock that was ahead does not make anybody young for ever.
    table.time_leapt(at(5));
    table.leave_unchecked(&checked[1]);
    assert!(table.check_silent(at(6), 40).contains(&checked[1]));
    assert_eq!(table.len(), members);
}
