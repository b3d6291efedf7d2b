//! Freshness to the letter, and each bound.

mod model;

use super::{subkeys::PASSED_BY, *};

const NOW: f64 = 1_000_000.0;

fn at(seconds: f64) -> DhtTime {
    DhtTime::from_unix(NOW + seconds).unwrap()
}

fn key(n: u8) -> DhtId {
    DhtId::of_bytes(&[n])
}

fn small() -> Storage {
    Storage::new(Limits { keys: 4, subkeys: 3, value_bytes: 10, total_bytes: 10_000, ..Limits::default() })
}

/// Stores what came from nobody in particular.
fn store(storage: &mut Storage, n: u8, value: &[u8], expires: f64, now: f64) -> Result<(), Refusal> {
    storage.store(key(n), value, at(expires), None, at(now))
}

fn store_subkey(
    storage: &mut Storage,
    n: u8,
    subkey: &str,
    value: &[u8],
    expires: f64,
    now: f64,
) -> Result<(), Refusal> {
    storage.store_subkey(key(n), &Subkey::text(subkey), value, at(expires), None, at(now))
}

fn subkeys(storage: &mut Storage, n: u8, now: f64) -> Vec<String> {
    match storage.get(&key(n), at(now)) {
        Some(Held::Dictionary(entries)) => {
            entries.iter().map(|entry| Subkey::decode(entry.subkey()).unwrap().as_text().unwrap()).collect()
        }
        Some(Held::Plain(..)) => vec!["plain".into()],
        None => vec![],
    }
}

#[test]
fn a_value_replaces_another_only_if_it_expires_strictly_later() {
    let mut storage = small();
    assert_eq!(store(&mut storage, 1, b"a", 10.0, 0.0), Ok(()));
    assert_eq!(store(&mut storage, 1, b"b", 10.0, 0.0), Err(Refusal::Stale));
    assert_eq!(store(&mut storage, 1, b"b", 9.0, 0.0), Err(Refusal::Stale));
    assert_eq!(store(&mut storage, 1, b"c", 11.0, 0.0), Ok(()));
    assert!(matches!(storage.get(&key(1), at(0.0)), Some(Held::Plain(b"c", _))));
}

#[test]
fn plain_values_and_dictionaries_replace_each_other_by_expiration() {
    let mut storage = small();
    store(&mut storage, 1, b"v", 10.0, 0.0).unwrap();
    assert_eq!(store_subkey(&mut storage, 1, "a", b"v", 10.0, 0.0), Err(Refusal::Stale));
    assert_eq!(store_subkey(&mut storage, 1, "a", b"v", 20.0, 0.0), Ok(()));
    assert_eq!(subkeys(&mut storage, 1, 0.0), ["a"]);
    assert_eq!(store(&mut storage, 1, b"v", 20.0, 0.0), Err(Refusal::Stale));
    assert_eq!(store(&mut storage, 1, b"v", 21.0, 0.0), Ok(()));
    assert_eq!(subkeys(&mut storage, 1, 0.0), ["plain"]);
    assert_eq!(storage.entries(), 1);
}

#[test]
fn subkeys_expire_one_by_one() {
    let mut storage = small();
    for (name, expires) in [("a", 5.0), ("b", 15.0), ("c", 10.0)] {
        store_subkey(&mut storage, 1, name, b"v", expires, 0.0).unwrap();
    }
    // An earlier expiration of a subkey that is held is refused, and does not shorten its life.
    assert_eq!(store_subkey(&mut storage, 1, "b", b"w", 6.0, 0.0), Err(Refusal::Stale));
    assert_eq!(storage.get(&key(1), at(0.0)).unwrap().expiration(), at(15.0));
    assert_eq!(subkeys(&mut storage, 1, 7.0), ["b", "c"]);
    assert_eq!(subkeys(&mut storage, 1, 12.0), ["b"]);
    assert!(storage.get(&key(1), at(16.0)).is_none());
    assert_eq!((storage.keys(), storage.entries(), storage.bytes()), (0, 0, 0));
}

