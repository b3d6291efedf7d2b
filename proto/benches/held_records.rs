//! What a million records cost to hold, and how long a find among them takes: `cargo bench -p hivemind-proto --bench
//! held_records`. Memory is the process's own (`/proc/self/statm`), before and after; a find goes all the way from the
//! bytes of the request to the bytes of the answer.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a program that prints figures of real time, or fails"
)]

use std::time::{Duration, Instant};

use hivemind_proto::{
    dht::{
        Acceptance, Caching, DhtId, Effect, FIND_HANDLER, InboundId, Node, Request, Row, STORE_HANDLER,
        Settings, Subkey, Tag, storage,
    },
    time::DhtTime,
};
use libp2p::PeerId;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// That of petald.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const RECORDS: usize = 1_000_000;

/// A Petals record: a tuple of state, throughput and a map of some ten fields.
const VALUE_BYTES: usize = 200;

/// Rows of one store while the records are brought in.
const ROWS: usize = 500;

/// Servers that the records come from. Their node ids fill the routing table.
const PEERS: usize = 4000;

const FINDS: usize = 20_000;

fn start() -> DhtTime {
    DhtTime::from_unix(1.8e9).unwrap()
}

/// Within this the allocator has given back what is free (`.cargo/config.toml`).
const SETTLED: Duration = Duration::from_secs(3);

