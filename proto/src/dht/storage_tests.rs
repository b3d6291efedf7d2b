//! Freshness to the letter, and the storage against a slow, obvious model of itself.

use proptest::prelude::*;

use super::*;

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

fn subkeys(storage: &mut Storage, n: u8, now: f64) -> Vec<String> {
    match storage.get(&key(n), at(now)) {
        Some(Held::Dictionary(dictionary)) => dictionary.iter().map(|(s, _)| s.as_text().unwrap()).collect(),
        Some(Held::Plain(_)) => vec!["plain".into()],
        None => vec![],
    }
}

#[test]
fn a_value_replaces_another_only_if_it_expires_strictly_later() {
    let mut storage = small();
    assert_eq!(storage.store(key(1), b"a", at(10.0), at(0.0)), Ok(()));
    assert_eq!(storage.store(key(1), b"b", at(10.0), at(0.0)), Err(Refusal::Stale));
    assert_eq!(storage.store(key(1), b"b", at(9.0), at(0.0)), Err(Refusal::Stale));
    assert_eq!(storage.store(key(1), b"c", at(11.0), at(0.0)), Ok(()));
    assert!(matches!(storage.get(&key(1), at(0.0)), Some(Held::Plain(item)) if item.value[..] == *b"c"));
}

#[test]
fn plain_values_and_dictionaries_replace_each_other_by_expiration() {
    let mut storage = small();
    let a = || Subkey::text("a");
    storage.store(key(1), b"v", at(10.0), at(0.0)).unwrap();
    assert_eq!(storage.store_subkey(key(1), a(), b"v", at(10.0), at(0.0)), Err(Refusal::Stale));
    assert_eq!(storage.store_subkey(key(1), a(), b"v", at(20.0), at(0.0)), Ok(()));
    assert_eq!(subkeys(&mut storage, 1, 0.0), ["a"]);
    assert_eq!(storage.store(key(1), b"v", at(20.0), at(0.0)), Err(Refusal::Stale));
    assert_eq!(storage.store(key(1), b"v", at(21.0), at(0.0)), Ok(()));
    assert_eq!(subkeys(&mut storage, 1, 0.0), ["plain"]);
    assert_eq!(storage.entries(), 1);
}

#[test]
fn subkeys_expire_one_by_one() {
    let mut storage = small();
    for (name, expires) in [("a", 5.0), ("b", 15.0), ("c", 10.0)] {
        storage.store_subkey(key(1), Subkey::text(name), b"v", at(expires), at(0.0)).unwrap();
    }
    // An earlier expiration of a subkey that is held is refused, and does not shorten its life.
    assert_eq!(storage.store_subkey(key(1), Subkey::text("b"), b"w", at(6.0), at(0.0)), Err(Refusal::Stale));
    assert_eq!(storage.get(&key(1), at(0.0)).unwrap().expiration(), Some(at(15.0)));
    assert_eq!(subkeys(&mut storage, 1, 7.0), ["b", "c"]);
    assert_eq!(subkeys(&mut storage, 1, 12.0), ["b"]);
    assert_eq!(storage.get(&key(1), at(16.0)), None);
    assert_eq!((storage.keys(), storage.entries(), storage.bytes()), (0, 0, 0));
}

#[test]
fn bounds_hold() {
    let mut storage = small();
    let now = at(0.0);
    let day = Limits::default().horizon.as_secs_f64();
    assert_eq!(storage.store(key(1), b"v", at(0.0), now), Err(Refusal::Expired));
    assert_eq!(storage.store(key(1), b"v", at(-5.0), now), Err(Refusal::Expired));
    assert_eq!(storage.store(key(1), b"v", at(day + 1.0), now), Err(Refusal::BeyondHorizon));
    assert_eq!(storage.store(key(1), &[0; 11], at(5.0), now), Err(Refusal::TooLarge));
    for name in ["a", "b", "c"] {
        storage.store_subkey(key(1), Subkey::text(name), b"v", at(5.0), now).unwrap();
    }
    assert_eq!(storage.store_subkey(key(1), Subkey::text("d"), b"v", at(5.0), now), Err(Refusal::Full));
    assert_eq!(storage.store_subkey(key(1), Subkey::text("a"), b"v", at(6.0), now), Ok(()));
    for n in 2..=4 {
        storage.store(key(n), b"v", at(5.0), now).unwrap();
    }
    assert_eq!(storage.store(key(5), b"v", at(5.0), now), Err(Refusal::Full));
    assert_eq!(storage.store(key(4), b"v", at(6.0), now), Ok(()));
}

