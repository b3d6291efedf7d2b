//! Whole lookups and announcements in a swarm in memory: every call is carried at once, so what is measured is the work of
//! all nodes that take part. How many calls and rounds it takes is what `tests/simulated_swarm` tells.

use std::{collections::HashMap, time::Duration};

use criterion::{BenchmarkId, Criterion};
use hivemind_proto::dht::{
    Acceptance, Caching, DhtId, Effect, InboundId, Node, Outcome, Record, Request, Response, Settings,
    Subkey, Tag, storage,
};
use libp2p::PeerId;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{id, now};

const SIZES: [usize; 2] = [100, 1_000];

/// Nodes of whom each has heard.
const ACQUAINTANCES: usize = 200;

/// Blocks that one server announces, and that a reader looks for at once.
const BLOCKS: usize = 80;

struct Swarm {
    nodes: Vec<Node>,
    peers: Vec<PeerId>,
    by_peer: HashMap<PeerId, usize>,
    calls: u64,
}

impl Swarm {
    fn of(size: usize) -> Self {
        let mut rng = SmallRng::seed_from_u64(7);
        let peers: Vec<PeerId> = (0..size).map(|_| PeerId::random()).collect();
        let node = |(n, peer): (usize, &PeerId)| {
            let settings = Settings {
                id: id(n),
                client_mode: false,
                storage: storage::Limits::default(),
                cache: storage::Limits::of_cache(),
                acceptance: Acceptance::default(),
                caching: Caching::default(),
                seed: n as u64,
            };
            Node::new(settings, *peer, now())
        };
        let nodes = peers.iter().enumerate().map(node).collect();
        let by_peer = peers.iter().enumerate().map(|(n, peer)| (*peer, n)).collect();
        let mut swarm = Self { nodes, peers, by_peer, calls: 0 };
        for node in 0..size {
            // Those beside it, as a search for itself would bring them, and others from anywhere.
            let mut near: Vec<usize> = (0..size).filter(|other| *other != node).collect();
            near.sort_by_cached_key(|other| id(*other).distance(&id(node)));
            let anywhere = (0..ACQUAINTANCES).map(|_| rng.random_range(0..size));
            for other in near.into_iter().take(20).chain(anywhere).filter(|other| *other != node) {
                let ping = Request::Ping { sender: Some(id(other)), validate: false };
                swarm.serve(node, other, ping);
            }
        }
        swarm
    }

    /// What `callee` answers to `caller`. Whatever it wants to do besides is left undone.
    fn serve(&mut self, callee: usize, caller: usize, request: Request) -> Response {
        self.calls += 1;
        let (inbound, node) = (InboundId(self.calls), &mut self.nodes[callee]);
        node.request(inbound, self.peers[caller], request, now());
        let mut answer = None;
        while let Some(effect) = node.next_effect() {
            match effect {
                Effect::Answer { response, .. } => answer = Some(response),
                Effect::Call { call, .. } => {
                    let cause = hivemind_proto::dht::CallFailure("left undone".into());
                    node.call_ended(call, Err(cause), now());
                }
                Effect::Done { .. } => {}
            }
        }
        answer.unwrap()
    }

    /// Carries the calls of one node until its task is done.
    fn carry(&mut self, node: usize) -> Outcome {
        loop {
            match self.nodes[node].next_effect().unwrap() {
                Effect::Call { call, peer, request } => {
                    let callee = self.by_peer[&peer];
                    let bytes = request.encode();
                    let arrived = Request::decode(request.handler(), &bytes).unwrap();
                    let answer = self.serve(callee, node, arrived).encode();
                    let answer = Response::decode(&request, &answer).unwrap();
                    self.nodes[node].call_ended(call, Ok(answer), now());
                }
                Effect::Done { outcome, .. } => return outcome,
                Effect::Answer { .. } => {}
            }
        }
    }

    fn announce(&mut self, node: usize, lives: Duration) {
        let peer = self.peers[node].to_base58();
        // A msgpack bin, as long as a record of Petals.
        let value: std::sync::Arc<[u8]> = [&[0xc4, 198][..], &[7; 198]].concat().into();
        let record = |block| Record {
            key: block_key(block),
            tag: Tag::Subkey(Subkey::text(&peer)),
            value: value.clone(),
            expiration: now() + lives,
        };
        self.nodes[node].store((0..BLOCKS).map(record).collect(), now());
        let Outcome::Store(report) = self.carry(node) else { panic!("a store") };
        assert!(report.records.iter().all(|record| record.acknowledged.len() >= 5));
    }

    fn look_up(&mut self, node: usize, keys: impl Iterator<Item = DhtId>) {
        self.nodes[node].lookup(keys, now());
        let Outcome::Lookup(found) = self.carry(node) else { panic!("a lookup") };
        assert!(found.values().all(|found| found.value.is_some()));
    }
}

fn block_key(block: usize) -> DhtId {
    DhtId::of_text(&format!("a-model.{block}"))
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lookups");
    for size in SIZES {
        let mut swarm = Swarm::of(size);
        swarm.announce(0, Duration::from_secs(300));
        let mut turn = 0;
        group.bench_function(BenchmarkId::new("lookup of 1 key", size), |b| {
            b.iter(|| {
                turn += 1;
                swarm.look_up(turn % size, std::iter::once(block_key(turn % BLOCKS)));
            })
        });
        group.bench_function(BenchmarkId::new("lookup of 80 keys", size), |b| {
            b.iter(|| {
                turn += 1;
                swarm.look_up(turn % size, (0..BLOCKS).map(block_key));
            })
        });
        group.bench_function(BenchmarkId::new("announcement of 80 records", size), |b| {
            b.iter(|| {
                turn += 1;
                swarm.announce(turn % size, Duration::from_secs(300 + turn as u64));
            })
        });
    }
    group.finish();
}
