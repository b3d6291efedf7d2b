//! The swarm of the tests: nodes in one thread that carry out each other's effects.

use std::collections::{BTreeMap, HashSet, VecDeque};

use super::super::*;
use crate::dht::Record;

/// When every test begins, in Unix seconds.
pub(super) const START: f64 = 1_000_000.0;

/// A swarm whose calls arrive at once, and whose calls to the dead fail at once.
pub(super) struct Swarm {
    pub(super) nodes: BTreeMap<PeerId, Node>,
    pub(super) dead: HashSet<PeerId>,
    pub(super) now: DhtTime,
    done: HashMap<(PeerId, TaskId), Outcome>,
    /// (caller, call) of each request that is being answered.
    inbound: Vec<(PeerId, CallId)>,
    /// (handler, callee) of every call.
    pub(super) calls: Vec<(&'static str, PeerId)>,
}

impl Swarm {
    pub(super) fn of(count: usize) -> (Self, Vec<PeerId>) {
        let now = DhtTime::from_unix(START).unwrap();
        let mut swarm = Self {
            nodes: BTreeMap::new(),
            dead: HashSet::new(),
            now,
            done: HashMap::new(),
            inbound: Vec::new(),
            calls: Vec::new(),
        };
        let peers: Vec<PeerId> = (0..count).map(|n| swarm.add(n as u64, false)).collect();
        for peer in &peers[1..] {
            swarm.join(*peer, peers[0]);
        }
        (swarm, peers)
    }

    pub(super) fn add(&mut self, seed: u64, client_mode: bool) -> PeerId {
        let peer = PeerId::random();
        self.start(peer, DhtId::of_bytes(&seed.to_be_bytes()), client_mode, seed);
        peer
    }

    /// Replaces a node by one that knows and holds nothing.
    pub(super) fn restart(&mut self, peer: PeerId, id: DhtId) {
        self.start(peer, id, false, 0);
    }

    fn start(&mut self, peer: PeerId, id: DhtId, client_mode: bool, seed: u64) {
        let settings = Settings {
            id,
            client_mode,
            storage: storage::Limits::default(),
            cache: storage::Limits::of_cache(),
            acceptance: Acceptance::default(),
            caching: Caching::default(),
            seed,
        };
        self.nodes.insert(peer, Node::new(settings, peer, self.now));
    }

    pub(super) fn join(&mut self, peer: PeerId, through: PeerId) {
        let now = self.now;
        self.with(peer, |node| node.ping(through, true, now));
        let id = self.nodes[&peer].id();
        self.with(peer, |node| node.lookup([id], now));
    }

    pub(super) fn with(&mut self, peer: PeerId, start: impl FnOnce(&mut Node) -> TaskId) -> Outcome {
        let task = start(self.nodes.get_mut(&peer).unwrap());
        self.settle();
        self.done.remove(&(peer, task)).expect("every task ends")
    }

    /// What came of a task that has ended.
    pub(super) fn take(&mut self, peer: PeerId, task: TaskId) -> Option<Outcome> {
        self.done.remove(&(peer, task))
    }

    pub(super) fn store(&mut self, peer: PeerId, records: Vec<Record>) -> StoreReport {
        let now = self.now;
        match self.with(peer, |node| node.store(records, now)) {
            Outcome::Store(report) => report,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn find(&mut self, peer: PeerId, keys: &[DhtId]) -> HashMap<DhtId, Found> {
        let now = self.now;
        match self.with(peer, |node| node.lookup(keys.iter().copied(), now)) {
            Outcome::Lookup(found) => found,
            other => panic!("{other:?}"),
        }
    }

    /// Carries out effects until nobody has any.
    pub(super) fn settle(&mut self) {
        let mut queue: VecDeque<(PeerId, Effect)> = VecDeque::new();
        loop {
            for (peer, node) in &mut self.nodes {
                queue.extend(std::iter::from_fn(|| node.next_effect()).map(|effect| (*peer, effect)));
            }
            let Some((peer, effect)) = queue.pop_front() else { return };
            match effect {
                Effect::Done { task, outcome } => drop(self.done.insert((peer, task), outcome)),
                Effect::Call { call, peer: callee, request } => {
                    self.calls.push((request.handler(), callee));
                    if self.dead.contains(&callee) || !self.nodes.contains_key(&callee) {
                        self.end(peer, call, Err(CallFailure("gone".into())));
                        continue;
                    }
                    // Through the wire form, as in life.
                    let request = Request::decode(request.handler(), &request.encode()).unwrap();
                    let inbound = InboundId(self.inbound.len() as u64);
                    self.inbound.push((peer, call));
                    let now = self.now;
                    self.nodes.get_mut(&callee).unwrap().request(inbound, peer, request, now);
                }
                Effect::Answer { inbound, response } => {
                    if let Some((caller, call)) = self.inbound.get(inbound.0 as usize).copied() {
                        self.end(caller, call, Ok(response));
                    }
                }
            }
        }
    }

    pub(super) fn end(&mut self, peer: PeerId, call: CallId, result: Result<Response, CallFailure>) {
        let now = self.now;
        self.nodes.get_mut(&peer).unwrap().call_ended(call, result, now);
    }

    /// What `peer` answers to a request that comes from outside the swarm.
    pub(super) fn ask(&mut self, peer: PeerId, caller: PeerId, request: Request) -> Response {
        let now = self.now;
        let inbound = InboundId(u64::MAX);
        let node = self.nodes.get_mut(&peer).unwrap();
        node.request(inbound, caller, request, now);
        loop {
            match node.next_effect().expect("an answer") {
                Effect::Answer { inbound: InboundId(u64::MAX), response } => return response,
                Effect::Call { call, .. } => node.call_ended(call, Err(CallFailure("outside".into())), now),
                other => panic!("{other:?}"),
            }
        }
    }

    pub(super) fn calls_of(&self, handler: &str) -> usize {
        self.calls.iter().filter(|(called, _)| *called == handler).count()
    }
}
