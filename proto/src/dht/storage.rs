//! What a node holds for others: plain values and dictionaries, each until its expiration
//! (`hivemind/dht/storage.py`, `hivemind/utils/timed_storage.py`).
//!
//! Freshness: a value replaces another only if it expires strictly later; a dictionary keeps an expiration for each
//! subkey, and its own is the latest of them.
//!
//! Differences from the original, each on purpose:
//! - expirations are finite and lie within a horizon, so that every value can be replaced;
//! - eviction follows the expiration of the value that is kept, not of one that was refused;
//! - every subkey of a whole dictionary is tried, not only those before the first refused one;
//! - everything is bounded: bytes, keys, subkeys of a key, the size of a value.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, btree_map},
    sync::Arc,
    time::Duration,
};

use super::{DhtId, Refusal, Subkey, dictionary};
use crate::time::DhtTime;

/// Bounds of one storage.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Keys held at once.
    pub keys: usize,
    /// Entries of one dictionary.
    pub subkeys: usize,
    /// Bytes of one value.
    pub value_bytes: usize,
    /// Bytes of all values and subkeys, [`OVERHEAD_BYTES`] for each included.
    pub total_bytes: usize,
    /// How far in the future an expiration may lie.
    pub horizon: Duration,
}

/// What an entry costs beside its own bytes: its places in the table and in the queue of expirations.
pub const OVERHEAD_BYTES: usize = 200;

impl Default for Limits {
    fn default() -> Self {
        Self {
            keys: 1_000_000,
            subkeys: 20_000,
            value_bytes: 256 * 1024,
            total_bytes: 256 * 1024 * 1024,
            horizon: Duration::from_secs(24 * 3600),
        }
    }
}

/// A value and the moment until which it is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The msgpack form.
    pub value: Arc<[u8]>,
    /// When it expires.
    pub expiration: DhtTime,
}

/// The entries of a dictionary.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dictionary(BTreeMap<Subkey, Item>);

impl Dictionary {
    /// The entries, ordered by the bytes of their subkeys.
    pub fn iter(&self) -> btree_map::Iter<'_, Subkey, Item> {
        self.0.iter()
    }

    /// The entry under `subkey`.
    pub fn get(&self, subkey: &Subkey) -> Option<&Item> {
        self.0.get(subkey)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The latest expiration of its entries, which is the dictionary's own.
    pub fn expiration(&self) -> Option<DhtTime> {
        self.0.values().map(|item| item.expiration).max()
    }

    /// Takes the entry if there is none under its subkey that lives as long.
    pub fn merge(&mut self, subkey: Subkey, item: Item) {
        match self.0.get(&subkey) {
            Some(held) if held.expiration >= item.expiration => {}
            _ => drop(self.0.insert(subkey, item)),
        }
    }

    /// The wire form.
    pub fn encode(&self) -> Vec<u8> {
        let latest = self.expiration().map_or(f64::NEG_INFINITY, DhtTime::as_unix);
        let items = self.0.iter().map(|(subkey, item)| (subkey, &item.value[..], item.expiration.as_unix()));
        dictionary::encode(latest, items)
    }
}

/// What lies under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// One value.
    Plain(Item),
    /// A dictionary of at least one entry.
    Dictionary(Dictionary),
}

impl Held {
    /// When the last of it expires.
    pub fn expiration(&self) -> Option<DhtTime> {
        match self {
            Self::Plain(item) => Some(item.expiration),
            Self::Dictionary(dictionary) => dictionary.expiration(),
        }
    }
}

/// Values by key, with the queue in which they expire.
#[derive(Debug)]
pub struct Storage {
    limits: Limits,
    held: HashMap<DhtId, Held>,
    /// One entry for each plain value and each subkey: exactly what is held, so refused stores leave no trace.
    expirations: BTreeSet<(DhtTime, DhtId, Option<Subkey>)>,
    bytes: usize,
}

impl Storage {
    /// An empty storage.
    pub fn new(limits: Limits) -> Self {
        Self { limits, held: HashMap::new(), expirations: BTreeSet::new(), bytes: 0 }
    }

    /// What is held under `key` at `now`.
    pub fn get(&mut self, key: &DhtId, now: DhtTime) -> Option<&Held> {
        self.evict(now);
        self.held.get(key)
    }

    /// Holds a plain value. It replaces whatever expires earlier, a dictionary included.
    pub fn store(
        &mut self,
        key: DhtId,
        value: &[u8],
        expiration: DhtTime,
        now: DhtTime,
    ) -> Result<(), Refusal> {
        self.admit(value, expiration, now)?;
        let held = self.held.get(&key).and_then(Held::expiration);
        if held.is_some_and(|held| held >= expiration) {
            return Err(Refusal::Stale);
        }
        self.make_room(held.is_none(), value.len())?;
        self.remove(&key);
        self.account(key, None, value.len(), expiration);
        self.held.insert(key, Held::Plain(Item { value: value.into(), expiration }));
        Ok(())
    }

