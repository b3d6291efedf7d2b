//! The storage against a slow, obvious model of itself.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// As the rules would be explained, without any index.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    key: u8,
    subkey: Option<u8>,
    value: Vec<u8>,
    expires: f64,
    from: Option<u8>,
}

impl Line {
    fn wire(&self) -> usize {
        match self.subkey {
            None => self.value.len(),
            Some(subkey) => dictionary::entry_bytes(&name(subkey), &self.value),
        }
    }

    fn cost(&self) -> usize {
        ENTRY_BYTES + self.wire()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Store(Line),
    Wait(u8),
    DropBeyondHorizon { back: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    let line = (0..4u8, prop::option::weighted(0.8, 0..4u8), 0..40usize, 0..60u8, prop::option::of(0..2u8));
    let line = line.prop_map(|(key, subkey, len, expires, from)| {
        let (value, expires) = (vec![expires; len], f64::from(expires) - 5.0);
        Step::Store(Line { key, subkey, value, expires, from })
    });
    prop_oneof![
        8 => line,
        1 => (0..10u8).prop_map(Step::Wait),
        1 => (0..20u8).prop_map(|back| Step::DropBeyondHorizon { back }),
    ]
}

fn name(n: u8) -> Subkey {
    Subkey::text(&n.to_string())
}

fn limits() -> Limits {
    Limits {
        keys: 3,
        subkeys: 3,
        dictionary_bytes: 110,
        value_bytes: 35,
        total_bytes: 8 * ENTRY_BYTES + 3 * KEY_BYTES,
        peer_bytes: 4 * ENTRY_BYTES,
        horizon: std::time::Duration::from_secs(50),
    }
}

#[derive(Default)]
struct Model(Vec<Line>);

impl Model {
    fn keys(&self) -> usize {
        self.0.iter().map(|line| line.key).collect::<BTreeSet<u8>>().len()
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(Line::cost).sum::<usize>() + KEY_BYTES * self.keys()
    }

    fn wire_of(&self, key: u8) -> usize {
        self.0.iter().filter(|line| line.key == key && line.subkey.is_some()).map(Line::wire).sum()
    }

    fn store(&mut self, new: Line, now: f64) -> Result<(), Refusal> {
        let limits = limits();
        if new.expires <= now {
            return Err(Refusal::Expired);
        }
        if new.expires > now + limits.horizon.as_secs_f64() {
            return Err(Refusal::BeyondHorizon);
        }
        if new.value.len() > limits.value_bytes {
            return Err(Refusal::TooLarge);
        }
        let rivals = |line: &Line| {
            let same_place = new.subkey.is_none() || line.subkey.is_none() || line.subkey == new.subkey;
            line.key == new.key && same_place
        };
        if self.0.iter().any(|line| rivals(line) && line.expires >= new.expires) {
            return Err(Refusal::Stale);
        }
        let mut after = Self(self.0.iter().filter(|line| !rivals(line)).cloned().collect());
        after.0.push(new.clone());
        let count = after.0.iter().filter(|line| line.key == new.key).count();
        if new.subkey.is_some()
            && (count > limits.subkeys || after.wire_of(new.key) > limits.dictionary_bytes)
        {
            return Err(Refusal::Full);
        }
        let of_peer = after.0.iter().filter(|line| line.from.is_some() && line.from == new.from);
        if of_peer.map(Line::cost).sum::<usize>() > limits.peer_bytes {
            return Err(Refusal::ShareFull);
        }
        let grows = after.bytes() > self.bytes();
        if grows && (after.bytes() > limits.total_bytes || after.keys() > limits.keys) {
            return Err(Refusal::Full);
        }
        *self = after;
        Ok(())
    }
}

/// What the storage shows, in the model's words; it shows nobody who sent it.
fn shown(storage: &Storage) -> Vec<Line> {
    let mut lines = Vec::new();
    for key in 0..4 {
        match storage.peek(&super::key(key)) {
            None => {}
            Some(Held::Plain(value, expiration)) => {
                let expires = expiration.as_unix() - NOW;
                lines.push(Line { key, subkey: None, value: value.to_vec(), expires, from: None });
            }
            Some(Held::Dictionary(entries)) => {
                let wire = entries.encode();
                let items = dictionary::decode(&wire, 10).unwrap();
                assert_eq!(items.len(), entries.count());
                let latest = items.iter().map(|item| item.expiration).fold(f64::MIN, f64::max);
                assert_eq!(latest, entries.expiration().as_unix());
                for (item, entry) in items.iter().zip(entries.iter()) {
                    assert_eq!(item.subkey.as_bytes(), entry.subkey());
                    assert_eq!((item.value, item.expiration), (entry.value(), entry.expiration().as_unix()));
                    let subkey = item.subkey.as_text().unwrap().parse().ok();
                    let expires = item.expiration - NOW;
                    lines.push(Line { key, subkey, value: item.value.to_vec(), expires, from: None });
                }
            }
        }
    }
    lines
}

proptest! {
    #[test]
    fn agrees_with_the_obvious_model(steps in prop::collection::vec(step(), 0..120)) {
        let mut storage = Storage::new(limits());
        let mut model = Model::default();
        let mut now = 0.0;
        let peers = [PeerId::random(), PeerId::random()];
        for step in steps {
            match step {
                Step::Wait(seconds) => now += f64::from(seconds) + 0.5,
                Step::DropBeyondHorizon { back } => {
                    let then = now - f64::from(back);
                    storage.drop_beyond_horizon(at(then));
                    model.0.retain(|line| line.expires <= then + limits().horizon.as_secs_f64());
                }
                Step::Store(mut line) => {
                    line.expires += now;
                    let from = line.from.map(|n| &peers[usize::from(n)]);
                    let (key, expires) = (super::key(line.key), at(line.expires));
                    let stored = match line.subkey {
                        None => storage.store(key, &line.value, expires, from, at(now)),
                        Some(n) => storage.store_subkey(key, &name(n), &line.value, expires, from, at(now)),
                    };
                    model.0.retain(|line| line.expires >= now);
                    prop_assert_eq!(stored, model.store(line, now));
                }
            }
            storage.evict(at(now));
            model.0.retain(|line| line.expires >= now);
            let counts = (storage.keys(), storage.entries(), storage.bytes());
            prop_assert_eq!(counts, (model.keys(), model.0.len(), model.bytes()));
            let of_peers: BTreeSet<u8> = model.0.iter().filter_map(|line| line.from).collect();
            prop_assert_eq!(storage.peers(), of_peers.len());
            let mut expected = model.0.clone();
            expected.iter_mut().for_each(|line| line.from = None);
            expected.sort_by_key(|line| (line.key, line.subkey));
            prop_assert_eq!(shown(&storage), expected);
        }
        storage.evict(at(now + 1000.0));
        prop_assert_eq!((storage.keys(), storage.entries(), storage.bytes(), storage.peers()), (0, 0, 0, 0));
    }

    #[test]
    fn a_cache_stays_within_its_bounds_and_keeps_what_expires_latest(
        steps in prop::collection::vec((0..40u8, 0..40usize, 1..50u8), 0..120),
    ) {
        let total_bytes = 6 * (ENTRY_BYTES + KEY_BYTES);
        let limits = Limits { keys: 5, total_bytes, value_bytes: 100, ..Limits::default() };
        let mut cache = Storage::cache(limits);
        let keys: Vec<(u8, DhtId)> = (0..40).map(|n| (n, key(n))).collect();
        for (n, len, expires) in steps {
            let expires = f64::from(expires);
            let lives = |cache: &Storage| -> BTreeMap<u8, DhtTime> {
                keys.iter().filter_map(|(n, key)| Some((*n, cache.peek(key)?.expiration()))).collect()
            };
            let before = lives(&cache);
            let stored = store(&mut cache, n, &vec![0; len], expires, 0.0);
            prop_assert!(cache.bytes() <= total_bytes && cache.keys() <= 5);
            let after = lives(&cache);
            match stored {
                Ok(()) => prop_assert_eq!(after[&n], at(expires)),
                Err(Refusal::Stale) => prop_assert!(before[&n] >= at(expires)),
                Err(_) => prop_assert!(before.iter().any(|(held, soonest)| *held == n || *soonest >= at(expires))),
            }
            // Whoever had to go expired no later than whoever stayed.
            let gone = before.iter().filter(|(n, _)| !after.contains_key(n)).map(|(_, at)| *at).max();
            let kept = after.iter().filter(|(held, _)| **held != n).map(|(_, at)| *at).min();
            prop_assert!(gone.zip(kept).is_none_or(|(gone, kept)| gone <= kept));
        }
    }
}