#[test]
fn bounds_hold() {
    let mut storage = small();
    let day = Limits::default().horizon.as_secs_f64();
    assert_eq!(store(&mut storage, 1, b"v", 0.0, 0.0), Err(Refusal::Expired));
    assert_eq!(store(&mut storage, 1, b"v", -5.0, 0.0), Err(Refusal::Expired));
    assert_eq!(store(&mut storage, 1, b"v", day + 1.0, 0.0), Err(Refusal::BeyondHorizon));
    assert_eq!(store(&mut storage, 1, &[0; 11], 5.0, 0.0), Err(Refusal::TooLarge));
    for name in ["a", "b", "c"] {
        store_subkey(&mut storage, 1, name, b"v", 5.0, 0.0).unwrap();
    }
    assert_eq!(store_subkey(&mut storage, 1, "d", b"v", 5.0, 0.0), Err(Refusal::Full));
    assert_eq!(store_subkey(&mut storage, 1, "a", b"v", 6.0, 0.0), Ok(()));
    for n in 2..=4 {
        store(&mut storage, n, b"v", 5.0, 0.0).unwrap();
    }
    assert_eq!(store(&mut storage, 5, b"v", 5.0, 0.0), Err(Refusal::Full));
    assert_eq!(store(&mut storage, 4, b"v", 6.0, 0.0), Ok(()));
}

#[test]
fn what_lies_beyond_the_horizon_goes_and_leaves_no_trace() {
    let mut storage = small();
    store_subkey(&mut storage, 1, "near", b"v", 10.0, 0.0).unwrap();
    let (bytes, entries) = (storage.bytes(), storage.entries());
    let later = 2.0 * 24.0 * 3600.0;
    let mut storage = small();
    store(&mut storage, 2, b"v", later, later - 5.0).unwrap();
    store_subkey(&mut storage, 1, "far", b"v", later, later - 5.0).unwrap();
    // The clock was two days ahead.
    storage.drop_beyond_horizon(at(0.0));
    assert_eq!((storage.bytes(), storage.entries(), storage.keys()), (0, 0, 0));
    store_subkey(&mut storage, 1, "near", b"v", 10.0, 0.0).unwrap();
    storage.drop_beyond_horizon(at(0.0));
    assert_eq!((storage.bytes(), storage.entries()), (bytes, entries));
}

#[test]
fn a_peer_that_has_filled_its_share_is_refused_and_nobody_else_is() {
    let (greedy, modest) = (PeerId::random(), PeerId::random());
    let one = ENTRY_BYTES + dictionary::entry_bytes(&Subkey::text("a"), b"v");
    let mut storage = Storage::new(Limits { peer_bytes: 3 * one, ..Limits::default() });
    let mut store = |n: u8, name: &str, expires: f64, from: Option<&PeerId>| {
        storage.store_subkey(key(n), &Subkey::text(name), b"v", at(expires), from, at(0.0))
    };
    for n in 1..=3 {
        assert_eq!(store(n, "a", 5.0, Some(&greedy)), Ok(()));
    }
    assert_eq!(store(4, "a", 5.0, Some(&greedy)), Err(Refusal::ShareFull));
    // What it holds it may renew, others are not concerned, and neither are we.
    assert_eq!(store(3, "a", 6.0, Some(&greedy)), Ok(()));
    assert_eq!(store(4, "a", 5.0, Some(&modest)), Ok(()));
    assert_eq!(store(5, "a", 5.0, None), Ok(()));
    // Whoever renews an entry of another takes it over, and makes room for that one.
    assert_eq!(store(1, "a", 7.0, Some(&modest)), Ok(()));
    assert_eq!(store(6, "a", 5.0, Some(&greedy)), Ok(()));
    assert_eq!(storage.peers(), 2);
    storage.evict(at(100.0));
    assert_eq!((storage.peers(), storage.bytes()), (0, 0));
}

#[test]
fn a_full_storage_takes_renewals_and_nothing_new() {
    let mut storage = Storage::new(Limits { keys: 2, ..Limits::default() });
    store(&mut storage, 1, b"v", 5.0, 0.0).unwrap();
    store_subkey(&mut storage, 2, "a", b"v", 5.0, 0.0).unwrap();
    let full = Limits { total_bytes: storage.bytes(), ..Limits::default() };
    let mut storage = Storage::new(full);
    store(&mut storage, 1, b"v", 5.0, 0.0).unwrap();
    store_subkey(&mut storage, 2, "a", b"v", 5.0, 0.0).unwrap();
    assert_eq!(store(&mut storage, 3, b"v", 9.0, 0.0), Err(Refusal::Full));
    assert_eq!(store_subkey(&mut storage, 2, "b", b"v", 9.0, 0.0), Err(Refusal::Full));
    assert_eq!(store_subkey(&mut storage, 2, "a", b"w", 9.0, 0.0), Ok(()));
    assert_eq!(store(&mut storage, 1, b"w", 9.0, 0.0), Ok(()));
    assert_eq!(store(&mut storage, 1, b"longer", 10.0, 0.0), Err(Refusal::Full));
}

