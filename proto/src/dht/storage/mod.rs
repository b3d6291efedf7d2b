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
//! - everything is bounded, see [`Limits`].

mod held;
mod limits;
mod shares;
mod slots;
mod subkeys;

use std::collections::BTreeMap;

use libp2p::PeerId;

pub use held::{Entries, Held, HeldEntry};
pub use limits::{ENTRY_BYTES, KEY_BYTES, Limits};

use self::{
    shares::Shares,
    slots::{Entry, Slot, Slots},
    subkeys::Subkeys,
};
use super::{DhtId, Refusal, Subkey, dictionary};
use crate::time::DhtTime;

/// Entries that are dropped, and moved, in one go: some quarter of a millisecond's work where dictionaries are short, and a
/// request may have to wait for it.
const EVICTED_AT_ONCE: usize = 64;

/// What lies under a key.
#[derive(Debug)]
enum Shelf {
    Plain(Slot),
    Dictionary(Subkeys),
}

/// What becomes of a value for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenFull {
    Refuse,
    /// What expires soonest makes room, unless that is the newcomer.
    EvictSoonest,
}

/// Values by key, with the queue in which they expire.
#[derive(Debug)]
pub struct Storage {
    limits: Limits,
    when_full: WhenFull,
    shelves: BTreeMap<DhtId, Shelf>,
    slots: Slots,
    shares: Shares,
    bytes: usize,
}

/// Where a value goes, and what it is.
#[derive(Clone, Copy)]
struct Offer<'a> {
    key: DhtId,
    /// Whoever sent it; `None` is we ourselves.
    from: Option<&'a PeerId>,
    /// What it costs.
    bytes: usize,
    expiration: DhtTime,
}

impl Storage {
    /// An empty storage. What does not fit is refused.
    pub fn new(limits: Limits) -> Self {
        Self::with(limits, WhenFull::Refuse)
    }

    /// An empty cache: what expires soonest makes room for what expires later, entry by entry.
    pub fn cache(limits: Limits) -> Self {
        Self::with(limits, WhenFull::EvictSoonest)
    }

    fn with(limits: Limits, when_full: WhenFull) -> Self {
        let (shelves, slots, shares) = Default::default();
        Self { limits, when_full, shelves, slots, shares, bytes: 0 }
    }

