//! What a peer announces, looked up as the health monitor does, but through that peer: the index of models, then each
//! block of each model (`petals/utils/dht.py`, `get_remote_module_infos`; `health.petals.dev/health.py`).

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use hivemind_proto::bare_name::HandlerName;
use hivemind_proto::dht::{
    self, CallFailure, Contact, DhtId, Dictionary, Effect, Found, FreshValue, Node, Outcome, Request,
    Response, Subkey,
};
use hivemind_proto::records::{BlockRange, DhtPrefix, MODEL_INDEX_KEY, ModelInfo, ServerInfo, ServerState};
use hivemind_proto::time::{Clock, DhtTime};
use petald_actors::clock::SystemClock;
use petald_actors::network::Handle;
use serde::Serialize;

/// Hivemind's `wait_timeout`.
const CALL_DEADLINE: Duration = Duration::from_secs(3);
/// Blocks that are looked up; the largest public swarms have some hundred. What is beyond is told as an error.
const MOST_BLOCKS: usize = 4096;

/// A span of blocks with one and the same record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Announced {
    pub(super) model: String,
    /// `start:end`.
    pub(super) blocks: String,
    pub(super) state: ServerState,
    pub(super) throughput: f64,
    pub(super) version: Option<String>,
    pub(super) public_name: Option<String>,
    /// Until the first of them expires, by the swarm's clock.
    pub(super) expires_in_seconds: f64,
}

impl fmt::Display for Announced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, blocks, throughput, expires_in_seconds, .. } = self;
        let state = match self.state {
            ServerState::Offline => "OFFLINE",
            ServerState::Joining => "JOINING",
            ServerState::Online => "ONLINE",
        };
        write!(f, "{model} {blocks} {state}, throughput {throughput}, expires in {expires_in_seconds:.0} s")
    }
}

/// All records of `through`'s peer. `offset`: its clock minus ours, in seconds. `model`: one that the index may not list.
pub(super) async fn of(
    network: &Handle,
    through: Contact,
    offset: f64,
    model: Option<&(DhtPrefix, u32)>,
) -> Result<Vec<Announced>, String> {
    let mut search = Search { network, node: node(network), through, offset };
    let index = DhtId::of_text(MODEL_INDEX_KEY);
    let mut found = search.look_up(vec![index]).await?;
    let mut models: Vec<(DhtPrefix, u32)> = found.remove(&index).map(models_of).unwrap_or_default();
    models.extend(model.filter(|(prefix, _)| models.iter().all(|(known, _)| known != prefix)).cloned());
    let blocks = models.iter().flat_map(|(prefix, blocks)| (0..*blocks).map(|block| prefix.block(block)));
    let keys: Vec<DhtId> = blocks.take(MOST_BLOCKS + 1).map(|uid| DhtId::of_text(&uid.to_string())).collect();
    match keys.len() {
        0 => return Ok(Vec::new()),
        number if number > MOST_BLOCKS => {
            return Err(format!("the swarm has more than {MOST_BLOCKS} blocks"));
        }
        _ => {}
    }
    let found = search.look_up(keys).await?;
    let (subkey, now) = (Subkey::text(&through.peer.to_base58()), search.now());
    let mut announced = Vec::new();
    for (prefix, blocks) in &models {
        spans(prefix, *blocks, &found, &subkey, now, &mut announced)?;
    }
    Ok(announced)
}

fn node(network: &Handle) -> Node {
    let settings = dht::Settings {
        id: DhtId::random(&mut rand::rng()),
        client_mode: true,
        storage: dht::storage::Limits::default(),
        cache: dht::storage::Limits::of_cache(),
        acceptance: dht::Acceptance::ANYTHING,
        caching: dht::Caching::off(),
        seed: rand::random(),
    };
    Node::new(settings, network.local_peer_id(), SystemClock.now())
}

/// Every model of the index that can be read.
fn models_of(index: Found) -> Vec<(DhtPrefix, u32)> {
    let Some(FreshValue::Dictionary(entries)) = index.value else { return Vec::new() };
    let model = |(prefix, item): (&Subkey, &dht::Item)| {
        Some((prefix.as_text()?.parse().ok()?, ModelInfo::decode(&item.value).ok()?.num_blocks()))
    };
    entries.iter().filter_map(model).collect()
}