#[test]
fn a_full_cache_lets_go_of_what_expires_soonest() {
    let mut cache = Storage::cache(Limits { keys: 3, ..Limits::default() });
    for (n, expires) in [(1, 7.0), (2, 5.0), (3, 9.0)] {
        store(&mut cache, n, b"v", expires, 0.0).unwrap();
    }
    assert_eq!(store(&mut cache, 4, b"v", 8.0, 0.0), Ok(()));
    assert!(cache.peek(&key(2)).is_none() && cache.keys() == 3);
    // What would be the first to go does not come in.
    assert_eq!(store(&mut cache, 5, b"v", 6.0, 0.0), Err(Refusal::Full));
    assert_eq!(store(&mut cache, 1, b"w", 7.5, 0.0), Ok(()));
}

#[test]
fn a_dictionary_stays_below_what_an_answer_can_bring() {
    let mut storage = Storage::new(Limits { dictionary_bytes: 3000, ..Limits::default() });
    let value = [0; 100];
    let outcomes: Vec<_> =
        (0..30).map(|n| store_subkey(&mut storage, 1, &n.to_string(), &value, 5.0, 0.0)).collect();
    let Some(Held::Dictionary(entries)) = storage.peek(&key(1)) else { panic!("a dictionary") };
    let wire = entries.encode().len();
    assert!(wire <= 3000 + dictionary::FRAME_BYTES && wire > 2800, "{wire}");
    assert!(wire <= storage.peek(&key(1)).unwrap().wire_bytes());
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), entries.count());
    assert_eq!(outcomes.last(), Some(&Err(Refusal::Full)));
}

#[test]
fn few_of_a_long_dictionary_expire_as_well_as_many() {
    let mut storage = Storage::new(Limits::default());
    let long = 4 * PASSED_BY;
    for n in 0..long {
        let expires = if n < 3 { 5.0 } else { 15.0 };
        store_subkey(&mut storage, 1, &n.to_string(), b"v", expires, 0.0).unwrap();
    }
    assert!(!storage.evict(at(6.0)));
    let left = subkeys(&mut storage, 1, 6.0);
    let mut expected: Vec<String> = (3..long).map(|n| n.to_string()).collect();
    expected.sort_by_key(|name| Subkey::text(name).as_bytes().to_vec());
    assert_eq!(left, expected);
    let of_the_rest = storage.bytes();
    let mut other = Storage::new(Limits::default());
    for name in &expected {
        store_subkey(&mut other, 1, name, b"v", 15.0, 0.0).unwrap();
    }
    assert_eq!(of_the_rest, other.bytes());
}

#[test]
fn when_very_many_expire_at_once_nobody_waits_for_all_and_nobody_sees_any() {
    let mut storage = Storage::new(Limits::default());
    for n in 0..3 * EVICTED_AT_ONCE as u32 {
        let key = DhtId::of_bytes(&[(n % 7) as u8]);
        let subkey = Subkey::text(&n.to_string());
        storage.store_subkey(key, &subkey, b"v", at(5.0), None, at(0.0)).unwrap();
    }
    store_subkey(&mut storage, 1, "late", b"v", 50.0, 0.0).unwrap();
    assert_eq!(subkeys(&mut storage, 1, 6.0), ["late"]);
    assert!(storage.get(&key(6), at(6.0)).is_none());
    assert!(storage.entries() > 1, "the others are dropped a part at a time");
    assert_eq!(store_subkey(&mut storage, 2, "new", b"v", 7.0, 6.0), Ok(()));
    assert_eq!(subkeys(&mut storage, 2, 6.0), ["new"]);
    while storage.evict(at(6.0)) {}
    assert_eq!((storage.entries(), storage.keys()), (2, 2));
}

#[test]
fn what_was_renewed_among_very_many_does_not_keep_their_room() {
    let mut storage = Storage::new(Limits::default());
    let renew = |storage: &mut Storage, expires| {
        store(storage, 1, b"plain", expires, 0.0).unwrap();
        for name in ["a", "b", "c"] {
            store_subkey(storage, 2, name, name.as_bytes(), expires, 0.0).unwrap();
        }
    };
    renew(&mut storage, 50.0);
    for n in 0..5000u32 {
        storage.store(DhtId::of_bytes(&n.to_be_bytes()), b"v", at(5.0), None, at(0.0)).unwrap();
    }
    renew(&mut storage, 60.0);
    while storage.evict(at(6.0)) {}
    assert_eq!(storage.slots.straggler(), None);
    assert_eq!(storage.entries(), 4);
    assert_eq!(subkeys(&mut storage, 2, 55.0), ["a", "b", "c"]);
    assert!(matches!(storage.get(&key(1), at(55.0)), Some(Held::Plain(b"plain", _))));
    while storage.evict(at(61.0)) {}
    assert_eq!((storage.entries(), storage.keys(), storage.bytes()), (0, 0, 0));
}
