//! Records as peers hand them out, merged: of each the one that expires last counts, whoever brought it.
//!
//! A server's record is the same for all its blocks, and is kept and read once.
//!
//! Protocol facts: `hivemind/dht/node.py` (`get_many_by_id`): dictionaries of several peers are merged by subkey.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use hivemind_proto::{
    dht::{DhtId, FoundValue, Subkey, dictionary},
    time::DhtTime,
};

/// All records together. 5,000 servers have some 2 MB of different ones.
const MOST_BYTES: usize = 128 << 20;

/// Records under all keys together; half a million is 5,000 servers of 100 blocks.
const MOST_RECORDS: usize = 2_000_000;

/// One record under one key.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) expiration: DhtTime,
    pub(super) value: Arc<[u8]>,
}

/// What was gathered so far.
#[derive(Debug, Default)]
pub(super) struct Harvest {
    keys: HashMap<DhtId, BTreeMap<Arc<Subkey>, Found>>,
    /// The records of each subkey, since most are the same under many keys.
    values: HashMap<Arc<Subkey>, Vec<Arc<[u8]>>>,
    bytes: usize,
    records: usize,
    /// Records that were left out because there were too many.
    pub(super) left_out: usize,
    /// Answers under which there was no dictionary of records.
    pub(super) unreadable: usize,
}

impl Harvest {
    /// Takes in what a peer holds under `key`.
    pub(super) fn take(&mut self, key: DhtId, value: &FoundValue, now: DhtTime) {
        let FoundValue::Dictionary(bytes, _) = value else {
            // Readers of petals take one value in place of a dictionary for nothing.
            self.unreadable += 1;
            return;
        };
        // A message is bounded, and so is what it holds.
        let Ok(items) = dictionary::decode(bytes, usize::MAX) else {
            self.unreadable += 1;
            return;
        };
        for item in items {
            let Some(expiration) = DhtTime::from_unix(item.expiration).filter(|at| *at >= now) else {
                continue;
            };
            self.put(key, &item.subkey, item.value, expiration);
        }
    }

    fn put(&mut self, key: DhtId, subkey: &Subkey, value: &[u8], expiration: DhtTime) {
        let held = self.keys.entry(key).or_default();
        match held.get_mut(subkey) {
            Some(found) if found.expiration >= expiration => return,
            Some(found) if *found.value == *value => {
                found.expiration = expiration;
                return;
            }
            Some(_) => {}
            None if self.records >= MOST_RECORDS => {
                self.left_out += 1;
                return;
            }
            None => self.records += 1,
        }
        let subkey = match self.values.get_key_value(subkey) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::new(subkey.clone()),
        };
        let values = self.values.entry(Arc::clone(&subkey)).or_default();
        // The last first: blocks of one server come in a row.
        let value = match values.iter().rev().find(|known| ***known == *value) {
            Some(known) => Arc::clone(known),
            None if self.bytes + value.len() > MOST_BYTES => {
                self.left_out += 1;
                return;
            }
            None => {
                self.bytes += value.len();
                let value: Arc<[u8]> = value.into();
                values.push(Arc::clone(&value));
                value
            }
        };
        held.insert(subkey, Found { expiration, value });
    }

    /// The records under `key`, in the order of their subkeys.
    pub(super) fn under(&self, key: &DhtId) -> impl Iterator<Item = (&Subkey, &Found)> {
        self.keys.get(key).into_iter().flatten().map(|(subkey, found)| (&**subkey, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> DhtTime {
        DhtTime::from_unix(seconds).unwrap()
    }

    fn answer(items: &[(&str, &[u8], f64)]) -> FoundValue {
        let items: Vec<_> = items.iter().map(|(key, value, at)| (Subkey::text(key), *value, *at)).collect();
        let bytes = dictionary::encode(9e9, items.iter().map(|(key, value, at)| (key, *value, *at)));
        FoundValue::Dictionary(bytes, 9e9)
    }

    #[test]
    fn the_record_that_expires_last_counts() {
        let (mut harvest, key) = (Harvest::default(), DhtId::MIN);
        harvest.take(key, &answer(&[("a", b"\x01", 20.0), ("b", b"\x07", 9.0)]), at(10.0));
        harvest.take(key, &answer(&[("a", b"\x02", 30.0), ("c", b"\x03", f64::NAN)]), at(10.0));
        harvest.take(key, &answer(&[("a", b"\x03", 25.0)]), at(10.0));
        let found: Vec<_> =
            harvest.under(&key).map(|(subkey, found)| (subkey.as_text(), found.value.to_vec())).collect();
        assert_eq!(found, [(Some("a".to_owned()), vec![2])]);
        harvest.take(key, &FoundValue::Plain(vec![0xc0], 30.0), at(10.0));
        harvest.take(key, &FoundValue::Dictionary(b"garbage".to_vec(), 30.0), at(10.0));
        assert_eq!(harvest.unreadable, 2);
    }

    #[test]
    fn one_record_under_many_keys_is_kept_once() {
        let mut harvest = Harvest::default();
        for block in 0..100 {
            let key = DhtId::of_text(&format!("model.{block}"));
            harvest.take(key, &answer(&[("a", b"\xa5value", 20.0)]), at(10.0));
        }
        assert_eq!((harvest.records, harvest.bytes), (100, 6));
    }
}
