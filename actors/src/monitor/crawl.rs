//! One crawl: come in through others, read the index of models, search for every block of every model, call every server
//! that says it is online, and connect to every bootstrap. Whatever was seen until the deadline counts.
//!
//! Protocol facts: `health.petals.dev/health.py` (`fetch_health_state`).

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use futures::{StreamExt, future, stream::FuturesUnordered};
use hivemind_proto::{
    dht::{Contact, DhtId, Request, Response, sweep::Sweep},
    records::{DhtPrefix, MODEL_INDEX_KEY, ModelInfo, ServerState},
    time::DhtTime,
};
use libp2p::{Multiaddr, PeerId};
use rand::{SeedableRng, rngs::SmallRng};
use tokio::{
    task::yield_now,
    time::{Instant, timeout_at},
};

use super::{
    harvest::Harvest,
    index::{self, Listed},
    reach::{self, Asked, MOST_LINES},
    spans::{self, Spans},
    state::{Bootstrap, Model, Reach, SwarmState},
};
use crate::{
    clock::SharedClock,
    network,
    stranger::{
        calls::exchange,
        doors::{self, Entrance},
        search::Stranger,
    },
};

/// Hivemind's `wait_timeout`.
const CALL_DEADLINE: Duration = Duration::from_secs(3);

/// Calls of the search under way at once. Below what a stranger's network connects to at once.
const CALLS_AT_ONCE: usize = 32;

/// Nodes that are asked for each key while there are few keys: the original's beam.
const BREADTH: usize = 20;

/// The same where there are many: those that hold a key's replicas, and three more.
const BREADTH_OF_MANY: usize = 8;

/// From so many keys on there are many.
const MANY_KEYS: usize = 2048;

/// Of the deadline, the part that is left to calling servers once their records are found.
const REACH_PART: u32 = 3;

/// Peers through which we come in, besides initial ones.
const KNOWN_PEERS: usize = 64;

/// What is looked at, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Through whom strangers enter the swarm.
    pub initial_peers: Vec<(PeerId, Vec<Multiaddr>)>,
    /// Models that are looked for though the index may not list them.
    pub models: Vec<(DhtPrefix, ModelInfo)>,
    /// The whole crawl.
    pub deadline: Duration,
    /// Servers that are called at once.
    pub servers_at_once: usize,
    /// Between two crawls, where they are made regularly.
    pub period: Option<Duration>,
}

/// One crawl to be made.
pub(super) struct Crawl {
    pub(super) plan: Plan,
    /// Our own network, where there is one: it knows others to come in through.
    pub(super) home: Option<network::Handle>,
    /// The stranger's network.
    pub(super) away: network::Handle,
    pub(super) clock: SharedClock,
    pub(super) seed: u64,
}

/// What a crawl has found so far.
struct Under {
    away: network::Handle,
    clock: SharedClock,
    clock_offset: Option<f64>,
    contacts: Vec<Contact>,
    harvest: Harvest,
    dht_peers: BTreeSet<PeerId>,
    complete: bool,
    notes: Vec<String>,
}

/// Comes in through others: who is known to be there, and the swarm's clock minus ours.
pub(super) async fn enter(
    initial_peers: &[(PeerId, Vec<Multiaddr>)],
    home: Option<&network::Handle>,
    away: &network::Handle,
    clock: &SharedClock,
    seed: u64,
) -> (Vec<Contact>, Option<f64>) {
    let own = home.unwrap_or(away).local_peer_id();
    let mut stranger = Stranger::new(away.clone(), clock.clone(), own, seed);
    let (mut entrance, mut rng) = (Entrance::default(), SmallRng::seed_from_u64(seed));
    let others = match home {
        Some(home) => {
            let peers = home.status().await.unwrap_or_default().peers;
            let known = peers.iter().filter(|peer| peer.kad).filter_map(|peer| peer.peer_id.parse().ok());
            doors::others(home, initial_peers, known.take(KNOWN_PEERS).collect()).await
        }
        None => doors::initial(initial_peers),
    };
    entrance.knock_at(&mut stranger, away, others, &mut rng).await;
    if let (false, Some(home)) = (entrance.is_open(), home) {
        let ourselves = vec![doors::ourselves(home).await];
        entrance.knock_at(&mut stranger, away, ourselves, &mut rng).await;
    }
    (stranger.contacts(), entrance.clock_offset())
}

