//! The entries of one dictionary, in the order of their subkeys.

use super::slots::{Slot, Slots};
use crate::time::DhtTime;

/// To look for one entry takes as long as to pass by so many: a search compares subkeys, each in a place of its own.
pub(super) const PASSED_BY: usize = 256;

/// The entries of a dictionary, of which there is at least one.
#[derive(Debug)]
pub(super) struct Subkeys {
    /// Ordered by the bytes of their subkeys. Inserting moves four bytes for each that comes after, and the bound on
    /// a dictionary's bytes keeps them few.
    pub(super) slots: Vec<Slot>,
    /// Of all entries in their wire form.
    pub(super) bytes: usize,
    pub(super) latest: DhtTime,
}

impl Subkeys {
    pub(super) fn find(&self, slots: &Slots, subkey: &[u8]) -> Result<usize, usize> {
        self.slots.binary_search_by(|slot| slots.get(*slot).subkey().cmp(subkey))
    }

    /// Most keys have few entries, so no room is kept in advance; the rest grow by an eighth at a time.
    pub(super) fn insert(&mut self, index: usize, slot: Slot) {
        if self.slots.len() == self.slots.capacity() {
            self.slots.reserve_exact(1 + self.slots.len() / 8);
        }
        self.slots.insert(index, slot);
    }

    /// Takes entries out; whether none is left. Those that expire soonest go first, so the latest expiration stays what
    /// it is.
    pub(super) fn forget(
        &mut self,
        slots: &Slots,
        gone: impl ExactSizeIterator<Item = Slot> + Clone,
    ) -> bool {
        self.bytes -= gone.clone().map(|slot| slots.get(slot).wire_bytes()).sum::<usize>();
        if gone.len() * PASSED_BY > self.slots.len() {
            let mut gone: Vec<Slot> = gone.collect();
            gone.sort_unstable();
            self.slots.retain(|slot| gone.binary_search(slot).is_err());
        } else {
            for slot in gone {
                match self.find(slots, slots.get(slot).subkey()) {
                    Ok(index) => drop(self.slots.remove(index)),
                    Err(_) => unreachable!("every entry stands in its dictionary"),
                }
            }
        }
        if self.slots.capacity() > 2 * self.slots.len() {
            self.slots.shrink_to_fit();
        }
        self.slots.is_empty()
    }
}
