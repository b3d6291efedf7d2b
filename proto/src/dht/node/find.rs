//! What a find brings: the values that we hold, and the nodes that we know nearest to them
//! (`hivemind/dht/protocol.py`, `rpc_find`).
//!
//! A value comes from the storage or the cache, from whichever expires later. Two dictionaries are merged, where the
//! original shows only the one that expires later, so that a single cached entry hides all that is stored.

use super::Node;
use crate::{
    dht::{DhtId, FindResult, FoundValue, Held, routing::BUCKET_SIZE},
    time::DhtTime,
};

/// Bytes of one answer. A Python peer takes messages of 4 MiB (`persistentConnMaxMsgSize`), and of a larger one it
/// sees nothing at all; what p2pd wraps around it is below 200 bytes.
const ANSWER_BYTES: usize = 4 * 1024 * 1024 - 4096;

/// What a result has beside its value: neighbours of a node id and a peer id each, and the lengths of all.
const RESULT_BYTES: usize = 40 + BUCKET_SIZE * 70;

impl Node {
    /// A result for each key. When all that is held does not fit into one answer, the largest values are left out:
    /// the fewest are missing, and whoever needs them can ask for them one by one.
    pub(super) fn find(&mut self, keys: &[DhtId], asker: Option<&DhtId>, now: DhtTime) -> Vec<FindResult> {
        for key in keys {
            self.storage.get(key, now);
            self.cache.get(key, now);
        }
        let mut sizes: Vec<(usize, usize)> =
            keys.iter().map(|key| self.size_of(key)).enumerate().map(|(index, size)| (size, index)).collect();
        let mut bytes: usize = sizes.iter().map(|(size, _)| size + RESULT_BYTES).sum();
        let mut left_out = Vec::new();
        if bytes > ANSWER_BYTES {
            sizes.sort_unstable();
            while bytes > ANSWER_BYTES
                && let Some((size, index)) = sizes.pop()
            {
                bytes -= size;
                left_out.push(index);
            }
            self.counters.values_left_out += left_out.len() as u64;
        }
        let result = |(index, key): (usize, &DhtId)| FindResult {
            value: if left_out.contains(&index) { None } else { self.value_of(key) },
            neighbours: self.table.nearest(key, BUCKET_SIZE, asker),
        };
        keys.iter().enumerate().map(result).collect()
    }

    /// At most how long the value under `key` is on the wire.
    fn size_of(&self, key: &DhtId) -> usize {
        let size = |held: Option<Held<'_>>| held.map_or(0, |held| held.wire_bytes());
        size(self.storage.peek(key)) + size(self.cache.peek(key))
    }

    fn value_of(&self, key: &DhtId) -> Option<FoundValue> {
        let (stored, cached) = (self.storage.peek(key), self.cache.peek(key));
        if let (Some(Held::Dictionary(stored)), Some(Held::Dictionary(cached))) = (&stored, &cached) {
            let expiration = stored.expiration().max(cached.expiration());
            return Some(FoundValue::Dictionary(stored.encode_with(*cached), expiration.as_unix()));
        }
        let freshest = match (stored, cached) {
            (Some(stored), Some(cached)) if cached.expiration() > stored.expiration() => cached,
            (Some(held), _) | (None, Some(held)) => held,
            (None, None) => return None,
        };
        let expiration = freshest.expiration().as_unix();
        Some(match freshest {
            Held::Plain(value, _) => FoundValue::Plain(value.to_vec(), expiration),
            Held::Dictionary(entries) => FoundValue::Dictionary(entries.encode(), expiration),
        })
    }
}