impl Crawl {
    /// Crawls.
    pub(super) async fn run(self) -> SwarmState {
        let Self { plan, home, away, clock, seed } = self;
        let started = Instant::now();
        let until = started + plan.deadline;
        let entering = enter(&plan.initial_peers, home.as_ref(), &away, &clock, seed);
        let (contacts, clock_offset) = timeout_at(until, entering).await.unwrap_or_default();
        let mut under = Under {
            away: away.clone(),
            clock: clock.clone(),
            clock_offset,
            complete: !contacts.is_empty(),
            contacts,
            harvest: Harvest::default(),
            dht_peers: BTreeSet::new(),
            notes: Vec::new(),
        };
        if !under.complete {
            under.notes.push("nobody let us into the DHT of the swarm".to_owned());
        }
        let search_until = until - plan.deadline / REACH_PART;
        let bootstraps = bootstraps(&plan, home.as_ref(), &away);
        let (models, bootstraps) = future::join(under.search(&plan, search_until), bootstraps).await;
        let models = under.call(models, &plan, until).await;
        SwarmState {
            crawled_at: clock.now().as_unix(),
            took: started.elapsed().as_secs_f64(),
            period: plan.period.map(|period| period.as_secs_f64()),
            complete: under.complete,
            notes: under.notes,
            clock_offset,
            dht_peers: under.dht_peers.len(),
            bootstraps,
            models,
        }
    }
}

/// Connects to every bootstrap; where there is none, we are it.
async fn bootstraps(plan: &Plan, home: Option<&network::Handle>, away: &network::Handle) -> Vec<Bootstrap> {
    let mut peers = plan.initial_peers.clone();
    if let (true, Some(home)) = (peers.is_empty(), home) {
        let ourselves = doors::ourselves(home).await;
        peers.push((ourselves.peer, ourselves.addresses));
    }
    let one = |(peer, addresses): (PeerId, Vec<Multiaddr>)| async move {
        let reach = reach::connected(away, peer, addresses.clone()).await;
        Bootstrap {
            peer_id: peer.to_base58(),
            addresses: addresses.iter().map(Multiaddr::to_string).collect(),
            error: reach.error().map(str::to_owned),
        }
    };
    future::join_all(peers.into_iter().map(one)).await
}

impl Under {
    fn now(&self) -> DhtTime {
        let (now, offset) = (self.clock.now(), self.clock_offset.unwrap_or_default());
        let by = Duration::try_from_secs_f64(offset.abs()).unwrap_or_default();
        if offset < 0.0 { now - by } else { now + by }
    }

    /// All models with their servers, of whom none has been called.
    async fn search(&mut self, plan: &Plan, until: Instant) -> Vec<(Model, Spans)> {
        let key = DhtId::of_text(MODEL_INDEX_KEY);
        self.sweep(vec![key], until).await;
        let Listed { models, notes } = index::models(&self.harvest, &key, &plan.models);
        self.notes.extend(notes);
        let uids = |model: &Model, prefix: &DhtPrefix| {
            let uid = |block| DhtId::of_text(&prefix.block(block).to_string());
            (0..model.num_blocks).map(uid).collect::<Vec<_>>()
        };
        let keys: Vec<DhtId> = models.iter().flat_map(|(prefix, model)| uids(model, prefix)).collect();
        if !keys.is_empty() {
            self.sweep(keys, until).await;
        }
        if self.harvest.unreadable > 0 {
            let unreadable = self.harvest.unreadable;
            self.notes.push(format!("{unreadable} answers hold something else than records of servers"));
        }
        if self.harvest.left_out > 0 {
            self.notes.push(format!("{} records are left out: there are too many", self.harvest.left_out));
        }
        let (now, mut all) = (self.now(), Vec::with_capacity(models.len()));
        for (prefix, mut model) in models {
            let spans = spans::of(&self.harvest, &prefix, model.num_blocks, now);
            model.notes.extend(spans.notes.iter().cloned());
            all.push((model, spans));
            yield_now().await;
        }
        self.harvest = Harvest::default();
        all
    }

