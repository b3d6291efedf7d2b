//! Storing many records at the nodes nearest to their keys, as many records in one call as fit
//! (`hivemind/dht/node.py`, `store_many`; the original makes a call for each key and replica, and takes a node that
//! refuses for one that holds).

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
};

use libp2p::PeerId;

use super::{DhtId, Found, Item, Row, Tag};
use crate::time::DhtTime;

/// How many other nodes are to hold each record. Our own copy is none of them: it is gone when we are. The original
/// counts it (`num_replicas`).
pub const REPLICAS: usize = 5;

/// Bytes of records in one call: far below the 4 MiB that a Python peer takes at most.
const BYTES_PER_CALL: usize = 1024 * 1024;

/// Rows in one call. A Python peer handles each in some 20 µs, and should answer well within its deadline.
const ROWS_PER_CALL: usize = 2000;

/// What a row takes on the wire beside its value and tag: the key, the expiration and the lengths.
const ROW_OVERHEAD_BYTES: usize = 48;

/// A record to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The key's id.
    pub key: DhtId,
    /// Plain, or the subkey of a dictionary.
    pub tag: Tag,
    /// The msgpack form.
    pub value: Arc<[u8]>,
    /// How long it is to be held.
    pub expiration: DhtTime,
}

impl From<&Record> for Row {
    fn from(record: &Record) -> Self {
        Self {
            key: record.key.as_bytes().to_vec(),
            tag: record.tag.encode(),
            value: record.value.clone(),
            expiration: record.expiration.as_unix(),
            in_cache: false,
        }
    }
}

/// What became of one record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecordOutcome {
    /// The other peers that said they hold it now.
    pub acknowledged: Vec<PeerId>,
    /// The other peers that said they hold something fresher, or do not want it.
    pub refused: Vec<PeerId>,
    /// The other peers that did not answer.
    pub failed: Vec<PeerId>,
    /// Whether we hold it too, as we do when we are among the [`REPLICAS`] nodes nearest to its key. It counts for
    /// nothing.
    pub held_here: bool,
    /// What stood in its place before: the freshest of what others, or we, held there.
    pub found: Option<Item>,
}

/// What became of a store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoreReport {
    /// One for each record, in their order.
    pub records: Vec<RecordOutcome>,
    /// How many calls it took.
    pub calls: usize,
    /// Whether there was no other node at all to store to.
    pub alone: bool,
}

impl StoreReport {
    /// Whether every record was acknowledged by at least one other peer.
    pub fn is_success(&self) -> bool {
        self.records.iter().all(|record| !record.acknowledged.is_empty())
    }
}

/// Where a record goes next.
#[derive(Debug)]
struct Progress {
    record: Record,
    /// Nodes that may hold it and have not been asked, nearest first.
    candidates: VecDeque<Candidate>,
    outcome: RecordOutcome,
    under_way: usize,
}

#[derive(Debug, Clone, Copy)]
enum Candidate {
    Ourselves,
    Peer(PeerId),
}

impl Progress {
    /// How many more nodes are to be asked now. Whoever refused because it holds what lives longer has the place: the
    /// original goes on to farther nodes then, and leaves the older value beside the fresher one.
    fn wants(&self) -> usize {
        let found = self.outcome.found.as_ref();
        let outlived = found.is_some_and(|found| found.expiration >= self.record.expiration);
        let refused = if outlived { self.outcome.refused.len() } else { 0 };
        REPLICAS.saturating_sub(self.outcome.acknowledged.len() + refused + self.under_way)
    }
}

/// A store under way, after its lookup.
#[derive(Debug)]
pub(super) struct Replication {
    records: Vec<Progress>,
    ready: VecDeque<(PeerId, Vec<usize>)>,
    calls: usize,
    under_way: usize,
    alone: bool,
}

