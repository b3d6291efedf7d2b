//! A large swarm as a crawl meets it: every node of its DHT knows who is nearest to any key, the five nearest hold the
//! records, and the servers answer. One task plays all of them, so that thousands cost little.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use futures::FutureExt;
use hivemind_proto::{
    dht::{
        Contact, DhtId, FIND_HANDLER, FindResult, FoundValue, PING_HANDLER, REPLICAS, Request, Response,
        Subkey, dictionary, routing::BUCKET_SIZE,
    },
    messages::hivemind::ExpertInfo,
    records::{
        BlockRange, DhtPrefix, MODEL_INDEX_KEY, ModelInfo, RPC_INFO_HANDLER, RpcInfo, ServerInfo, ServerState,
    },
    time::{Clock, DhtTime},
    unary::CallError,
};
use libp2p::PeerId;
use prost::Message;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use crate::{
    clock::SystemClock,
    network::{Command, Commands, ConnectError, Departures, Handle, Passage},
};

/// One way between any two.
const LATENCY: Duration = Duration::from_millis(10);

/// Until the records expire.
const TTL: Duration = Duration::from_secs(300);

/// The entries of one key, encoded.
type Entries = Vec<(Subkey, Arc<[u8]>)>;

/// How large the swarm is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) servers: usize,
    pub(super) models: usize,
    pub(super) blocks: u32,
    /// Of so many servers one hangs when it is called.
    pub(super) one_hangs_of: usize,
}

/// Everybody and what they hold.
pub(super) struct Stage {
    /// In the order of their ids.
    nodes: Vec<Contact>,
    ids: HashMap<PeerId, DhtId>,
    records: HashMap<DhtId, (Vec<u8>, DhtTime)>,
    pub(super) hanging: HashSet<PeerId>,
    rpc_info: Vec<u8>,
}

impl Stage {
    pub(super) fn of(size: Size) -> Arc<Self> {
        let mut rng = SmallRng::seed_from_u64(5);
        let contact = |_| Contact { id: DhtId::random(&mut rng), peer: PeerId::random() };
        let mut nodes: Vec<Contact> = (0..size.servers).map(contact).collect();
        nodes.sort_by_key(|node| node.id);
        let ids = nodes.iter().map(|node| (node.peer, node.id)).collect();
        let (expiration, mut rng) = (SystemClock.now() + TTL, SmallRng::seed_from_u64(6));
        let mut dictionaries: HashMap<String, Entries> = HashMap::new();
        for (number, node) in nodes.iter().enumerate() {
            let prefix: DhtPrefix = format!("model-{}", number % size.models).parse().unwrap();
            let length = rng.random_range(size.blocks / 3..=size.blocks);
            let start = rng.random_range(0..=size.blocks - length);
            let blocks = BlockRange::new(start, start + length).unwrap();
            let near = (0..3).map(|step| nodes[(number + step * size.models) % nodes.len()].peer);
            let server = ServerInfo {
                public_name: Some(format!("server {number}")),
                version: Some("2.3.0.dev2".to_owned()),
                network_rps: Some(123.4.try_into().unwrap()),
                cache_tokens_left: Some(8192),
                next_pings: Some(near.map(|peer| (peer, 0.05)).collect()),
                ..ServerInfo::new(ServerState::Online, 12.5.try_into().unwrap(), blocks)
            };
            let (subkey, value) = (Subkey::text(&node.peer.to_base58()), Arc::from(server.encode()));
            for block in blocks.iter() {
                let entries = dictionaries.entry(prefix.block(block).to_string()).or_default();
                entries.push((subkey.clone(), Arc::clone(&value)));
            }
        }
        let model = ModelInfo::new(size.blocks, Some("https://huggingface.co/org/model".to_owned())).unwrap();
        let index = (0..size.models).map(|n| (Subkey::text(&format!("model-{n}")), model.encode().into()));
        dictionaries.insert(MODEL_INDEX_KEY.to_owned(), index.collect());
        let encode = |(key, entries): (String, Entries)| {
            let at = expiration.as_unix();
            let items = entries.iter().map(|(subkey, value)| (subkey, &value[..], at));
            (DhtId::of_text(&key), (dictionary::encode(at, items), expiration))
        };
        let rpc_info = RpcInfo {
            version: "2.3.0".to_owned(),
            dht_client_mode: false,
            cache_tokens_available: 1,
            torch_dtype: None,
            spans: vec![],
            public_name: None,
            throughput: 1.0.try_into().unwrap(),
            state: ServerState::Online,
        };
        Arc::new(Self {
            hanging: nodes.iter().skip(1).step_by(size.one_hangs_of).map(|node| node.peer).collect(),
            ids,
            records: dictionaries.into_iter().map(encode).collect(),
            rpc_info: ExpertInfo { serialized_info: rpc_info.encode() }.encode_to_vec(),
            nodes,
        })
    }