/// Joins blocks in a row whose records say the same.
fn spans(
    prefix: &DhtPrefix,
    blocks: u32,
    found: &HashMap<DhtId, Found>,
    subkey: &Subkey,
    now: DhtTime,
    announced: &mut Vec<Announced>,
) -> Result<(), String> {
    let mut last: Option<(BlockRange, ServerInfo, DhtTime)> = None;
    for block in 0..blocks {
        let uid = prefix.block(block).to_string();
        let value = found.get(&DhtId::of_text(&uid)).and_then(|found| found.value.as_ref());
        let Some(item) = value.and_then(entries).and_then(|entries| entries.get(subkey)) else { continue };
        let server = ServerInfo::decode(&item.value).map_err(|error| format!("{uid}: {error}"))?;
        let wrong = |error: &dyn fmt::Display| format!("{uid}: {error}");
        last = Some(match last.take() {
            Some((span, said, expires)) if span.end() == block && said == server => {
                let span = BlockRange::new(span.start(), block + 1).map_err(|error| wrong(&error))?;
                (span, said, expires.min(item.expiration))
            }
            before => {
                announced.extend(before.map(|before| told(prefix, before, now)));
                let span = BlockRange::new(block, block + 1).map_err(|error| wrong(&error))?;
                (span, server, item.expiration)
            }
        });
    }
    announced.extend(last.map(|last| told(prefix, last, now)));
    Ok(())
}

fn entries(value: &FreshValue) -> Option<&Dictionary> {
    match value {
        FreshValue::Dictionary(entries) => Some(entries),
        FreshValue::Plain(_) => None,
    }
}

fn told(
    prefix: &DhtPrefix,
    (span, server, expires): (BlockRange, ServerInfo, DhtTime),
    now: DhtTime,
) -> Announced {
    Announced {
        model: prefix.to_string(),
        blocks: span.to_string(),
        state: server.state,
        throughput: server.throughput.get(),
        version: server.version,
        public_name: server.public_name,
        expires_in_seconds: expires.seconds_since(now),
    }
}

/// Lookups that begin at one peer.
struct Search<'n> {
    network: &'n Handle,
    node: Node,
    through: Contact,
    offset: f64,
}

impl Search<'_> {
    /// The freshest values under `keys`; an error if nobody answers at all.
    async fn look_up(&mut self, keys: Vec<DhtId>) -> Result<HashMap<DhtId, Found>, String> {
        let lookup = self.node.lookup_through(self.through, keys, self.now());
        let (mut calls, mut answers, mut cause) = (FuturesUnordered::new(), 0, "nobody was asked".to_owned());
        loop {
            while let Some(effect) = self.node.next_effect() {
                match effect {
                    Effect::Done { task, outcome: Outcome::Lookup(found) } if task == lookup => {
                        return if answers > 0 { Ok(found) } else { Err(cause) };
                    }
                    Effect::Call { call, peer, request } => {
                        let network = self.network.clone();
                        calls.push(async move { (call, exchange(&network, peer, &request).await) });
                    }
                    Effect::Answer { .. } | Effect::Done { .. } => {}
                }
            }
            let Some((call, result)) = calls.next().await else { return Err(cause) };
            match &result {
                Ok(_) => answers += 1,
                Err(failure) => cause = failure.to_string(),
            }
            let now = self.now();
            self.node.call_ended(call, result, now);
            self.node.tick(now);
        }
    }

    /// The swarm's time.
    fn now(&self) -> DhtTime {
        let now = SystemClock.now();
        let offset = Duration::try_from_secs_f64(self.offset.abs()).unwrap_or_default();
        if self.offset < 0.0 { now - offset } else { now + offset }
    }
}

async fn exchange(
    network: &Handle,
    peer: libp2p::PeerId,
    request: &Request,
) -> Result<Response, CallFailure> {
    let handler = HandlerName::new(request.handler()).map_err(|error| CallFailure(error.to_string()))?;
    let answer = network.call(peer, &handler, request.encode(), CALL_DEADLINE).await;
    let bytes = answer.map_err(|error| CallFailure(error.to_string()))?;
    Response::decode(request, &bytes).map_err(|error| CallFailure(error.to_string()))
}
