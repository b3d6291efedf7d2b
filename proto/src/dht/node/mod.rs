//! One node of the DHT, without any input or output of its own.
//!
//! Whoever drives it hands in requests ([`Node::request`]), the outcomes of calls ([`Node::call_ended`]) and the time
//! ([`Node::tick`], [`Node::evict`]), starts tasks ([`Node::ping`], [`Node::lookup`], [`Node::store`]), and carries out the
//! [`Effect`]s. Every call ends, with an answer or a failure: deadlines of calls are the driver's, deadlines of whole
//! tasks are kept here.

mod answers;
mod caching;
mod find;
mod handover;
mod hold;
mod serve;
mod tasks;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use libp2p::PeerId;
use rand::{SeedableRng, rngs::SmallRng};
use serde::Serialize;

pub use caching::Caching;

use super::{
    DhtId, Found, Refusals, Request, Response, RoutingTable, Storage, StoreReport,
    blacklist::Blacklist,
    hearsay::Hearsay,
    routing::{Contact, Heard},
    storage,
    validators::SignatureValidator,
};
use crate::time::DhtTime;

/// How long a whole lookup may take before it ends with what it has. Hivemind's call deadline is 3 s; this covers
/// five rounds of calls that all run into it.
pub const TASK_DEADLINE: Duration = Duration::from_secs(15);

/// A bucket in which nobody was heard of for so long is refreshed by a search within it.
pub const REFRESH_PERIOD: Duration = Duration::from_secs(600);

/// Until the first refresh, which is of every bucket: whoever has just joined knows little but its own neighbourhood, and
/// not those of it who joined at the same moment. Its first announcements are through by then; and initial peers that are
/// in different swarms have been noticed (after three minutes), whom such searches bring together.
const FIRST_REFRESH: Duration = Duration::from_secs(240);

/// Nodes that are called back at once because of validated pings. Beyond, the caller is told that it is not available,
/// and a Python node then refuses to start: so many may join in the same moment, as after a restart of ours. Half of
/// [`MAX_CALLS`] is left to everything else.
pub const MAX_CALL_BACKS: usize = 256;

/// Pings that wait for one call-back: all that a connection carries at once.
pub const MAX_PINGS_A_CALL_BACK: usize = 1024;

/// Calls under way at once. The calls of tasks wait for one to end; checks and call-backs beyond are left out.
pub const MAX_CALLS: usize = 512;

/// Tasks under way at once. Beyond, a task ends at once with nothing.
pub const MAX_TASKS: usize = 1024;

/// Checks of members under way at once, of which each ends within the deadline of a call.
const MAX_CHECKS: usize = 64;

/// A member of whom nothing was heard for so long is asked whether it is still there. The original keeps it until a
/// search runs into it.
const SILENCE: Duration = Duration::from_secs(600);

/// Silent members that are asked in one tick: a table of a thousand is gone through within that time.
const CHECKS_PER_TICK: usize = 4;

/// What a node is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its place in the key space.
    pub id: DhtId,
    /// A client is put in no routing table and holds nothing for others.
    pub client_mode: bool,
    /// Bounds of what it holds for others.
    pub storage: storage::Limits,
    /// Bounds of what others ask it to cache.
    pub cache: storage::Limits,
    /// Which records it accepts, beyond what their form decides.
    pub acceptance: Acceptance,
    /// What it caches of what it finds.
    pub caching: Caching,
    /// Seed of its choices.
    pub seed: u64,
}

/// Which records a node accepts, beyond what their form decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acceptance {
    /// Records with an owner need the owner's signature: see [`super::validators`].
    pub signatures: bool,
    /// What a peer says of itself counts for more than what others say of it: see the module `hearsay`.
    pub first_hand: bool,
}

impl Acceptance {
    /// Anything from anybody, as the original accepts it with its defaults.
    pub const ANYTHING: Self = Self { signatures: false, first_hand: false };
}

impl Default for Acceptance {
    fn default() -> Self {
        Self { first_hand: true, ..Self::ANYTHING }
    }
}

/// Names a call that the driver makes for the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallId(u64);

/// Names a task that the driver started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

/// Names a request that waits for its answer; the driver chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InboundId(pub u64);

