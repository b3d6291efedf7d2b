//! What a reader gets: a value that lives until its expiration, and the dictionary of such values that lies under a key.

use std::{
    collections::{BTreeMap, btree_map},
    sync::Arc,
};

use super::{Subkey, dictionary};
use crate::time::DhtTime;

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
