//! Bounds of what is held, and why they are what they are.

use std::time::Duration;

/// What an entry costs beside its own bytes: its slot, its places in the dictionary and in the queue of expirations,
/// and what the allocator adds. Measured by `cargo bench -p hivemind-proto --bench held_records`.
pub const ENTRY_BYTES: usize = 112;

/// What a key costs beside its entries.
pub const KEY_BYTES: usize = 144;

/// Bounds of one storage.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Keys held at once.
    pub keys: usize,
    /// Entries of one dictionary.
    pub subkeys: usize,
    /// Bytes of one dictionary in its wire form. A Python peer takes messages of 4 MiB and breaks off the call at a
    /// larger one, for which it then leaves us out as if we were gone; so a dictionary has to fit into an answer
    /// beside the neighbours.
    pub dictionary_bytes: usize,
    /// Bytes of one value.
    pub value_bytes: usize,
    /// Bytes of everything, [`ENTRY_BYTES`] for each value and [`KEY_BYTES`] for each key included: what the process
    /// grows by.
    pub total_bytes: usize,
    /// Bytes of what came from one peer, counted in the same way.
    pub peer_bytes: usize,
    /// How far in the future an expiration may lie.
    pub horizon: Duration,
}

impl Default for Limits {
    /// A million records of Petals, 260 bytes each in the wire form, take 355 to 370 MiB where keys have ten of them
    /// or more.
    fn default() -> Self {
        let total_bytes = 400 * 1024 * 1024;
        Self {
            keys: 1_000_000,
            subkeys: 20_000,
            dictionary_bytes: 3 * 1024 * 1024,
            value_bytes: 256 * 1024,
            total_bytes,
            // A member of the swarm may hand us all that it holds for others when we are new, so the share has to be
            // large; nobody fills the storage alone.
            peer_bytes: total_bytes / 2,
            horizon: Duration::from_secs(24 * 3600),
        }
    }
}

impl Limits {
    /// Bounds of a cache: what is in it can be found elsewhere, so little is enough.
    pub fn of_cache() -> Self {
        let total_bytes = 32 * 1024 * 1024;
        Self { keys: 50_000, total_bytes, peer_bytes: total_bytes / 2, ..Self::default() }
    }
}