impl Replication {
    /// Plans the first calls. `located` is what the lookup of the keys brought; `own` is our place among the nodes,
    /// `None` for a client, which holds nothing.
    pub(super) fn new(records: Vec<Record>, located: &HashMap<DhtId, Found>, own: Option<DhtId>) -> Self {
        let mut alone = true;
        let progress = |record: Record| {
            let located = located.get(&record.key);
            let peers = located.map(|found| found.nearest.as_slice()).unwrap_or_default();
            let found = located.and_then(|found| found.in_place_of(&record.tag)).cloned();
            alone &= peers.is_empty();
            let mut ranked: Vec<_> =
                peers.iter().map(|c| (c.id.distance(&record.key), Candidate::Peer(c.peer))).collect();
            ranked.extend(own.map(|own| (own.distance(&record.key), Candidate::Ourselves)));
            ranked.sort_by_key(|(distance, _)| *distance);
            let candidates = ranked.into_iter().map(|(_, candidate)| candidate).collect();
            let outcome = RecordOutcome { found, ..RecordOutcome::default() };
            Progress { record, candidates, outcome, under_way: 0 }
        };
        let records = records.into_iter().map(progress).collect();
        Self { records, ready: VecDeque::new(), calls: 0, under_way: 0, alone }
    }

    /// Records that we are to hold ourselves are given to `hold`, which says whether we do.
    /// Afterwards [`Self::next_call`] gives the calls that are due.
    pub(super) fn plan(&mut self, mut hold: impl FnMut(&Record) -> bool) {
        let mut wishes: BTreeMap<PeerId, Vec<usize>> = BTreeMap::new();
        for (index, progress) in self.records.iter_mut().enumerate() {
            while progress.wants() > 0
                && let Some(candidate) = progress.candidates.pop_front()
            {
                match candidate {
                    Candidate::Ourselves => progress.outcome.held_here = hold(&progress.record),
                    Candidate::Peer(peer) => {
                        progress.under_way += 1;
                        wishes.entry(peer).or_default().push(index);
                    }
                }
            }
        }
        for (peer, indexes) in wishes {
            for batch in self.batches(indexes) {
                self.ready.push_back((peer, batch));
            }
        }
    }

    fn batches(&self, indexes: Vec<usize>) -> Vec<Vec<usize>> {
        let mut batches: Vec<Vec<usize>> = Vec::new();
        let mut bytes = usize::MAX;
        for index in indexes {
            let record = &self.records[index].record;
            let size = record.value.len() + record.tag.encode().len() + ROW_OVERHEAD_BYTES;
            match batches.last_mut() {
                Some(batch) if bytes + size <= BYTES_PER_CALL && batch.len() < ROWS_PER_CALL => {
                    batch.push(index);
                    bytes += size;
                }
                _ => {
                    batches.push(vec![index]);
                    bytes = size;
                }
            }
        }
        batches
    }

    /// The next call that is due: whom to call, and which records to send.
    pub(super) fn next_call(&mut self) -> Option<(PeerId, Vec<usize>)> {
        let call = self.ready.pop_front()?;
        self.calls += 1;
        self.under_way += 1;
        Some(call)
    }

    /// The rows of a call.
    pub(super) fn rows(&self, indexes: &[usize]) -> Vec<Row> {
        indexes.iter().map(|index| Row::from(&self.records[*index].record)).collect()
    }

    /// Takes in the answer to a call.
    pub(super) fn answered(&mut self, peer: PeerId, indexes: &[usize], stored: &[bool]) {
        self.under_way -= 1;
        for (index, stored) in indexes.iter().zip(stored) {
            let progress = &mut self.records[*index];
            progress.under_way -= 1;
            let list = match stored {
                true => &mut progress.outcome.acknowledged,
                false => &mut progress.outcome.refused,
            };
            list.push(peer);
        }
    }

    /// Notes that a call failed. The peer is not asked for other records either.
    pub(super) fn failed(&mut self, peer: PeerId, indexes: &[usize]) {
        self.under_way -= 1;
        let failed: HashSet<&usize> = indexes.iter().collect();
        for (index, progress) in self.records.iter_mut().enumerate() {
            if failed.contains(&index) {
                progress.under_way -= 1;
                progress.outcome.failed.push(peer);
            }
            progress
                .candidates
                .retain(|candidate| !matches!(candidate, Candidate::Peer(other) if *other == peer));
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.under_way == 0 && self.ready.is_empty()
    }

    /// What is being stored.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().map(|progress| &progress.record)
    }

    pub(super) fn report(&self) -> StoreReport {
        let records = self.records.iter().map(|progress| progress.outcome.clone()).collect();
        StoreReport { records, calls: self.calls, alone: self.alone }
    }
}