/// Resident bytes of this process, once it has settled.
fn resident() -> usize {
    std::thread::sleep(SETTLED);
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

struct Holder {
    node: Node,
    rng: SmallRng,
    calls: u64,
}

impl Holder {
    fn new() -> Self {
        let (storage, cache) = (storage::Limits::default(), storage::Limits::of_cache());
        let id = DhtId::of_bytes(b"holder");
        let settings = Settings {
            id,
            client_mode: false,
            storage,
            cache,
            acceptance: Acceptance::default(),
            caching: Caching::default(),
            seed: 1,
        };
        let node = Node::new(settings, PeerId::random(), start());
        Self { node, rng: SmallRng::seed_from_u64(7), calls: 0 }
    }

    /// A request as it comes, and the answer as it goes.
    fn serve(&mut self, handler: &str, caller: PeerId, request: &[u8], now: DhtTime) -> Vec<u8> {
        let request = Request::decode(handler, request).unwrap();
        self.calls += 1;
        let inbound = InboundId(self.calls);
        self.node.request(inbound, caller, request, now);
        let mut answer = None;
        while let Some(effect) = self.node.next_effect() {
            match effect {
                Effect::Answer { inbound: answered, response } if answered == inbound => {
                    answer = Some(response.encode());
                }
                // Whoever is to be checked, or handed something, does not answer.
                Effect::Call { call, .. } => {
                    let gone = hivemind_proto::dht::CallFailure("not in this swarm".into());
                    self.node.call_ended(call, Err(gone), now);
                }
                Effect::Answer { .. } | Effect::Done { .. } => {}
            }
        }
        answer.unwrap()
    }

    fn fill(
        &mut self,
        keys: usize,
        subkeys: usize,
        peers: &[PeerId],
        now: DhtTime,
        lives: Duration,
    ) -> usize {
        let mut refused = 0;
        for key in 0..keys {
            let id = DhtId::of_bytes(&key.to_be_bytes());
            let mut stored = 0;
            while stored < subkeys {
                let count = ROWS.min(subkeys - stored);
                let rows = (stored..stored + count).map(|n| {
                    let peer = &peers[n % peers.len()];
                    let name = if subkeys > peers.len() { format!("{peer}{n}") } else { peer.to_string() };
                    let mut value = vec![0xc4, VALUE_BYTES as u8 - 2];
                    value.resize_with(VALUE_BYTES, || self.rng.random());
                    Row {
                        key: id.as_bytes().to_vec(),
                        tag: Tag::Subkey(Subkey::text(&name)).encode(),
                        value: value.into(),
                        expiration: (now + lives).as_unix() + self.rng.random_range(0.0..60.0),
                        in_cache: false,
                    }
                });
                let request = Request::Store { sender: None, rows: rows.collect() };
                let caller = peers[self.rng.random_range(0..peers.len())];
                let answer = self.serve(STORE_HANDLER, caller, &request.encode(), now);
                let answer = hivemind_proto::dht::Response::decode(&request, &answer).unwrap();
                let hivemind_proto::dht::Response::Store { stored: held, .. } = answer else {
                    panic!("a store")
                };
                refused += held.iter().filter(|held| !**held).count();
                stored += count;
            }
        }
        refused
    }

    /// Times of finds for one key each, sorted.
    fn finds(&mut self, count: usize, keys: usize, peers: &[PeerId], now: DhtTime) -> (Vec<Duration>, usize) {
        let mut largest = 0;
        let mut times: Vec<Duration> = (0..count)
            .map(|_| {
                let key = DhtId::of_bytes(&self.rng.random_range(0..keys).to_be_bytes());
                let request = Request::Find { sender: None, keys: vec![key] }.encode();
                let caller = peers[self.rng.random_range(0..peers.len())];
                let begun = Instant::now();
                let answer = self.serve(FIND_HANDLER, caller, &request, now);
                let took = begun.elapsed();
                largest = largest.max(answer.len());
                took
            })
            .collect();
        times.sort_unstable();
        (times, largest)
    }
}

/// Each case in a process of its own, so that none is shown with what another has left behind.
fn main() {
    match std::env::args().nth(1).and_then(|case| case.parse().ok()) {
        Some(subkeys) => measure(subkeys),
        None => {
            // As many records in each case; ever more of them under one key.
            for subkeys in [1, 10, 100, 1_000, 10_000] {
                let mut case = std::process::Command::new(std::env::current_exe().unwrap());
                assert!(case.arg(subkeys.to_string()).status().unwrap().success());
            }
        }
    }
}

fn measure(subkeys: usize) {
    let before = resident();
    let peers: Vec<PeerId> = (0..PEERS).map(|_| PeerId::random()).collect();
    let (keys, now) = (RECORDS / subkeys, start());
    let mut holder = Holder::new();
    // Everybody is heard of once, so that the table is what it is in a large swarm.
    for (n, peer) in peers.iter().enumerate() {
        let sender = Some(DhtId::of_bytes(&n.to_be_bytes()));
        let ping = Request::Ping { sender, validate: false }.encode();
        holder.serve(hivemind_proto::dht::PING_HANDLER, *peer, &ping, now);
    }
    let begun = Instant::now();
    let refused = holder.fill(keys, subkeys, &peers, now, Duration::from_secs(300));
    let filled = begun.elapsed();
    let held = resident() - before;
    let entries = holder.node.storage().entries();
    let count = FINDS.min(FINDS * 100 / subkeys);
    let (times, largest) = holder.finds(count, keys, &peers, now);
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{keys:>8} keys x {subkeys:>6} subkeys: {entries} held, {refused} refused, {:.0} MiB resident, {:.0} MiB counted, {} members",
        mib(held),
        mib(holder.node.storage().bytes()),
        holder.node.table().len(),
    );
    println!(
        "         store {:.2} µs a row; find p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms over {count}; largest answer {:.2} MiB",
        filled.as_secs_f64() * 1e6 / RECORDS as f64,
        at(0.5),
        at(0.99),
        at(0.9999),
        mib(largest),
    );
    // Renewal: every record is replaced by a later one, then all expire.
    let later = now + Duration::from_secs(60);
    holder.fill(keys, subkeys, &peers, later, Duration::from_secs(300));
    let renewed = resident() - before;
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    let gone = later + Duration::from_secs(600);
    while holder.node.storage().entries() > 0 {
        let begun = Instant::now();
        holder.node.evict(gone);
        longest = longest.max(begun.elapsed());
    }
    println!(
        "         {:.0} MiB after every record was renewed; all expired within {:.0} ms, at most {:.1} ms at a time; {:.0} MiB resident",
        mib(renewed),
        begun.elapsed().as_secs_f64() * 1e3,
        longest.as_secs_f64() * 1e3,
        mib(resident() - before),
    );
}
