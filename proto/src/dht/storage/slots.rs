//! Where the values lie: each in a slot, with the queue in which they expire. Whatever else refers to a value does so
//! by the number of its slot, four bytes, so that nothing is held twice.

use std::collections::BTreeSet;

use super::shares::Storer;
use crate::{
    dht::{DhtId, Subkey, dictionary},
    time::DhtTime,
};

/// Names a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(u32);

/// One value, or one entry of a dictionary.
#[derive(Debug)]
pub(super) struct Entry {
    /// A plain value as it is, an entry of a dictionary in its wire form.
    content: Box<[u8]>,
    pub(super) expiration: DhtTime,
    pub(super) key: DhtId,
    pub(super) storer: Storer,
    /// None for a plain value; no subkey is empty.
    subkey_bytes: u16,
}

impl Entry {
    pub(super) fn plain(key: DhtId, value: &[u8], expiration: DhtTime, storer: Storer) -> Self {
        Self { content: value.into(), expiration, key, storer, subkey_bytes: 0 }
    }

    pub(super) fn of_dictionary(
        key: DhtId,
        subkey: &Subkey,
        value: &[u8],
        expiration: DhtTime,
        storer: Storer,
    ) -> Self {
        let content = dictionary::encode_entry(subkey, value, expiration.as_unix());
        let subkey_bytes = subkey.as_bytes().len() as u16;
        Self { content, expiration, key, storer, subkey_bytes }
    }

    /// The msgpack form of the subkey; empty for a plain value.
    pub(super) fn subkey(&self) -> &[u8] {
        match self.subkey_bytes {
            0 => &[],
            len => &self.content[1..1 + usize::from(len)],
        }
    }

    pub(super) fn value(&self) -> &[u8] {
        match self.subkey_bytes {
            0 => &self.content,
            len => dictionary::value_of(&self.content, usize::from(len)),
        }
    }

    /// What a dictionary's wire form says of this entry.
    pub(super) fn wire(&self) -> &[u8] {
        &self.content
    }
}

/// The slots.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Option<Entry>>,
    /// The lowest is used next, so that the end can be given back.
    unused: BTreeSet<Slot>,
    /// One for each entry: exactly what is held, so refused stores leave no trace.
    expirations: BTreeSet<(DhtTime, Slot)>,
}

impl Slots {
    pub(super) fn get(&self, slot: Slot) -> &Entry {
        match self.slots.get(slot.0 as usize) {
            Some(Some(entry)) => entry,
            _ => unreachable!("a slot that is referred to is in use"),
        }
    }

    pub(super) fn insert(&mut self, entry: Entry) -> Slot {
        let slot = self.unused.pop_first().unwrap_or_else(|| {
            self.slots.push(None);
            Slot(self.slots.len() as u32 - 1)
        });
        self.expirations.insert((entry.expiration, slot));
        self.slots[slot.0 as usize] = Some(entry);
        slot
    }

    pub(super) fn remove(&mut self, slot: Slot) -> Entry {
        let Some(entry) = self.slots.get_mut(slot.0 as usize).and_then(Option::take) else {
            unreachable!("a slot that is referred to is in use")
        };
        self.expirations.remove(&(entry.expiration, slot));
        self.unused.insert(slot);
        while let Some(None) = self.slots.last() {
            self.slots.pop();
            self.unused.pop_last();
        }
        if self.slots.capacity() > 4 * self.slots.len() {
            self.slots.shrink_to(2 * self.slots.len());
        }
        entry
    }

    pub(super) fn soonest(&self) -> Option<(DhtTime, Slot)> {
        self.expirations.first().copied()
    }

    /// Takes the one that expires soonest off the queue, if it has expired before `now`. The entry stays in its slot.
    pub(super) fn pop_expired(&mut self, now: DhtTime) -> Option<Slot> {
        self.soonest().filter(|(soonest, _)| *soonest < now)?;
        self.expirations.pop_first().map(|(_, slot)| slot)
    }

    /// Keys and slots of all that expires later than `horizon`.
    pub(super) fn later_than(&self, horizon: DhtTime) -> Vec<(DhtId, Slot)> {
        let later = self.expirations.iter().rev().take_while(|(expiration, _)| *expiration > horizon);
        later.map(|(_, slot)| (self.get(*slot).key, *slot)).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.unused.len()
    }
}
