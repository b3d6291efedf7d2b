//! Values that were found are kept, offered to whoever lacks them, and refreshed before they expire if they are asked
//! for; searches for one key at the same time are one (`hivemind/dht/node.py`, `get_many_by_id`, `_cache_new_result`,
//! `_update_cache_on_store`, `_refresh_stale_cache_entries`).
//!
//! [`Node::get`] is content with any value that lives long enough, so it is answered from the storage or the cache
//! where it can be. [`Node::lookup`] and the search of a store never are: what they find is what others hold now.
//!
//! Differences from the original, each on purpose:
//! - everything under way or waiting is bounded;
//! - a value is offered to the nearest node that answered without it; the original only leaves out the one that told
//!   it, and sends it to nodes that have it;
//! - a store of a subkey updates a cached dictionary, and does not have it searched for again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use libp2p::PeerId;

use super::{
    Node, Purpose, TaskId,
    tasks::{Task, Work},
};
use crate::{
    dht::{
        DhtId, Found, FreshValue, Request, Row, StoreReport, Tag, lookup::Lookup, replication::Replication,
    },
    time::DhtTime,
};

/// Calls under way at once that offer values. Further offers are left out.
const MAX_OFFERS: usize = 32;

/// Bytes of one offer. A larger value is left to those who hold it.
const OFFER_BYTES: usize = 256 * 1024;

/// Keys that wait to be refreshed.
const MAX_REFRESHES: usize = 4096;

/// Keys of one refresh, the original's `chunk_size`.
const REFRESHED_AT_ONCE: usize = 16;

/// What is cached, and when. The defaults are the original's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caching {
    /// Whether found values are kept.
    pub locally: bool,
    /// How many of the nodes nearest to a key are offered a value that they lack.
    pub nearest: usize,
    /// Whether a store updates what is cached.
    pub on_store: bool,
    /// How long before its expiration a cached value that was asked for is searched for again; zero for never.
    pub refresh_before_expiry: Duration,
    /// Whether gets of one key at the same time share a search.
    pub reuse_searches: bool,
}

impl Default for Caching {
    fn default() -> Self {
        Self {
            locally: true,
            nearest: 1,
            on_store: true,
            refresh_before_expiry: Duration::from_secs(5),
            reuse_searches: true,
        }
    }
}

impl Caching {
    /// Nothing is kept, offered or shared: for whoever only looks, and must leave no trace.
    pub fn off() -> Self {
        let refresh_before_expiry = Duration::ZERO;
        Self { locally: false, nearest: 0, on_store: false, refresh_before_expiry, reuse_searches: false }
    }
}

/// A get under way.
#[derive(Debug)]
pub(super) struct Get {
    pub(super) lookup: Lookup,
    found: HashMap<DhtId, Found>,
    /// Keys that another task is searching for.
    awaited: BTreeSet<DhtId>,
    sufficient: DhtTime,
}

impl Get {
    pub(super) fn is_over(&self) -> bool {
        self.awaited.is_empty() && self.lookup.is_over()
    }

    fn finish(self) -> HashMap<DhtId, Found> {
        let mut found = self.found;
        found.extend(self.awaited.into_iter().map(|key| (key, Found::default())));
        found.extend(self.lookup.finish());
        found
    }
}

/// Which searches are shared, and what is to be refreshed.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// Who searches for a key, if others may wait for it.
    searching: HashMap<DhtId, TaskId>,
    /// Who waits for which keys of a task.
    followers: HashMap<TaskId, Vec<(TaskId, DhtId)>>,
    refreshes: BTreeMap<DhtId, DhtTime>,
    offers: usize,
}

impl Node {
    /// Searches for values that live until `sufficient` at least, or are alive at all. What we hold or have cached is
    /// good enough; a search ends for each key with the first value that is. Of a key that is not searched for, no
    /// nearest nodes are told.
    pub fn get(
        &mut self,
        keys: impl IntoIterator<Item = DhtId>,
        sufficient: Option<DhtTime>,
        now: DhtTime,
    ) -> TaskId {
        let sufficient = sufficient.unwrap_or(now);
        let (mut found, mut awaited, mut searched) = (HashMap::new(), BTreeMap::new(), Vec::new());
        for key in keys.into_iter().collect::<BTreeSet<DhtId>>() {
            if let Some(value) = self.known(&key, now).filter(|value| value.expiration() >= Some(sufficient))
            {
                self.refresh_in_time(key, &value);
                found.insert(key, Found { value: Some(value), nearest: Vec::new() });
            } else if let Some(other) = self.sharing.searching.get(&key).copied()
                && self.suits(other, sufficient)
            {
                awaited.insert(key, other);
            } else {
                searched.push(key);
            }
        }
        let lookup = self.search(searched.iter().copied(), now).until(sufficient);
        let get = Get { lookup, found, awaited: awaited.keys().copied().collect(), sufficient };
        let task = self.start(Work::Get(get), now);
        for (key, other) in awaited {
            self.sharing.followers.entry(other).or_default().push((task, key));
        }
        self.share(task, searched);
        self.advance(task, now);
        task
    }