#[derive(Debug, Clone)]
enum Step {
    Plain { key: u8, value: u8, expires: u8 },
    Subkey { key: u8, subkey: u8, value: u8, expires: u8 },
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3u8, any::<u8>(), 0..60u8).prop_map(|(key, value, expires)| Step::Plain { key, value, expires }),
        (0..3u8, 0..3u8, any::<u8>(), 0..60u8).prop_map(|(key, subkey, value, expires)| Step::Subkey {
            key,
            subkey,
            value,
            expires
        }),
        (0..10u8).prop_map(Step::Wait),
    ]
}

/// The rules as one would explain them, without any index: a list of (key, subkey, value, expiration).
#[derive(Default)]
struct Model(Vec<(u8, Option<u8>, u8, f64)>);

impl Model {
    fn live(&mut self, now: f64) {
        self.0.retain(|entry| entry.3 >= now);
    }

    fn store(&mut self, key: u8, subkey: Option<u8>, value: u8, expires: f64, now: f64) -> bool {
        self.live(now);
        let blocks = |entry: &&(u8, Option<u8>, u8, f64)| {
            entry.0 == key
                && (subkey.is_none() || entry.1.is_none() || entry.1 == subkey)
                && entry.3 >= expires
        };
        if expires <= now || self.0.iter().find(blocks).is_some() {
            return false;
        }
        self.0.retain(|entry| entry.0 != key || (subkey.is_some() && entry.1.is_some() && entry.1 != subkey));
        self.0.push((key, subkey, value, expires));
        true
    }
}

proptest! {
    #[test]
    fn agrees_with_the_obvious_model(steps in prop::collection::vec(step(), 0..80)) {
        let mut storage = Storage::new(Limits::default());
        let mut model = Model::default();
        let mut now = 0.0;
        let name = |n: u8| Subkey::text(&n.to_string());
        for step in steps {
            match step {
                Step::Wait(seconds) => now += f64::from(seconds) + 0.5,
                Step::Plain { key: k, value, expires } => {
                    let expires = now + f64::from(expires) - 5.0;
                    let stored = storage.store(key(k), &[value], at(expires), at(now));
                    storage.evict(at(now));
                    prop_assert_eq!(stored.is_ok(), model.store(k, None, value, expires, now));
                }
                Step::Subkey { key: k, subkey, value, expires } => {
                    let expires = now + f64::from(expires) - 5.0;
                    storage.evict(at(now));
                    let stored = storage.store_subkey(key(k), name(subkey), &[value], at(expires), at(now));
                    prop_assert_eq!(stored.is_ok(), model.store(k, Some(subkey), value, expires, now));
                }
            }
            model.live(now);
            storage.evict(at(now));
            prop_assert_eq!(storage.entries(), model.0.len());
            for (k, subkey, value, expires) in &model.0 {
                let held = storage.get(&key(*k), at(now)).unwrap();
                let item = match (held, subkey) {
                    (Held::Plain(item), None) => item,
                    (Held::Dictionary(dictionary), Some(subkey)) => dictionary.get(&name(*subkey)).unwrap(),
                    _ => panic!("{held:?} is of the wrong kind"),
                };
                prop_assert_eq!((&item.value[..], item.expiration), (&[*value][..], at(*expires)));
            }
        }
        storage.evict(at(now + 1000.0));
        prop_assert_eq!((storage.keys(), storage.entries(), storage.bytes()), (0, 0, 0));
    }
}

#[test]
fn what_lies_beyond_the_horizon_goes_and_leaves_no_trace() {
    let mut storage = small();
    storage.store_subkey(key(1), Subkey::text("near"), b"v", at(10.0), at(0.0)).unwrap();
    let (bytes, entries) = (storage.bytes(), storage.entries());
    let later = 2.0 * 24.0 * 3600.0;
    let mut storage = small();
    storage.store(key(2), b"v", at(later), at(later - 5.0)).unwrap();
    storage.store_subkey(key(1), Subkey::text("far"), b"v", at(later), at(later - 5.0)).unwrap();
    // The clock was two days ahead.
    storage.drop_beyond_horizon(at(0.0));
    assert_eq!((storage.bytes(), storage.entries(), storage.keys()), (0, 0, 0));
    storage.store_subkey(key(1), Subkey::text("near"), b"v", at(10.0), at(0.0)).unwrap();
    storage.drop_beyond_horizon(at(0.0));
    assert_eq!((storage.bytes(), storage.entries()), (bytes, entries));
}
