//! Who waits for which connection, and how far each attempt is. Data only: the driver dials and looks up.

use std::collections::{HashMap, HashSet, VecDeque};

use futures::channel::oneshot;
use hivemind_proto::unary::{CallError, OutboundCall};
use libp2p::{PeerId, kad::QueryId};

use super::messages::ConnectError;

/// Someone who waits for a connection.
#[derive(Debug)]
pub(super) enum Waiter {
    Call(OutboundCall),
    Connect(oneshot::Sender<Result<(), ConnectError>>),
}

impl Waiter {
    fn is_cancelled(&self) -> bool {
        match self {
            Self::Call(call) => call.reply.is_canceled(),
            Self::Connect(reply) => reply.is_canceled(),
        }
    }

    pub(super) fn refuse_busy(self) {
        match self {
            Self::Call(call) => drop(call.reply.send(Err(CallError::Busy))),
            Self::Connect(reply) => drop(reply.send(Err(ConnectError::Busy))),
        }
    }

    fn fail(self, cause: &str) {
        match self {
            Self::Call(call) => drop(call.reply.send(Err(CallError::Unreachable(cause.to_owned())))),
            Self::Connect(reply) => drop(reply.send(Err(ConnectError::Unreachable(cause.to_owned())))),
        }
    }
}

/// What an attempt does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Somebody dials: we, or Kademlia.
    Dialing,
    /// The dial failed, or there was nothing to dial: a lookup is due.
    Due,
    LookingUp(QueryId),
}

#[derive(Debug)]
struct Attempt {
    stage: Stage,
    /// Each attempt looks up once.
    looked_up: bool,
    waiters: Vec<Waiter>,
    /// Why the last dial failed.
    cause: String,
}

/// The attempts under way, one a peer.
#[derive(Debug)]
pub(super) struct Dialer {
    attempts: HashMap<PeerId, Attempt>,
    /// Peers whose lookup is due, in the order of their coming.
    due: VecDeque<PeerId>,
    lookups: HashMap<QueryId, PeerId>,
    waiting: usize,
    limits: DialerLimits,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct DialerLimits {
    /// Peers that are being connected to.
    pub(super) attempts: usize,
    /// Those who wait, for all peers together.
    pub(super) waiters: usize,
    /// Lookups at once.
    pub(super) lookups: usize,
}

/// What is to be done after a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Dial the peer.
    Dial,
    /// Others will go on.
    Nothing,
}

impl Dialer {
    pub(super) fn new(limits: DialerLimits) -> Self {
        let (attempts, due, lookups) = (HashMap::new(), VecDeque::new(), HashMap::new());
        Self { attempts, due, lookups, waiting: 0, limits }
    }

    pub(super) fn attempts(&self) -> usize {
        self.attempts.len()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn lookups(&self) -> usize {
        self.lookups.len()
    }

    /// Somebody wants to be connected to `peer`. The first one starts an attempt, and the others share
    /// it.
    pub(super) fn wait(&mut self, peer: PeerId, waiter: Waiter) -> Next {
        let full = self.waiting >= self.limits.waiters;
        let known = self.attempts.contains_key(&peer);
        if full || (!known && self.attempts.len() >= self.limits.attempts) {
            waiter.refuse_busy();
            return Next::Nothing;
        }
        self.waiting += 1;
        let attempt = self.attempts.entry(peer).or_insert_with(|| Attempt {
            stage: Stage::Dialing,
            looked_up: false,
            waiters: Vec::new(),
            cause: String::new(),
        });
        attempt.waiters.push(waiter);
        if known { Next::Nothing } else { Next::Dial }
    }

    /// There is a connection: those who waited for it.
    pub(super) fn connected(&mut self, peer: &PeerId) -> (Vec<Waiter>, Option<QueryId>) {
        let Some(attempt) = self.attempts.remove(peer) else { return (Vec::new(), None) };
        self.waiting -= attempt.waiters.len();
        let lookup = match attempt.stage {
            Stage::LookingUp(id) => self.lookups.remove(&id).map(|_| id),
            Stage::Dialing | Stage::Due => None,
        };
        (attempt.waiters, lookup)
    }

    /// A dial of `peer` failed. Before the lookup that makes one due, after it the attempt fails. A
    /// dial that fails during the lookup is Kademlia's own, and changes nothing.
    pub(super) fn dial_failed(&mut self, peer: &PeerId, cause: String) {
        let Some(attempt) = self.attempts.get_mut(peer) else { return };
        if attempt.stage != Stage::Dialing {
            attempt.cause = cause;
            return;
        }
        if attempt.looked_up {
            self.fail(peer, &cause);
        } else {
            attempt.cause = cause;
            attempt.stage = Stage::Due;
            self.due.push_back(*peer);
        }
    }

    /// The next peer whose lookup may begin.
    pub(super) fn next_lookup(&mut self) -> Option<PeerId> {
        while self.lookups.len() < self.limits.lookups {
            let peer = self.due.pop_front()?;
            if self.attempts.get(&peer).is_some_and(|attempt| attempt.stage == Stage::Due) {
                return Some(peer);
            }
        }
        None
    }

    pub(super) fn lookup_begun(&mut self, peer: PeerId, id: QueryId) {
        if let Some(attempt) = self.attempts.get_mut(&peer) {
            attempt.stage = Stage::LookingUp(id);
            attempt.looked_up = true;
            self.lookups.insert(id, peer);
        }
    }

    /// A lookup is over: whose it was. What it found is to be dialled, or the attempt to be failed.
    pub(super) fn lookup_over(&mut self, id: QueryId) -> Option<PeerId> {
        let peer = self.lookups.remove(&id)?;
        if let Some(attempt) = self.attempts.get_mut(&peer) {
            attempt.stage = Stage::Dialing;
        }
        Some(peer)
    }

    /// Whether a lookup of `peer` was made in this attempt.
    #[cfg(test)]
    pub(super) fn has_looked_up(&self, peer: &PeerId) -> bool {
        self.attempts.get(peer).is_some_and(|attempt| attempt.looked_up)
    }

    /// The attempt ends here, for all who wait.
    pub(super) fn fail(&mut self, peer: &PeerId, cause: &str) {
        let Some(attempt) = self.attempts.remove(peer) else { return };
        self.waiting -= attempt.waiters.len();
        let cause = if cause.is_empty() { &attempt.cause } else { cause };
        for waiter in attempt.waiters {
            waiter.fail(cause);
        }
    }

    /// Forgets those who do not wait any more: the lookups that nobody needs are returned.
    pub(super) fn forget_cancelled(&mut self) -> Vec<QueryId> {
        let mut unneeded = HashSet::new();
        self.attempts.retain(|_, attempt| {
            attempt.waiters.retain(|waiter| !waiter.is_cancelled());
            if let (Stage::LookingUp(id), true) = (attempt.stage, attempt.waiters.is_empty()) {
                unneeded.insert(id);
            }
            !attempt.waiters.is_empty()
        });
        self.waiting = self.attempts.values().map(|attempt| attempt.waiters.len()).sum();
        self.due.retain(|peer| self.attempts.contains_key(peer));
        self.lookups.retain(|id, _| !unneeded.contains(id));
        unneeded.into_iter().collect()
    }
}
