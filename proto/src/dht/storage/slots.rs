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
    /// A plain value as it is; of an entry of a dictionary its subkey and its value, as they stand in the wire form.
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
        let content = dictionary::encode_pair(subkey, value);
        let subkey_bytes = subkey.as_bytes().len() as u16;
        Self { content, expiration, key, storer, subkey_bytes }
    }

    /// The msgpack form of the subkey; empty for a plain value.
    pub(super) fn subkey(&self) -> &[u8] {
        &self.content[..usize::from(self.subkey_bytes)]
    }

    pub(super) fn value(&self) -> &[u8] {
        match self.subkey_bytes {
            0 => &self.content,
            len => dictionary::value_of(&self.content, usize::from(len)),
        }
    }

    /// What a dictionary's wire form is made of.
    pub(super) fn pair(&self) -> (&[u8], f64) {
        (&self.content, self.expiration.as_unix())
    }

    /// How long the wire form is.
    pub(super) fn wire_bytes(&self) -> usize {
        let frame = if self.subkey_bytes == 0 { 0 } else { dictionary::ENTRY_FRAME_BYTES };
        frame + self.content.len()
    }
}

/// Slots for each entry, above which the last entries move to the front: what is renewed while very much is held comes to
/// lie behind all of it, and would keep the room when the rest has gone.
const SPARSE: usize = 4;

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
        self.give_back();
        entry
    }

    /// The last entry in use, if it should move.
    pub(super) fn straggler(&self) -> Option<Slot> {
        (self.slots.len() > SPARSE * self.len()).then(|| Slot(self.slots.len() as u32 - 1))
    }

    /// Moves an entry to the lowest slot that is unused; where it is now.
    pub(super) fn move_up(&mut self, from: Slot) -> Slot {
        let entry = self.remove(from);
        self.insert(entry)
    }

    fn give_back(&mut self) {
        while let Some(None) = self.slots.last() {
            self.slots.pop();
            self.unused.pop_last();
        }
        if self.slots.capacity() > SPARSE * self.slots.len() {
            self.slots.shrink_to(2 * self.slots.len());
        }
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