    /// From now on others may wait for what `task` finds.
    pub(super) fn share(&mut self, task: TaskId, keys: impl IntoIterator<Item = DhtId>) {
        if self.caching.reuse_searches && self.tasks.contains_key(&task) {
            for key in keys {
                self.sharing.searching.entry(key).or_insert(task);
            }
        }
    }

    /// Whether the search of `task` ends with no less than a value that lives until `sufficient`.
    fn suits(&self, task: TaskId, sufficient: DhtTime) -> bool {
        match self.tasks.get(&task).map(|task| &task.work) {
            Some(Work::Get(get)) => get.sufficient >= sufficient,
            Some(Work::Lookup(_)) => true,
            _ => false,
        }
    }

    /// What the storage and the cache have between them.
    fn known(&mut self, key: &DhtId, now: DhtTime) -> Option<FreshValue> {
        let mut known = Lookup::new([*key], |_| Vec::new());
        for storage in [&mut self.storage, &mut self.cache] {
            if let Some(held) = storage.get(key, now) {
                known.offer(*key, held.to_fresh());
            }
        }
        known.finish().remove(key).and_then(|found| found.value)
    }

    /// A lookup or a get has ended: what it found is cached, and is told to those who wait for it.
    pub(super) fn found(&mut self, task: TaskId, work: Work, now: DhtTime) -> HashMap<DhtId, Found> {
        let (caching, refreshes) = (self.caching.clone(), matches!(work, Work::RefreshCache(_)));
        let found = match work {
            Work::Get(get) => {
                self.keep(&get.lookup, caching.locally, now);
                get.finish()
            }
            Work::Lookup(lookup) | Work::RefreshCache(lookup) => {
                self.keep(&lookup, caching.locally || refreshes, now);
                lookup.finish()
            }
            Work::Ping | Work::Through(_) | Work::Refresh(_) | Work::Locate(..) | Work::Replicate(_) => {
                HashMap::new()
            }
        };
        self.sharing.searching.retain(|_, searcher| *searcher != task);
        let followers = self.sharing.followers.remove(&task).unwrap_or_default();
        for (follower, key) in &followers {
            if let Some(Task { work: Work::Get(get), .. }) = self.tasks.get_mut(follower)
                && get.awaited.remove(key)
            {
                get.found.insert(*key, found.get(key).cloned().unwrap_or_default());
            }
        }
        let followers: BTreeSet<TaskId> = followers.into_iter().map(|(follower, _)| follower).collect();
        for follower in followers {
            self.advance(follower, now);
        }
        found
    }

    /// Caches what is fresher than what we have, and offers it to the nearest nodes that lack it.
    fn keep(&mut self, lookup: &Lookup, locally: bool, now: DhtTime) {
        let mut offers: BTreeMap<PeerId, (Vec<Row>, usize)> = BTreeMap::new();
        for (key, value) in lookup.values() {
            let held = [self.storage.peek(key), self.cache.peek(key)];
            let held = held.into_iter().flatten().map(|held| held.expiration()).max();
            if value.expiration() <= held {
                continue;
            }
            if locally {
                self.cache_value(key, value, now);
            }
            let mut lacking = lookup.lacking(key).take(self.caching.nearest).peekable();
            if lacking.peek().is_none() {
                continue;
            }
            let row = row_of(key, value);
            for peer in lacking {
                let (rows, bytes) = offers.entry(peer).or_default();
                if *bytes + row.value.len() <= OFFER_BYTES {
                    *bytes += row.value.len();
                    rows.push(row.clone());
                }
            }
        }
        for (peer, (rows, _)) in offers {
            if !rows.is_empty() && self.sharing.offers < MAX_OFFERS && self.calls.len() < super::MAX_CALLS {
                self.sharing.offers += 1;
                self.call(peer, Request::Store { sender: self.sender(), rows }, Purpose::Offer);
            }
        }
    }

