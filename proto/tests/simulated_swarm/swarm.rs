//! A swarm of real nodes ([`hivemind_proto::dht::Node`]) in one thread and in virtual time. Every call goes through its
//! wire form.

use std::{collections::HashMap, time::Duration};

use hivemind_proto::{
    dht::{
        Acceptance, Caching, CallFailure, CallId, DhtId, Effect, InboundId, Node, Outcome, Record, Request,
        Response, Settings, TaskId, storage,
    },
    time::DhtTime,
};
use libp2p::PeerId;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{
    internet::{CALL_DEADLINE, Internet},
    trace::Trace,
};

/// Nodes that never leave, through which everybody joins.
pub(crate) const BOOTSTRAPS: usize = 4;

/// How often a node that has something to do looks at the time, as the actor that drives it does.
const TICK: Duration = Duration::from_secs(1);

/// The same of all others. What they do meanwhile, to drop what has expired and to ask silent members, can wait.
const IDLE_TICK: Duration = Duration::from_secs(5);

/// A join that nobody answered is tried again after this.
const JOIN_AGAIN: Duration = Duration::from_secs(5);

/// Within this the swarm grows to its size.
const GROWTH: Duration = Duration::from_secs(300);

/// Whom a search begins with at most (`dht/node/tasks.rs`).
const START: usize = 40;

pub(crate) enum Work {
    Lookup(Vec<DhtId>),
    Store(Vec<Record>),
}

/// A task that has ended.
pub(crate) struct Ended {
    /// As it was given to [`Swarm::begin`].
    pub(crate) label: usize,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
    pub(crate) trace: Trace,
}

/// What a node has done for others.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Served {
    pub(crate) calls: u64,
    /// Of calls and answers.
    pub(crate) bytes: u64,
}

struct Member {
    node: Node,
    peer: PeerId,
    /// Its join, and then what it was told to do; one at a time.
    task: Option<(TaskId, Doing)>,
    joined: bool,
    /// When it looks at the time next.
    tick: Duration,
    served: Served,
}

enum Doing {
    Joining,
    Measured { label: usize, begun: Duration, trace: Box<Trace> },
}

enum Event {
    Tick(u32),
    Join(u32),
    /// A request has come to the callee.
    Request(u64, Vec<u8>),
    /// An answer has come to the caller.
    Answer(u64, Vec<u8>),
    Failure(u64),
}

struct Call {
    caller: u32,
    callee: u32,
    peer: PeerId,
    id: CallId,
    request: Request,
    begun: Duration,
}

pub(crate) struct Swarm {
    members: Vec<Option<Box<Member>>>,
    by_peer: HashMap<PeerId, u32>,
    /// In no order.
    alive: Vec<u32>,
    internet: Internet<Event>,
    calls: HashMap<u64, Call>,
    next_call: u64,
    now: Duration,
    ended: Vec<Ended>,
    pub(crate) rng: SmallRng,
}

impl Swarm {
    /// A swarm to which one after the other has come.
    pub(crate) fn of(count: usize, seed: u64) -> Self {
        let mut swarm = Self {
            members: Vec::new(),
            by_peer: HashMap::new(),
            alive: Vec::new(),
            internet: Internet::new(),
            calls: HashMap::new(),
            next_call: 0,
            now: Duration::ZERO,
            ended: Vec::new(),
            rng: SmallRng::seed_from_u64(seed),
        };
        for _ in 0..count {
            swarm.join();
            swarm.run_for(GROWTH / count as u32);
        }
        swarm
    }

    pub(crate) fn time(&self) -> DhtTime {
        // Any moment will do for a beginning.
        DhtTime::since_epoch(Duration::from_secs(1_800_000_000) + self.now)
    }

    pub(crate) fn now(&self) -> Duration {
        self.now
    }

    /// How many are alive.
    pub(crate) fn len(&self) -> usize {
        self.alive.len()
    }

