//! `[dht]`: what we hold for others, and what of it we accept.

use std::num::NonZeroU32;
use std::time::Duration;

use hivemind_proto::dht::Acceptance;
use hivemind_proto::dht::storage::Limits;

use super::section::Section;
use super::values::{boolean, bytes, count_up_to, duration};

/// The largest call of a Python peer is 4 MiB; no value can be larger.
const LARGEST_VALUE: u64 = 4 << 20;
/// Keys that can be told apart in a reasonable amount of memory.
const MOST_KEYS: u32 = 100_000_000;
/// So many entries in the smallest form do not fit into one answer any more.
const MOST_SUBKEYS: u32 = 1_000_000;
/// Nobody announces for longer, and nothing that is held for longer could be replaced in time.
const LONGEST_HORIZON: Duration = Duration::from_secs(7 * 24 * 3600);
/// Below, not even the records of one model find room.
const LEAST_BYTES: u64 = 1 << 20;

/// `[dht]`
#[derive(Debug, Clone)]
pub(crate) struct Dht {
    /// Bounds of what we hold for others.
    pub(crate) storage: Limits,
    /// Bounds of what others ask us to cache.
    pub(crate) cache: Limits,
    /// Which records we accept.
    pub(crate) acceptance: Acceptance,
}

impl Dht {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let horizon = section.take("horizon", duration);
        let max_keys = section.take("max_keys", count_up_to(MOST_KEYS));
        let max_subkeys = section.take("max_subkeys", count_up_to(MOST_SUBKEYS));
        let max_value = section.take("max_value", bytes);
        let max_bytes = section.take("max_bytes", bytes);
        let max_bytes_per_peer = section.take("max_bytes_per_peer", bytes);
        let cache = section.take("cache", bytes);
        let signatures = section.take("signatures", boolean);
        let first_hand = section.take("first_hand", boolean);

        if horizon.is_some_and(|horizon| horizon > LONGEST_HORIZON) {
            section.wrong("horizon", "is more than a week", "nobody renews records that seldom: lower it");
        }
        if max_value.is_some_and(|value| value > LARGEST_VALUE) {
            section.wrong("max_value", "is more than a peer can send", "expected 4MiB at most");
        }
        for (key, size) in [("max_bytes", max_bytes), ("cache", cache)] {
            if size.is_some_and(|size| size < LEAST_BYTES) {
                section.wrong(key, "is less than one model's records take", "expected 1MiB at least");
            }
        }
        if let (Some(all), Some(one)) = (max_bytes, max_bytes_per_peer)
            && one > all
        {
            let what = "is more than dht.max_bytes, so it never limits";
            section.wrong("max_bytes_per_peer", what, "lower it");
        }
        if let (Some(value), Some(one)) = (max_value, max_bytes_per_peer)
            && value > one
        {
            let what = "is less than dht.max_value, so that nobody could store the largest value";
            section.wrong("max_bytes_per_peer", what, "raise it");
        }
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let count = |count: NonZeroU32| usize::try_from(count.get()).unwrap_or(usize::MAX);
        let (horizon, max_subkeys, value_bytes) = (horizon?, count(max_subkeys?), size(max_value?));
        let limits = |limits: Limits| Limits { subkeys: max_subkeys, value_bytes, horizon, ..limits };
        let cache = size(cache?);
        Some(Self {
            storage: limits(Limits {
                keys: count(max_keys?),
                total_bytes: size(max_bytes?),
                peer_bytes: size(max_bytes_per_peer?),
                ..Limits::default()
            }),
            cache: limits(Limits { total_bytes: cache, peer_bytes: cache / 2, ..Limits::of_cache() }),
            acceptance: Acceptance { signatures: signatures?, first_hand: first_hand? },
        })
    }
}