    pub(super) fn offer_ended(&mut self) {
        self.sharing.offers -= 1;
    }

    /// What does not fit into the cache, or is no fresher than what is there, is left out.
    fn cache_value(&mut self, key: &DhtId, value: &FreshValue, now: DhtTime) {
        match value {
            FreshValue::Plain(item) if !self.may_cache(key, None, item, now) => {}
            FreshValue::Plain(item) => {
                let _ = self.cache.store(*key, &item.value, item.expiration, None, now);
            }
            FreshValue::Dictionary(entries) => {
                for (subkey, item) in entries.iter() {
                    if !self.may_cache(key, Some(subkey), item, now) {
                        continue;
                    }
                    let _ = self.cache.store_subkey(*key, subkey, &item.value, item.expiration, None, now);
                }
            }
        }
    }

    /// A store has ended: the cache is to tell nothing older.
    pub(super) fn stored(&mut self, replication: &Replication, report: &StoreReport, now: DhtTime) {
        if !self.caching.on_store {
            return;
        }
        for (record, outcome) in replication.records().zip(&report.records) {
            let accepted = !outcome.acknowledged.is_empty() || outcome.held_here;
            let cached = self.cache.peek(&record.key).map(|held| held.expiration());
            match &record.tag {
                Tag::Plain if accepted && outcome.refused.is_empty() => {
                    let _ = self.cache.store(record.key, &record.value, record.expiration, None, now);
                }
                Tag::Plain if cached.is_some_and(|cached| cached <= record.expiration) => {
                    // Others hold something fresher than both.
                    self.refresh_at(record.key, now);
                }
                Tag::Subkey(subkey) if accepted && cached.is_some() => {
                    let (key, expiration) = (record.key, record.expiration);
                    let _ = self.cache.store_subkey(key, subkey, &record.value, expiration, None, now);
                }
                Tag::Plain | Tag::Subkey(_) | Tag::Dictionary => {}
            }
        }
    }

    /// A cached value was asked for: it is searched for again before it expires.
    fn refresh_in_time(&mut self, key: DhtId, value: &FreshValue) {
        let before = self.caching.refresh_before_expiry;
        if before > Duration::ZERO
            && let Some(expiration) = value.expiration()
            && self.cache.peek(&key).is_some_and(|cached| cached.expiration() >= expiration)
        {
            self.refresh_at(key, expiration - before);
        }
    }

    fn refresh_at(&mut self, key: DhtId, at: DhtTime) {
        let refreshes = &mut self.sharing.refreshes;
        if refreshes.len() < MAX_REFRESHES || refreshes.contains_key(&key) {
            refreshes.insert(key, at);
        }
    }

    /// Searches for what is about to expire.
    pub(super) fn refresh_cache(&mut self, now: DhtTime) {
        let due = self.sharing.refreshes.iter().filter(|(_, at)| **at <= now).map(|(key, _)| *key);
        let due: Vec<DhtId> = due.take(REFRESHED_AT_ONCE).collect();
        let mut latest = None;
        for key in &due {
            self.sharing.refreshes.remove(key);
            latest = latest.max(self.cache.peek(key).map(|held| held.expiration()));
        }
        // What has left the cache in the meantime was not worth it.
        let Some(latest) = latest else { return };
        let sufficient = latest + self.caching.refresh_before_expiry + Duration::from_secs(1);
        let lookup = self.search(due, now).until(sufficient);
        let task = self.start(Work::RefreshCache(lookup), now);
        self.advance(task, now);
    }

    /// Whether nobody searches for others, and nobody waits for others.
    #[cfg(test)]
    pub(super) fn sharing_is_empty(&self) -> (bool, bool) {
        (self.sharing.searching.is_empty(), self.sharing.followers.is_empty())
    }

    /// The time has leapt: what was to be refreshed then is refreshed when it is asked for again.
    pub(super) fn forget_refreshes(&mut self) {
        self.sharing.refreshes.clear();
    }
}

/// A value as it goes into the cache of another node.
fn row_of(key: &DhtId, value: &FreshValue) -> Row {
    let expiration = value.expiration().map_or(0.0, DhtTime::as_unix);
    let (tag, value) = match value {
        FreshValue::Plain(item) => (Tag::Plain, item.value.clone()),
        FreshValue::Dictionary(entries) => (Tag::Dictionary, entries.encode().into()),
    };
    Row { key: key.as_bytes().to_vec(), tag: tag.encode(), value, expiration, in_cache: true }
}