    pub(crate) fn alive(&self) -> &[u32] {
        &self.alive
    }

    pub(crate) fn is_alive(&self, member: u32) -> bool {
        self.members[member as usize].is_some()
    }

    pub(crate) fn anybody(&mut self) -> u32 {
        self.alive[self.rng.random_range(0..self.alive.len())]
    }

    pub(crate) fn peer(&self, member: u32) -> Option<PeerId> {
        self.members.get(member as usize)?.as_ref().map(|member| member.peer)
    }

    pub(crate) fn node(&self, member: u32) -> Option<&Node> {
        self.members[member as usize].as_ref().map(|member| &member.node)
    }

    /// Whether somebody whom a table names is there.
    pub(crate) fn is_there(&self, peer: &PeerId) -> bool {
        self.by_peer.contains_key(peer)
    }

    /// How many hold something under a key.
    pub(crate) fn holders(&self, key: &DhtId) -> usize {
        let nodes = self.members.iter().flatten().map(|member| &member.node);
        nodes.filter(|node| node.storage().peek(key).is_some()).count()
    }

    pub(crate) fn served(&self) -> Vec<Served> {
        self.members.iter().flatten().map(|member| member.served).collect()
    }

    pub(crate) fn forget_served(&mut self) {
        self.members.iter_mut().flatten().for_each(|member| member.served = Served::default());
    }

    /// A node comes that knows nothing but the bootstraps.
    pub(crate) fn join(&mut self) -> u32 {
        let index = self.members.len() as u32;
        let peer = ed25519_peer(&mut self.rng);
        let settings = Settings {
            id: DhtId::random(&mut self.rng),
            client_mode: false,
            storage: storage::Limits::default(),
            cache: storage::Limits::of_cache(),
            acceptance: Acceptance::default(),
            caching: Caching::default(),
            seed: self.rng.random(),
        };
        let node = Node::new(settings, peer, self.time());
        let member =
            Member { node, peer, task: None, joined: false, tick: self.now, served: Served::default() };
        self.members.push(Some(Box::new(member)));
        self.by_peer.insert(peer, index);
        self.alive.push(index);
        self.internet.settle(&mut self.rng);
        self.wake(index);
        self.internet.send(self.now, Event::Join(index));
        index
    }

    /// A node has something to do: from now on it looks at the time more often.
    fn wake(&mut self, index: u32) {
        let Some(Some(member)) = self.members.get_mut(index as usize) else { return };
        member.tick = self.now + TICK.mul_f64(self.rng.random());
        self.internet.send(member.tick, Event::Tick(index));
    }

    /// A node is gone without a word.
    pub(crate) fn leave(&mut self, member: u32) {
        if let Some(gone) = self.members[member as usize].take() {
            self.by_peer.remove(&gone.peer);
            self.alive.retain(|alive| *alive != member);
        }
    }

    /// Somebody who is not a bootstrap.
    pub(crate) fn anybody_mortal(&mut self) -> u32 {
        loop {
            let member = self.anybody();
            if member as usize >= BOOTSTRAPS {
                return member;
            }
        }
    }

    /// Has a node do something; `false` if it is busy, or still joining.
    pub(crate) fn begin(&mut self, member: u32, label: usize, work: Work) -> bool {
        let (now, begun) = (self.time(), self.now);
        let Some(Some(state)) = self.members.get_mut(member as usize) else { return false };
        if state.task.is_some() || !state.joined {
            return false;
        }
        let keys = match &work {
            Work::Lookup(keys) => keys.iter().copied().collect(),
            Work::Store(records) => records.iter().map(|record| record.key).collect(),
        };
        let table = state.node.table();
        let start = |key: &DhtId| table.nearest(key, START, None).into_iter().map(|contact| contact.peer);
        let start: Vec<PeerId> = std::iter::Iterator::flat_map(keys_of(&keys), start).collect();
        let trace = Box::new(Trace::new(keys, start.into_iter()));
        let task = match work {
            Work::Lookup(keys) => state.node.lookup(keys, now),
            Work::Store(records) => state.node.store(records, now),
        };
        state.task = Some((task, Doing::Measured { label, begun, trace }));
        self.wake(member);
        self.carry_out(member);
        true
    }

