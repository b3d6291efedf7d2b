//! The table's invariants under any sequence of news.

use proptest::prelude::*;
use rand::{SeedableRng, rngs::SmallRng};

use super::*;

fn now() -> DhtTime {
    DhtTime::from_unix(1000.0).unwrap()
}

/// The n-th contact of a reproducible crowd.
fn contact(n: u64) -> Contact {
    let seed = libp2p::identity::ed25519::SecretKey::try_from_bytes(&mut {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        bytes
    });
    let keypair = libp2p::identity::ed25519::Keypair::from(seed.unwrap());
    let peer = libp2p::identity::Keypair::from(keypair).public().to_peer_id();
    Contact { id: DhtId::of_bytes(&n.to_be_bytes()), peer }
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

proptest! {
    #[test]
    fn invariants_hold(steps in prop::collection::vec((0..400u64, any::<bool>()), 0..600)) {
        let mut table = table();
        for (n, up) in steps {
            let contact = contact(n);
            match up {
                true => _ = table.heard(contact, now()),
                false => _ = table.remove(&contact.peer),
            }
        }
        for (index, bucket) in table.buckets.iter().enumerate() {
            prop_assert!(bucket.members().len() <= BUCKET_SIZE);
            let next = table.buckets.get(index + 1).map(Bucket::lower);
            for member in bucket.members() {
                prop_assert!(member.id >= bucket.lower() && next.is_none_or(|next| member.id < next));
                prop_assert_eq!(table.id_of(&member.peer), Some(member.id));
            }
        }
        prop_assert!(table.by_peer.len() >= table.len());
    }
}
