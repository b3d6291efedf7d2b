//! What one task of one node took, seen from outside: by the calls that it made.

use std::collections::{HashMap, HashSet};

use hivemind_proto::dht::{DhtId, FindResult, Request};
use libp2p::PeerId;

/// What a call and its answer take beside their messages: p2pd's envelope (a call id, the peer, the handler's name), the
/// negotiation of the stream, and yamux's headers.
const CALL_OVERHEAD_BYTES: usize = 170;
const ANSWER_OVERHEAD_BYTES: usize = 100;

/// Everything that one task did so far.
///
/// A *round* is a step of the search: whoever the node knew when it began is asked in the first round, whoever an answer
/// of round n named first is asked in round n + 1 at the earliest.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    keys: HashSet<DhtId>,
    /// In which round each peer can be asked.
    known: HashMap<PeerId, u32>,
    /// The last round in which somebody was asked.
    pub(crate) rounds: u32,
    /// The round whose answers brought the first value.
    pub(crate) found_in: Option<u32>,
    pub(crate) finds: u32,
    pub(crate) stores: u32,
    pub(crate) failures: u32,
    /// Calls for which a connection had to be made.
    pub(crate) dials: u32,
    /// Of calls and answers, both ways.
    pub(crate) bytes: u64,
}

impl Trace {
    /// Of a task for `keys`, of a node that knows `start`.
    pub(crate) fn new(keys: HashSet<DhtId>, start: impl Iterator<Item = PeerId>) -> Self {
        Self { keys, known: start.map(|peer| (peer, 1)).collect(), ..Self::default() }
    }

    /// Whether the task is what a call is for.
    pub(crate) fn concerns(&self, request: &Request) -> bool {
        match request {
            Request::Ping { .. } => false,
            Request::Find { keys, .. } => keys.iter().any(|key| self.keys.contains(key)),
            Request::Store { rows, .. } => {
                let mut keys = rows.iter().filter_map(|row| DhtId::from_bytes(&row.key));
                keys.any(|key| self.keys.contains(&key))
            }
        }
    }

    pub(crate) fn called(&mut self, peer: &PeerId, request: &Request, bytes: usize, dialed: bool) {
        match request {
            Request::Find { .. } => {
                self.finds += 1;
                self.rounds = self.rounds.max(self.round_of(peer));
            }
            _ => self.stores += 1,
        }
        self.dials += u32::from(dialed);
        self.bytes += (bytes + CALL_OVERHEAD_BYTES) as u64;
    }

    pub(crate) fn answered(&mut self, peer: &PeerId, results: &[FindResult], bytes: usize) {
        self.bytes += (bytes + ANSWER_OVERHEAD_BYTES) as u64;
        let round = self.round_of(peer);
        for result in results {
            for neighbour in &result.neighbours {
                let known = self.known.entry(neighbour.peer).or_insert(round + 1);
                *known = (*known).min(round + 1);
            }
        }
        if results.iter().any(|result| result.value.is_some()) {
            self.found_in.get_or_insert(round);
        }
    }

    fn round_of(&self, peer: &PeerId) -> u32 {
        self.known.get(peer).copied().unwrap_or(1)
    }

    pub(crate) fn calls(&self) -> u32 {
        self.finds + self.stores
    }
}
