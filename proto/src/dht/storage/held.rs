//! What is held under a key, as it is shown to whoever asks: nothing is copied.

use std::collections::BTreeMap;

use super::{
    Subkeys,
    slots::{Entry, Slots},
};
use crate::{
    dht::{Dictionary, FreshValue, Item, Subkey, dictionary},
    time::DhtTime,
};

/// What lies under a key.
#[derive(Debug, Clone, Copy)]
pub enum Held<'a> {
    /// One value in its msgpack form, and when it expires.
    Plain(&'a [u8], DhtTime),
    /// A dictionary of at least one entry.
    Dictionary(Entries<'a>),
}

/// The entries of a dictionary, ordered by the bytes of their subkeys.
#[derive(Debug, Clone, Copy)]
pub struct Entries<'a> {
    slots: &'a Slots,
    subkeys: &'a Subkeys,
}

/// One entry of a dictionary.
#[derive(Debug, Clone, Copy)]
pub struct HeldEntry<'a>(&'a Entry);

impl Held<'_> {
    /// When the last of it expires.
    pub fn expiration(&self) -> DhtTime {
        match self {
            Self::Plain(_, expiration) => *expiration,
            Self::Dictionary(entries) => entries.expiration(),
        }
    }

    /// How long an answer is that brings it.
    pub fn wire_bytes(&self) -> usize {
        match self {
            Self::Plain(value, _) => value.len(),
            Self::Dictionary(entries) => dictionary::FRAME_BYTES + entries.subkeys.bytes,
        }
    }

    /// A copy that outlives the storage.
    pub fn to_fresh(&self) -> FreshValue {
        match self {
            Self::Plain(value, expiration) => {
                FreshValue::Plain(Item { value: (*value).into(), expiration: *expiration })
            }
            Self::Dictionary(entries) => FreshValue::Dictionary(entries.to_dictionary()),
        }
    }
}

impl<'a> Entries<'a> {
    pub(super) fn new(slots: &'a Slots, subkeys: &'a Subkeys) -> Self {
        Self { slots, subkeys }
    }

    /// The latest expiration of the entries, which is the dictionary's own.
    pub fn expiration(&self) -> DhtTime {
        self.subkeys.latest
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.subkeys.slots.len()
    }

    /// The entries.
    pub fn iter(self) -> impl Iterator<Item = HeldEntry<'a>> {
        self.subkeys.slots.iter().map(move |slot| HeldEntry(self.slots.get(*slot)))
    }

    /// The entries after the one whose subkey is `subkey`, or would be.
    pub fn after(self, subkey: &[u8]) -> impl Iterator<Item = HeldEntry<'a>> {
        let first = match self.subkeys.find(self.slots, subkey) {
            Ok(index) => index + 1,
            Err(index) => index,
        };
        self.subkeys.slots[first..].iter().map(move |slot| HeldEntry(self.slots.get(*slot)))
    }

    /// The entry under `subkey`.
    pub fn get(self, subkey: &Subkey) -> Option<HeldEntry<'a>> {
        let index = self.subkeys.find(self.slots, subkey.as_bytes()).ok()?;
        Some(HeldEntry(self.slots.get(self.subkeys.slots[index])))
    }

    /// The wire form.
    pub fn encode(self) -> Vec<u8> {
        let pairs = self.iter().map(|entry| entry.0.pair());
        dictionary::assemble(self.expiration().as_unix(), self.count(), self.subkeys.bytes, pairs)
    }

    /// The wire form of these and `others` together: of two under one subkey, the one that expires later.
    pub fn encode_with(self, others: Entries<'_>) -> Vec<u8> {
        let mut entries: BTreeMap<&[u8], HeldEntry<'_>> =
            self.iter().map(|entry| (entry.subkey(), entry)).collect();
        for other in others.iter() {
            let kept = entries.entry(other.subkey()).or_insert(other);
            if other.expiration() > kept.expiration() {
                *kept = other;
            }
        }
        let bytes = entries.values().map(|entry| entry.0.wire_bytes()).sum();
        let latest = self.expiration().max(others.expiration()).as_unix();
        dictionary::assemble(latest, entries.len(), bytes, entries.values().map(|entry| entry.0.pair()))
    }

    fn to_dictionary(self) -> Dictionary {
        let mut dictionary = Dictionary::default();
        for entry in self.iter() {
            // What was stored is a subkey, so it can be read as one.
            if let Ok(subkey) = Subkey::decode(entry.subkey()) {
                dictionary
                    .merge(subkey, Item { value: entry.value().into(), expiration: entry.expiration() });
            }
        }
        dictionary
    }
}

impl<'a> HeldEntry<'a> {
    /// The msgpack form of the subkey.
    pub fn subkey(&self) -> &'a [u8] {
        self.0.subkey()
    }

    /// The msgpack form of the value.
    pub fn value(&self) -> &'a [u8] {
        self.0.value()
    }

    /// When it expires.
    pub fn expiration(&self) -> DhtTime {
        self.0.expiration
    }
}