/// What the driver is to do.
#[derive(Debug)]
pub enum Effect {
    /// Call `peer`, and report the end through [`Node::call_ended`].
    Call {
        /// Names the call.
        call: CallId,
        /// Whom to call.
        peer: PeerId,
        /// What to ask.
        request: Request,
    },
    /// Answer a request.
    Answer {
        /// Names the request.
        inbound: InboundId,
        /// What to answer.
        response: Response,
    },
    /// A task has ended.
    Done {
        /// Names the task.
        task: TaskId,
        /// What came of it.
        outcome: Outcome,
    },
}

/// What came of a task.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Of a ping.
    Ping(Result<Pong, CallFailure>),
    /// Of a lookup, by key.
    Lookup(HashMap<DhtId, Found>),
    /// Of a store.
    Store(StoreReport),
}

/// The answer to a ping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pong {
    /// The other's node id; `None` for a client.
    pub id: Option<DhtId>,
    /// The other's clock.
    pub time: Option<DhtTime>,
    /// Whether the other could call us back, if it was asked to try.
    pub available: bool,
}

/// Why a call brought no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CallFailure(pub String);

/// What a call is for.
#[derive(Debug)]
enum Purpose {
    /// A caller wants to know whether it can be called.
    CallBack { claimed: DhtId },
    /// A member has to prove itself: its bucket is full, or it was silent for long.
    Check,
    /// A task waits for it.
    Ping(TaskId),
    /// A lookup waits for it, and for these keys.
    Find(TaskId, Vec<DhtId>),
    /// A store waits for it, and for these of its records.
    Store(TaskId, Vec<usize>),
    /// A newcomer is handed what it should hold.
    HandOver(handover::Newcomer),
    /// A node that lacks a value is offered it for its cache.
    Offer,
}

#[derive(Debug)]
struct Call {
    peer: PeerId,
    purpose: Purpose,
}

/// What the node did, since it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Pings answered.
    pub pings_served: u64,
    /// Stores answered.
    pub stores_served: u64,
    /// Finds answered.
    pub finds_served: u64,
    /// Values that did not fit into the answer to a find beside the others.
    pub values_left_out: u64,
    /// Rows of stores that are held now.
    pub rows_stored: u64,
    /// Rows of stores that were refused, by cause.
    pub rows_refused: Refusals,
    /// Values that peers returned in lookups and that were left out because of their signatures.
    pub found_unsigned: u64,
    /// Records that were handed to newly met nodes.
    pub records_handed_over: u64,
    /// Calls that brought an answer.
    pub calls_answered: u64,
    /// Calls that did not.
    pub calls_failed: u64,
}

/// One node of the DHT.
#[derive(Debug)]
pub struct Node {
    id: DhtId,
    own_peer: PeerId,
    client_mode: bool,
    table: RoutingTable,
    storage: Storage,
    cache: Storage,
    validator: Option<SignatureValidator>,
    hearsay: Option<Hearsay>,
    blacklist: Blacklist,
    rng: SmallRng,
    /// At most [`MAX_CALLS`].
    calls: HashMap<CallId, Call>,
    /// Who waits for which of them that are call-backs: at most [`MAX_CALL_BACKS`].
    call_backs: HashMap<(PeerId, DhtId), Vec<InboundId>>,
    /// How many of them are checks.
    checks: usize,
    /// At most [`MAX_TASKS`].
    tasks: HashMap<TaskId, tasks::Task>,
    /// Tasks that would make calls if there were not so many under way.
    starved: BTreeSet<TaskId>,
    handover: handover::Handover,
    caching: Caching,
    sharing: caching::Sharing,
    effects: VecDeque<Effect>,
    next_id: u64,
    next_refresh: DhtTime,
    /// The first refresh has been.
    refreshed: bool,
    counters: Counters,
}

impl Node {
    /// A node that knows nobody. `own_peer` is the peer at which others call it.
    pub fn new(settings: Settings, own_peer: PeerId, now: DhtTime) -> Self {
        Self {
            id: settings.id,
            own_peer,
            client_mode: settings.client_mode,
            table: RoutingTable::new(settings.id, now),
            storage: Storage::new(settings.storage),
            cache: Storage::cache(settings.cache),
            validator: settings.acceptance.signatures.then(|| SignatureValidator::new(now)),
            hearsay: settings.acceptance.first_hand.then(|| Hearsay::new(now)),
            blacklist: Blacklist::default(),
            rng: SmallRng::seed_from_u64(settings.seed),
            calls: HashMap::new(),
            call_backs: HashMap::new(),
            checks: 0,
            tasks: HashMap::new(),
            starved: BTreeSet::new(),
            handover: handover::Handover::new(now),
            caching: settings.caching,
            sharing: caching::Sharing::default(),
            effects: VecDeque::new(),
            next_id: 0,
            next_refresh: now + FIRST_REFRESH,
            refreshed: false,
            counters: Counters::default(),
        }
    }