    /// Searches for `keys`, and notes if there was no time for all of it.
    async fn sweep(&mut self, keys: Vec<DhtId>, until: Instant) {
        let breadth = if keys.len() < MANY_KEYS { BREADTH } else { BREADTH_OF_MANY };
        let own = self.away.local_peer_id();
        let mut sweep = Sweep::new(own, keys, breadth, std::mem::take(&mut self.contacts));
        let (mut calls, mut lines) = (FuturesUnordered::new(), VecDeque::new());
        let away = self.away.clone();
        let call = |peer, keys: Vec<DhtId>| {
            let (away, request) = (away.clone(), Request::Find { sender: None, keys });
            async move {
                let answer = exchange(&away, peer, &request, CALL_DEADLINE).await;
                let Request::Find { keys, .. } = request else { return (peer, Vec::new(), answer) };
                (peer, keys, answer)
            }
        };
        loop {
            while calls.len() < CALLS_AT_ONCE
                && let Some((peer, keys)) = sweep.next_call()
            {
                calls.push(call(peer, keys));
            }
            let Ok(ended) = timeout_at(until, calls.next()).await else {
                self.complete = false;
                self.notes.push("the search of the DHT did not end in time".to_owned());
                break;
            };
            let Some((peer, keys, answer)) = ended else { break };
            match answer {
                Ok(Response::Find { sender, results }) => {
                    self.dht_peers.insert(peer);
                    let now = self.now();
                    for (key, value) in keys.iter().zip(&results) {
                        if let Some(value) = &value.value {
                            self.harvest.take(*key, value, now);
                        }
                    }
                    let named = results.into_iter().flat_map(|result| result.neighbours);
                    sweep.answered(&peer, sender, named);
                }
                _ => sweep.failed(&peer, &keys),
            }
            if !lines.contains(&peer) {
                lines.push_back(peer);
            }
            if lines.len() > MOST_LINES
                && let Some(oldest) = lines.pop_front()
            {
                match sweep.is_calling(&oldest) {
                    true => lines.push_back(oldest),
                    false => away.hang_up(oldest).await,
                }
            }
        }
        self.contacts = sweep.contacts().collect();
    }

    /// Calls every server that says it is online.
    async fn call(&mut self, models: Vec<(Model, Spans)>, plan: &Plan, until: Instant) -> Vec<Model> {
        let servers = models.iter().flat_map(|(_, spans)| &spans.servers);
        let online = servers.filter(|(_, server)| server.info.state == ServerState::Online);
        let online: BTreeSet<PeerId> = online.map(|(peer, _)| *peer).collect();
        let count = online.len();
        let asked = reach::ask(&self.away, online.into_iter().collect(), plan.servers_at_once, until).await;
        if asked.len() < count {
            self.complete = false;
            self.notes.push(format!("there was no time to call {} servers", count - asked.len()));
        }
        let told = |(model, spans)| tell(model, spans, &asked);
        models.into_iter().map(told).collect()
    }
}

/// Puts together what is known of a model's servers.
fn tell(mut model: Model, spans: Spans, asked: &HashMap<PeerId, Asked>) -> Model {
    for (peer, mut server) in spans.servers {
        if let (Some(asked), ServerState::Online) = (asked.get(&peer), server.info.state) {
            server.reach = Reach::clone(&asked.reach);
            server.addresses = asked.addresses.iter().map(Multiaddr::to_string).collect();
        }
        model.servers.push(server);
    }
    model.bad_records.extend(spans.bad_records);
    model
}