    /// Holds one entry of a dictionary. It turns an older plain value into a dictionary.
    pub fn store_subkey(
        &mut self,
        key: DhtId,
        subkey: Subkey,
        value: &[u8],
        expiration: DhtTime,
        now: DhtTime,
    ) -> Result<(), Refusal> {
        self.admit(value, expiration, now)?;
        let (new_key, replaced) = match self.held.get(&key) {
            None => (true, None),
            Some(Held::Plain(item)) if item.expiration >= expiration => return Err(Refusal::Stale),
            Some(Held::Plain(_)) => (false, None),
            Some(Held::Dictionary(dictionary)) => match dictionary.get(&subkey) {
                Some(item) if item.expiration >= expiration => return Err(Refusal::Stale),
                None if dictionary.len() >= self.limits.subkeys => return Err(Refusal::Full),
                replaced => (false, replaced.map(|item| (item.expiration, item.value.len()))),
            },
        };
        self.make_room(new_key, subkey.as_bytes().len() + value.len())?;
        if matches!(self.held.get(&key), Some(Held::Plain(_))) {
            self.remove(&key);
        }
        if let Some((old_expiration, old_len)) = replaced {
            self.discount(key, Some(subkey.clone()), old_len, old_expiration);
        }
        self.account(key, Some(subkey.clone()), value.len(), expiration);
        let item = Item { value: value.into(), expiration };
        match self.held.entry(key).or_insert_with(|| Held::Dictionary(Dictionary::default())) {
            Held::Dictionary(dictionary) => drop(dictionary.0.insert(subkey, item)),
            Held::Plain(_) => unreachable!("a plain value was removed above"),
        }
        Ok(())
    }

    /// Drops one entry of a dictionary.
    pub(super) fn withdraw(&mut self, key: &DhtId, subkey: &Subkey) {
        if let Some(Held::Dictionary(dictionary)) = self.held.get(key)
            && let Some(item) = dictionary.get(subkey)
        {
            let expiration = item.expiration;
            self.forget(*key, Some(subkey.clone()), expiration);
        }
    }

    /// Drops what has expired before `now`, in time proportional to what is dropped.
    pub fn evict(&mut self, now: DhtTime) {
        while let Some((expiration, ..)) = self.expirations.first()
            && *expiration < now
            && let Some((expiration, key, subkey)) = self.expirations.pop_first()
        {
            self.forget(key, subkey, expiration);
        }
    }

    /// Drops what lies beyond the horizon: it was let in by a clock that was wrong, and nothing could replace it.
    pub fn drop_beyond_horizon(&mut self, now: DhtTime) {
        let horizon = now + self.limits.horizon;
        while let Some((expiration, ..)) = self.expirations.last()
            && *expiration > horizon
            && let Some((expiration, key, subkey)) = self.expirations.pop_last()
        {
            self.forget(key, subkey, expiration);
        }
    }

    /// Keys held, expired ones not yet dropped included.
    pub fn keys(&self) -> usize {
        self.held.len()
    }

    /// Plain values and subkeys held.
    pub fn entries(&self) -> usize {
        self.expirations.len()
    }

    /// Bytes held, as [`Limits::total_bytes`] counts them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The most entries that a dictionary may bring.
    pub fn max_subkeys(&self) -> usize {
        self.limits.subkeys
    }

    fn admit(&mut self, value: &[u8], expiration: DhtTime, now: DhtTime) -> Result<(), Refusal> {
        self.evict(now);
        if expiration <= now {
            return Err(Refusal::Expired);
        }
        if expiration > now + self.limits.horizon {
            return Err(Refusal::BeyondHorizon);
        }
        if value.len() > self.limits.value_bytes {
            return Err(Refusal::TooLarge);
        }
        Ok(())
    }

    fn make_room(&self, new_key: bool, bytes: usize) -> Result<(), Refusal> {
        let keys = self.held.len() + usize::from(new_key);
        if keys > self.limits.keys || self.bytes + bytes + OVERHEAD_BYTES > self.limits.total_bytes {
            return Err(Refusal::Full);
        }
        Ok(())
    }

    fn account(&mut self, key: DhtId, subkey: Option<Subkey>, value_len: usize, expiration: DhtTime) {
        self.bytes += cost(subkey.as_ref(), value_len);
        self.expirations.insert((expiration, key, subkey));
    }

    fn discount(&mut self, key: DhtId, subkey: Option<Subkey>, value_len: usize, expiration: DhtTime) {
        self.bytes -= cost(subkey.as_ref(), value_len);
        self.expirations.remove(&(expiration, key, subkey));
    }

    /// Removes everything under `key`.
    fn remove(&mut self, key: &DhtId) {
        match self.held.remove(key) {
            None => {}
            Some(Held::Plain(item)) => self.discount(*key, None, item.value.len(), item.expiration),
            Some(Held::Dictionary(dictionary)) => {
                for (subkey, item) in dictionary.0 {
                    self.discount(*key, Some(subkey), item.value.len(), item.expiration);
                }
            }
        }
    }

    /// Removes one entry whose expiration has come.
    fn forget(&mut self, key: DhtId, subkey: Option<Subkey>, expiration: DhtTime) {
        let (value_len, empty) = match (self.held.get_mut(&key), &subkey) {
            (Some(Held::Plain(item)), None) => (item.value.len(), true),
            (Some(Held::Dictionary(dictionary)), Some(subkey)) => {
                let item = dictionary.0.remove(subkey);
                (item.map_or(0, |item| item.value.len()), dictionary.is_empty())
            }
            _ => unreachable!("every queued expiration belongs to an entry"),
        };
        self.discount(key, subkey, value_len, expiration);
        if empty {
            self.held.remove(&key);
        }
    }
}

fn cost(subkey: Option<&Subkey>, value_len: usize) -> usize {
    OVERHEAD_BYTES + value_len + subkey.map_or(0, |subkey| subkey.as_bytes().len())
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