    /// The next thing that the driver is to do. It asks until there is nothing left.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Ends tasks whose deadline has passed, and refreshes stale buckets. A second between two calls is often enough.
    pub fn tick(&mut self, now: DhtTime) {
        if let Some(hearsay) = &mut self.hearsay {
            hearsay.tick(now);
        }
        self.end_overdue_tasks(now);
        self.hurry_searches(now);
        self.handover.tick(now);
        self.hand_over(now);
        self.refresh_cache(now);
        for silent in self.table.check_silent(now - SILENCE, CHECKS_PER_TICK) {
            self.check(silent);
        }
        if now >= self.next_refresh {
            self.refresh(now);
        }
    }

    /// Drops some of what has expired, mostly in a fraction of a millisecond. Whether more is left: then the driver comes
    /// again soon, after those who wait to be answered.
    pub fn evict(&mut self, now: DhtTime) -> bool {
        let stored = self.storage.evict(now);
        self.cache.evict(now) || stored
    }

    /// The time that is handed in has leapt to `now`: whoever drives the node has learned better. What is held
    /// expires by the new time, and goes if that would not have let it in; waits that were reckoned in the old time end at the latest when they would have,
    /// had they begun now.
    pub fn time_leapt(&mut self, now: DhtTime) {
        self.blacklist = Blacklist::default();
        self.table.time_leapt(now);
        self.handover.time_leapt(now);
        self.forget_refreshes();
        self.storage.drop_beyond_horizon(now);
        self.cache.drop_beyond_horizon(now);
        if let Some(hearsay) = &mut self.hearsay {
            hearsay.time_leapt(now);
        }
        self.next_refresh = self.next_refresh.min(now + REFRESH_PERIOD);
        for task in self.tasks.values_mut() {
            task.deadline = now + TASK_DEADLINE;
        }
    }

    /// Its place in the key space.
    pub fn id(&self) -> DhtId {
        self.id
    }

    /// The nodes that it knows.
    pub fn table(&self) -> &RoutingTable {
        &self.table
    }

    /// What it holds for others.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// What it caches.
    pub fn cache(&self) -> &Storage {
        &self.cache
    }

    /// What it did so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// From now on it takes part as a client, or as a node that others list.
    pub fn set_client_mode(&mut self, client_mode: bool) {
        self.client_mode = client_mode;
    }

    /// Whether it takes part as a client.
    pub fn client_mode(&self) -> bool {
        self.client_mode
    }

    /// What we tell others of ourselves: a client tells nothing, so that nobody lists it.
    fn sender(&self) -> Option<DhtId> {
        (!self.client_mode).then_some(self.id)
    }

    fn call(&mut self, peer: PeerId, request: Request, purpose: Purpose) {
        let call = CallId(self.take_id());
        self.effects.push_back(Effect::Call { call, peer, request });
        self.calls.insert(call, Call { peer, purpose });
    }

    /// Asks a member whether it is still there.
    fn check(&mut self, member: Contact) {
        if self.checks >= MAX_CHECKS || self.calls.len() >= MAX_CALLS {
            return self.table.leave_unchecked(&member);
        }
        self.checks += 1;
        let request = Request::Ping { sender: self.sender(), validate: false };
        self.call(member.peer, request, Purpose::Check);
    }

    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Notes a sign of life.
    fn heard(&mut self, id: Option<DhtId>, peer: PeerId, now: DhtTime) {
        let Some(id) = id.filter(|_| peer != self.own_peer) else { return };
        if self.table.is_empty() {
            // Nobody was left: it was we who were cut off, and the others have not failed.
            self.blacklist.clear();
        }
        let contact = Contact { id, peer };
        let known = self.table.id_of(&peer) == Some(id);
        if let Heard::Check(old) = self.table.heard(contact, now) {
            self.check(old);
        }
        if !known && self.table.id_of(&peer) == Some(id) {
            self.met(contact, now);
        }
    }
}

#[cfg(test)]
mod tests;