    /// What has ended since the last time.
    pub(crate) fn take_ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some((at, event)) = self.internet.next(until) {
            self.now = at;
            self.happen(event);
        }
        self.now = until;
    }

    fn happen(&mut self, event: Event) {
        let now = self.time();
        match event {
            Event::Tick(index) => {
                let Some(member) = &mut self.members[index as usize] else { return };
                if member.tick != self.now {
                    // It was woken since.
                    return;
                }
                while member.node.evict(now) {}
                member.node.tick(now);
                member.tick = self.now + if member.task.is_some() { TICK } else { IDLE_TICK };
                self.internet.send(member.tick, Event::Tick(index));
                self.carry_out(index);
            }
            Event::Join(index) => self.try_to_join(index),
            Event::Request(number, bytes) => {
                let Some(call) = self.calls.get(&number) else { return };
                let (callee, caller, handler) = (call.callee, call.caller, call.request.handler());
                let caller = self.members[caller as usize].as_ref().map(|caller| caller.peer);
                match (&mut self.members[callee as usize], caller) {
                    (Some(member), Some(caller)) => {
                        member.served.calls += 1;
                        member.served.bytes += bytes.len() as u64;
                        let request = Request::decode(handler, &bytes).expect("one of us wrote it");
                        member.node.request(InboundId(number), caller, request, now);
                        self.carry_out(callee);
                    }
                    _ => self.fail(number),
                }
            }
            Event::Answer(number, bytes) => {
                let Some(call) = self.calls.remove(&number) else { return };
                let response = Response::decode(&call.request, &bytes).expect("one of us wrote it");
                let Some(member) = &mut self.members[call.caller as usize] else { return };
                if let Some((_, Doing::Measured { trace, .. })) = &mut member.task
                    && trace.concerns(&call.request)
                {
                    let results = match &response {
                        Response::Find { results, .. } => results.as_slice(),
                        _ => &[],
                    };
                    trace.answered(&call.peer, results, bytes.len());
                }
                member.node.call_ended(call.id, Ok(response), now);
                self.carry_out(call.caller);
            }
            Event::Failure(number) => {
                let Some(call) = self.calls.remove(&number) else { return };
                let Some(member) = &mut self.members[call.caller as usize] else { return };
                if let Some((_, Doing::Measured { trace, .. })) = &mut member.task
                    && trace.concerns(&call.request)
                {
                    trace.failures += 1;
                }
                member.node.call_ended(call.id, Err(CallFailure("no answer in time".into())), now);
                self.carry_out(call.caller);
            }
        }
    }

    /// The call ends when its deadline comes.
    fn fail(&mut self, number: u64) {
        if let Some(call) = self.calls.get(&number) {
            self.internet.send(self.now.max(call.begun + CALL_DEADLINE), Event::Failure(number));
        }
    }

    /// As petald does: greets every initial peer, and searches for itself after the first answer.
    fn try_to_join(&mut self, index: u32) {
        let now = self.time();
        let bootstraps: Vec<PeerId> =
            (0..BOOTSTRAPS as u32).filter(|it| *it != index).filter_map(|it| self.peer(it)).collect();
        let Some(Some(member)) = self.members.get_mut(index as usize) else { return };
        if member.joined || bootstraps.is_empty() {
            member.joined = true;
            return;
        }
        let pings: Vec<TaskId> =
            bootstraps.into_iter().map(|peer| member.node.ping(peer, true, now)).collect();
        member.task = pings.first().map(|first| (*first, Doing::Joining));
        self.carry_out(index);
    }

    fn carry_out(&mut self, index: u32) {
        while let Some(member) = &mut self.members[index as usize]
            && let Some(effect) = member.node.next_effect()
        {
            match effect {
                Effect::Call { call, peer, request } => self.call(index, call, peer, request),
                Effect::Answer { inbound, response } => self.answer(index, inbound.0, response),
                Effect::Done { task, outcome } => self.done(index, task, outcome),
            }
        }
    }

    fn call(&mut self, caller: u32, id: CallId, peer: PeerId, request: Request) {
        self.next_call += 1;
        let number = self.next_call;
        let bytes = request.encode();
        let callee = self.by_peer.get(&peer).copied();
        let dial = callee.map(|callee| self.internet.dial(caller, callee, self.now, &mut self.rng));
        if let Some(Some(member)) = self.members.get_mut(caller as usize)
            && let Some((_, Doing::Measured { trace, .. })) = &mut member.task
            && trace.concerns(&request)
        {
            trace.called(&peer, &request, bytes.len(), dial.is_none_or(|dial| dial.is_some()));
        }
        let validated = matches!(request, Request::Ping { validate: true, .. });
        let call = Call { caller, callee: callee.unwrap_or(caller), peer, id, request, begun: self.now };
        self.calls.insert(number, call);
        match callee.zip(dial) {
            Some((callee, dial)) if !Internet::<Event>::loses(&mut self.rng) => {
                let way = self.internet.way(caller, callee, &mut self.rng) + dial.unwrap_or_default();
                self.internet.send(self.now + way, Event::Request(number, bytes));
                if validated {
                    // Its answer waits for another call.
                    self.fail(number);
                }
            }
            _ => self.fail(number),
        }
    }

    fn answer(&mut self, callee: u32, number: u64, response: Response) {
        let Some(call) = self.calls.get(&number) else { return };
        let (caller, begun) = (call.caller, call.begun);
        let way = self.internet.way(callee, caller, &mut self.rng);
        let bytes = response.encode();
        if let Some(member) = &mut self.members[callee as usize] {
            member.served.bytes += bytes.len() as u64;
        }
        match self.now + way < begun + CALL_DEADLINE {
            true => self.internet.send(self.now + way, Event::Answer(number, bytes)),
            false => self.fail(number),
        }
    }

    fn done(&mut self, index: u32, task: TaskId, outcome: Outcome) {
        let (now, ended) = (self.time(), self.now);
        let Some(Some(member)) = self.members.get_mut(index as usize) else { return };
        match (&outcome, member.joined) {
            (Outcome::Ping(Ok(_)), false) => {
                member.joined = true;
                member.task = None;
                let own = member.node.id();
                member.node.lookup([own], now);
            }
            (Outcome::Ping(Err(_)), false)
                if member.task.as_ref().is_some_and(|(first, _)| *first == task) =>
            {
                self.internet.send(self.now + JOIN_AGAIN, Event::Join(index));
            }
            _ => {
                let Some((_, doing)) = member.task.take_if(|(wanted, _)| *wanted == task) else { return };
                if let Doing::Measured { label, begun, trace } = doing {
                    self.ended.push(Ended { label, outcome, took: ended - begun, trace: *trace });
                }
            }
        }
    }
}

/// In an order that does not depend on chance.
fn keys_of(keys: &std::collections::HashSet<DhtId>) -> std::vec::IntoIter<&DhtId> {
    let mut keys: Vec<&DhtId> = keys.iter().collect();
    keys.sort_unstable();
    keys.into_iter()
}

/// A peer id of 38 bytes, as an Ed25519 key has.
fn ed25519_peer(rng: &mut SmallRng) -> PeerId {
    let mut bytes = vec![0x00, 0x24, 0x08, 0x01, 0x12, 0x20];
    bytes.extend(rng.random::<[u8; 32]>());
    PeerId::from_bytes(&bytes).expect("a multihash of a protobuf of a key")
}