    /// Somebody through whom the swarm is entered.
    pub(super) fn door(&self) -> PeerId {
        self.nodes[0].peer
    }

    /// A stranger's way into it.
    pub(super) fn departures(self: &Arc<Self>) -> Departures {
        let stage = Arc::clone(self);
        Departures::by(move || {
            let (network, commands) = Handle::channel(PeerId::random(), 1024);
            let played = tokio::spawn(Arc::clone(&stage).play(commands));
            let guard = Box::new(Played(played.abort_handle()));
            async { Ok(Passage { network, guard }) }.boxed_local()
        })
    }

    async fn play(self: Arc<Self>, commands: Commands) {
        while let Ok(command) = commands.recv().await {
            let stage = Arc::clone(&self);
            match command {
                Command::Call { peer, call } => drop(tokio::spawn(async move {
                    tokio::time::sleep(2 * LATENCY).await;
                    if call.handler.as_str() == RPC_INFO_HANDLER && stage.hanging.contains(&peer) {
                        std::future::pending::<()>().await;
                    }
                    let _ = call.reply.send(stage.answer(peer, call.handler.as_str(), &call.data));
                })),
                Command::Connect { peer, reply, .. } => drop(tokio::spawn(async move {
                    tokio::time::sleep(4 * LATENCY).await;
                    let _ = reply.send(match stage.ids.contains_key(&peer) {
                        true => Ok(()),
                        false => Err(ConnectError::Unreachable("nobody is there".into())),
                    });
                })),
                Command::Addresses { reply, .. } => drop(reply.send(HashMap::new())),
                Command::Status { .. } | Command::HangUp { .. } => {}
            }
        }
    }

    fn answer(&self, peer: PeerId, handler: &str, data: &[u8]) -> Result<Vec<u8>, CallError> {
        let own = self.ids.get(&peer).copied().ok_or(CallError::ConnectionLost)?;
        if handler == RPC_INFO_HANDLER {
            return Ok(self.rpc_info.clone());
        }
        assert!(handler == PING_HANDLER || handler == FIND_HANDLER, "{handler}");
        Ok(match Request::decode(handler, data).unwrap() {
            Request::Ping { .. } => {
                Response::Ping { sender: Some(own), time: Some(SystemClock.now()), available: false }
            }
            Request::Find { keys, .. } => {
                let results = keys.iter().map(|key| self.find(own, key)).collect();
                Response::Find { sender: Some(own), results }
            }
            Request::Store { .. } => panic!("a crawl stores nothing"),
        }
        .encode())
    }

    fn find(&self, own: DhtId, key: &DhtId) -> FindResult {
        let mut neighbours = Vec::new();
        self.nearest(0..self.nodes.len(), 0, key, &mut neighbours);
        let holds = neighbours.iter().take(REPLICAS).any(|node| node.id == own);
        let record = self.records.get(key).filter(|_| holds);
        let value = record.map(|(bytes, at)| FoundValue::Dictionary(bytes.clone(), at.as_unix()));
        neighbours.retain(|node| node.id != own);
        FindResult { value, neighbours }
    }

    /// Those nearest to `key` of a range whose ids have the same first bits, nearest first.
    fn nearest(&self, range: Range<usize>, bit: usize, key: &DhtId, nearest: &mut Vec<Contact>) {
        let left = BUCKET_SIZE.saturating_sub(nearest.len());
        if left == 0 || range.is_empty() {
            return;
        }
        if range.len() <= 4 {
            let mut few = self.nodes[range].to_vec();
            few.sort_by_key(|node| node.id.distance(key));
            return nearest.extend(few.into_iter().take(left));
        }
        let half = range.start + self.nodes[range.clone()].partition_point(|node| !node.id.bit(bit));
        let (low, high) = (range.start..half, half..range.end);
        let (near, far) = if key.bit(bit) { (high, low) } else { (low, high) };
        self.nearest(near, bit + 1, key, nearest);
        self.nearest(far, bit + 1, key, nearest);
    }
}

struct Played(tokio::task::AbortHandle);

impl Drop for Played {
    fn drop(&mut self) {
        self.0.abort();
    }
}