    /// What is held under `key` at `now`.
    pub fn get(&mut self, key: &DhtId, now: DhtTime) -> Option<Held<'_>> {
        self.evict_under(key, now);
        self.peek(key)
    }

    /// What is held under `key`, whether or not it should have been evicted by now.
    pub fn peek(&self, key: &DhtId) -> Option<Held<'_>> {
        self.shelves.get(key).map(|shelf| self.view(shelf))
    }

    /// Everything from `first` on, in the order of the keys, whether or not it should have been evicted by now.
    pub fn from(&self, first: DhtId) -> impl Iterator<Item = (&DhtId, Held<'_>)> {
        self.shelves.range(first..).map(|(key, shelf)| (key, self.view(shelf)))
    }

    fn view<'a>(&'a self, shelf: &'a Shelf) -> Held<'a> {
        match shelf {
            Shelf::Plain(slot) => {
                let entry = self.slots.get(*slot);
                Held::Plain(entry.value(), entry.expiration)
            }
            Shelf::Dictionary(subkeys) => Held::Dictionary(Entries::new(&self.slots, subkeys)),
        }
    }

    /// Holds a plain value, sent by `from`, or by nobody but ourselves. It replaces whatever expires earlier, a
    /// dictionary included.
    pub fn store(
        &mut self,
        key: DhtId,
        value: &[u8],
        expiration: DhtTime,
        from: Option<&PeerId>,
        now: DhtTime,
    ) -> Result<(), Refusal> {
        self.admit(&key, value, expiration, now)?;
        if self.peek(&key).is_some_and(|held| held.expiration() >= expiration) {
            return Err(Refusal::Stale);
        }
        let bytes = ENTRY_BYTES + value.len();
        self.make_room(Offer { key, from, bytes, expiration }, self.all_of(&key))?;
        self.clear(&key);
        let storer = self.shares.charge(from, bytes);
        let slot = self.slots.insert(Entry::plain(key, value, expiration, storer));
        self.shelves.insert(key, Shelf::Plain(slot));
        self.bytes += bytes + KEY_BYTES;
        Ok(())
    }

    /// Holds one entry of a dictionary, sent by `from`, or by nobody but ourselves. It turns an older plain value into
    /// a dictionary.
    pub fn store_subkey(
        &mut self,
        key: DhtId,
        subkey: &Subkey,
        value: &[u8],
        expiration: DhtTime,
        from: Option<&PeerId>,
        now: DhtTime,
    ) -> Result<(), Refusal> {
        self.admit(&key, value, expiration, now)?;
        let wire = dictionary::entry_bytes(subkey, value);
        let bytes = ENTRY_BYTES + wire;
        let replaced = match self.shelves.get(&key) {
            None => Vec::new(),
            Some(Shelf::Plain(slot)) if self.slots.get(*slot).expiration >= expiration => {
                return Err(Refusal::Stale);
            }
            Some(Shelf::Plain(slot)) => vec![*slot],
            Some(Shelf::Dictionary(subkeys)) => match subkeys.find(&self.slots, subkey.as_bytes()) {
                Ok(index) => {
                    let slot = subkeys.slots[index];
                    let held = self.slots.get(slot);
                    if held.expiration >= expiration {
                        return Err(Refusal::Stale);
                    }
                    if subkeys.bytes - held.wire_bytes() + wire > self.limits.dictionary_bytes {
                        return Err(Refusal::Full);
                    }
                    vec![slot]
                }
                Err(_)
                    if subkeys.slots.len() >= self.limits.subkeys
                        || subkeys.bytes + wire > self.limits.dictionary_bytes =>
                {
                    return Err(Refusal::Full);
                }
                Err(_) => Vec::new(),
            },
        };
        if wire > self.limits.dictionary_bytes {
            return Err(Refusal::TooLarge);
        }
        self.make_room(Offer { key, from, bytes, expiration }, replaced)?;
        if matches!(self.shelves.get(&key), Some(Shelf::Plain(_))) {
            self.clear(&key);
        }
        let storer = self.shares.charge(from, bytes);
        let slot = self.slots.insert(Entry::of_dictionary(key, subkey, value, expiration, storer));
        self.bytes += bytes;
        let shelf = self.shelves.entry(key).or_insert_with(|| {
            self.bytes += KEY_BYTES;
            Shelf::Dictionary(Subkeys { slots: Vec::new(), bytes: 0, latest: expiration })
        });
        let Shelf::Dictionary(subkeys) = shelf else { unreachable!("a plain value was removed above") };
        subkeys.bytes += wire;
        subkeys.latest = subkeys.latest.max(expiration);
        match subkeys.find(&self.slots, subkey.as_bytes()) {
            Ok(index) => {
                let old = self.slots.remove(std::mem::replace(&mut subkeys.slots[index], slot));
                subkeys.bytes -= old.wire_bytes();
                self.discharge(&old);
            }
            Err(index) => subkeys.insert(index, slot),
        }
        Ok(())
    }

    /// Drops what has expired before `now`, in time proportional to what is dropped, and `EVICTED_AT_ONCE` at the
    /// most: when very many expire together, nobody waits for all of them to go. Whether some are left.
    pub fn evict(&mut self, now: DhtTime) -> bool {
        let mut expired: Vec<(DhtId, Slot)> = Vec::new();
        while expired.len() < EVICTED_AT_ONCE
            && let Some(slot) = self.slots.pop_expired(now)
        {
            expired.push((self.slots.get(slot).key, slot));
        }
        // Those of one key go together: its dictionary is gone through once.
        expired.sort_unstable();
        for group in expired.chunk_by(|one, other| one.0 == other.0) {
            self.forget(group[0].0, group.iter().map(|(_, slot)| *slot));
        }
        self.move_up();
        self.slots.soonest().is_some_and(|(soonest, _)| soonest < now)
    }

    /// Lets what lies behind much unused room move to the front, so that the room can be given back.
    fn move_up(&mut self) {
        for _ in 0..EVICTED_AT_ONCE {
            let Some(from) = self.slots.straggler() else { return };
            let entry = self.slots.get(from);
            let held = match self.shelves.get_mut(&entry.key) {
                Some(Shelf::Plain(slot)) => Some(slot),
                Some(Shelf::Dictionary(subkeys)) => match subkeys.find(&self.slots, entry.subkey()) {
                    Ok(index) => subkeys.slots.get_mut(index),
                    Err(_) => None,
                },
                None => None,
            };
            let Some(slot) = held else { unreachable!("every entry lies under its key") };
            *slot = self.slots.move_up(from);
        }
    }

    /// Drops what has expired under `key`, however much else is left to be dropped.
    fn evict_under(&mut self, key: &DhtId, now: DhtTime) {
        if self.evict(now) {
            let mut slots = self.all_of(key);
            slots.retain(|slot| self.slots.get(*slot).expiration < now);
            self.forget(*key, slots.into_iter());
        }
    }

    /// Drops what lies beyond the horizon: it was let in by a clock that was wrong, and nothing could replace it.
    pub fn drop_beyond_horizon(&mut self, now: DhtTime) {
        let horizon = now + self.limits.horizon;
        let mut beyond = self.slots.later_than(horizon);
        beyond.sort_unstable();
        for group in beyond.chunk_by(|one, other| one.0 == other.0) {
            let key = group[0].0;
            self.forget(key, group.iter().map(|(_, slot)| *slot));
            self.settle_latest(&key);
        }
    }

    /// Drops one entry of a dictionary, in time proportional to the dictionary.
    pub(super) fn withdraw(&mut self, key: &DhtId, subkey: &Subkey) {
        let Some(Shelf::Dictionary(subkeys)) = self.shelves.get(key) else { return };
        if let Ok(index) = subkeys.find(&self.slots, subkey.as_bytes()) {
            let slot = subkeys.slots[index];
            self.forget(*key, [slot].into_iter());
            self.settle_latest(key);
        }
    }

    /// The latest expiration of a dictionary, after others than the soonest entries have gone.
    fn settle_latest(&mut self, key: &DhtId) {
        if let Some(Shelf::Dictionary(subkeys)) = self.shelves.get_mut(key) {
            let left = subkeys.slots.iter().map(|slot| self.slots.get(*slot).expiration);
            subkeys.latest = left.max().unwrap_or(subkeys.latest);
        }
    }

    /// Keys held, expired ones not yet dropped included.
    pub fn keys(&self) -> usize {
        self.shelves.len()
    }

    /// Plain values and subkeys held.
    pub fn entries(&self) -> usize {
        self.slots.len()
    }

    /// Bytes held, as [`Limits::total_bytes`] counts them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Peers of which something is held.
    pub fn peers(&self) -> usize {
        self.shares.peers()
    }

    /// The most entries that a dictionary may bring.
    pub fn max_subkeys(&self) -> usize {
        self.limits.subkeys
    }

    fn admit(&mut self, key: &DhtId, value: &[u8], expiration: DhtTime, now: DhtTime) -> Result<(), Refusal> {
        self.evict_under(key, now);
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

    /// Whether there is room for `offer`, once `replaced` has gone.
    fn make_room(&mut self, offer: Offer<'_>, replaced: Vec<Slot>) -> Result<(), Refusal> {
        if let Some(peer) = offer.from {
            let (storer, held) = self.shares.of(peer);
            let own =
                replaced.iter().map(|slot| self.slots.get(*slot)).filter(|old| Some(old.storer) == storer);
            if held - own.map(cost).sum::<usize>() + offer.bytes > self.limits.peer_bytes {
                return Err(Refusal::ShareFull);
            }
        }
        let freed: usize = replaced.iter().map(|slot| cost(self.slots.get(*slot))).sum();
        loop {
            let new_keys = usize::from(!self.shelves.contains_key(&offer.key));
            let bytes = self.bytes - freed + offer.bytes + new_keys * KEY_BYTES;
            let shrinks = new_keys == 0 && offer.bytes <= freed;
            if shrinks
                || bytes <= self.limits.total_bytes && self.shelves.len() + new_keys <= self.limits.keys
            {
                return Ok(());
            }
            match self.slots.soonest() {
                // What is replaced stays until then, so that its bytes are not counted twice.
                Some((soonest, slot))
                    if self.when_full == WhenFull::EvictSoonest
                        && soonest < offer.expiration
                        && !replaced.contains(&slot) =>
                {
                    self.forget(self.slots.get(slot).key, std::iter::once(slot));
                }
                _ => return Err(Refusal::Full),
            }
        }
    }

    fn all_of(&self, key: &DhtId) -> Vec<Slot> {
        match self.shelves.get(key) {
            None => Vec::new(),
            Some(Shelf::Plain(slot)) => vec![*slot],
            Some(Shelf::Dictionary(subkeys)) => subkeys.slots.clone(),
        }
    }

    fn discharge(&mut self, old: &Entry) {
        self.bytes -= cost(old);
        self.shares.discharge(old.storer, cost(old));
    }

    /// Removes everything under `key`.
    fn clear(&mut self, key: &DhtId) {
        let slots = self.all_of(key);
        if self.shelves.remove(key).is_some() {
            self.bytes -= KEY_BYTES;
        }
        for slot in slots {
            let old = self.slots.remove(slot);
            self.discharge(&old);
        }
    }

    /// Removes entries of `key`, and the key with the last one.
    fn forget(&mut self, key: DhtId, gone: impl ExactSizeIterator<Item = Slot> + Clone) {
        let empty = match self.shelves.get_mut(&key) {
            Some(Shelf::Plain(_)) => gone.len() > 0,
            Some(Shelf::Dictionary(subkeys)) => subkeys.forget(&self.slots, gone.clone()),
            None => false,
        };
        if empty {
            self.shelves.remove(&key);
            self.bytes -= KEY_BYTES;
        }
        for slot in gone {
            let old = self.slots.remove(slot);
            self.discharge(&old);
        }
    }
}

fn cost(entry: &Entry) -> usize {
    ENTRY_BYTES + entry.wire_bytes()
}

#[cfg(test)]
mod tests;
