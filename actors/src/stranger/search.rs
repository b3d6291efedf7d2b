//! The stranger's own node of the DHT: a client that pings, and looks keys up as the health monitor does.
//!
//! [`dht::Node`] decides whom to call; here its calls are carried out, and every answer is noted before the node sees
//! it: who holds which record. What we answer ourselves does not count, unless nobody else is there.
//!
//! Protocol facts: `hivemind/dht/node.py` (`get_many_by_id`), `petals/utils/dht.py` (`get_remote_module_infos`).

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use hivemind_proto::{
    dht::{
        self, CallFailure, CallId, Contact, DhtId, Effect, FoundValue, Node, REPLICAS, Request, Response,
        Subkey, dictionary,
    },
    records::ServerState,
    time::DhtTime,
};
use libp2p::PeerId;

use super::calls::exchange;
use crate::{clock::SharedClock, network};

/// How long one call may take: hivemind's `wait_timeout`.
const CALL_DEADLINE: Duration = Duration::from_secs(3);

/// In a large swarm the search goes on only until every record was seen once: each further peer costs a connection.
const MANY_CALLS: usize = 64;

/// No search makes more.
const MOST_CALLS: usize = 512;

/// A record that is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) key: DhtId,
    pub(crate) subkey: Subkey,
}

/// What was seen of one record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    /// Nobody holds it.
    Nowhere,
    /// Nobody holds it but us.
    OnlyAtOurselves,
    /// Somebody gave one that has expired, so many seconds ago.
    Expired(f64),
    /// It cannot be read.
    Unreadable(String),
    /// It is there.
    Found {
        /// The state in it; `None` for the model's entry, which has none.
        state: Option<ServerState>,
        /// In swarm time.
        seconds_to_live: f64,
        /// Peers other than us that hold it.
        replicas: usize,
    },
}

/// What was noted of one record.
#[derive(Debug, Default)]
struct Trace {
    holders: HashSet<PeerId>,
    at_ourselves: bool,
    freshest: Option<(DhtTime, Vec<u8>)>,
    expired: Option<DhtTime>,
    /// Somebody holds one value where a dictionary belongs.
    displaced: bool,
}

/// What a peer answered to a ping.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// Whether it is a full node; a client of the DHT helps nobody in.
    pub(crate) node: bool,
    /// Its clock minus ours, in seconds.
    pub(crate) clock_offset: Option<f64>,
}

struct Ended {
    call: CallId,
    peer: PeerId,
    request: Request,
    sent: DhtTime,
    received: DhtTime,
    result: Result<Response, CallFailure>,
}

/// The stranger's node.
pub(crate) struct Stranger {
    network: network::Handle,
    clock: SharedClock,
    /// Added to our clock to have the swarm's.
    offset: f64,
    /// Whose answers to finds are not heard.
    deaf_to: Option<PeerId>,
    own: PeerId,
    node: Node,
    calls: FuturesUnordered<BoxFuture<'static, Ended>>,
    traces: HashMap<DhtId, Trace>,
    wanted: Vec<Wanted>,
    pongs: HashMap<PeerId, Result<Answer, String>>,
    called: HashSet<PeerId>,
    finds: usize,
    answers: usize,
}

impl Stranger {
    /// A node that knows nobody, and looks for records of `own`.
    pub(crate) fn new(network: network::Handle, clock: SharedClock, own: PeerId, seed: u64) -> Self {
        let settings = dht::Settings {
            id: DhtId::of_bytes(&seed.to_be_bytes()),
            client_mode: true,
            storage: dht::storage::Limits::default(),
            cache: dht::storage::Limits::of_cache(),
            acceptance: dht::Acceptance::ANYTHING,
            caching: dht::Caching::off(),
            seed,
        };
        let node = Node::new(settings, network.local_peer_id(), clock.now());
        Self {
            network,
            clock,
            offset: 0.0,
            deaf_to: Some(own),
            own,
            node,
            calls: FuturesUnordered::new(),
            traces: HashMap::new(),
            wanted: Vec::new(),
            pongs: HashMap::new(),
            called: HashSet::new(),
            finds: 0,
            answers: 0,
        }
    }

    /// Pings all of `peers` at once: those that answer are whom the search begins with.
    pub(crate) async fn ping(&mut self, peers: &[PeerId]) -> HashMap<PeerId, Result<Answer, String>> {
        let now = self.now();
        for peer in peers {
            self.node.ping(*peer, false, now);
        }
        self.work(|_| false).await;
        std::mem::take(&mut self.pongs)
    }

    /// From now on time is the swarm's, and what we answer counts only if nobody else is there.
    pub(crate) fn entered(&mut self, clock_offset: Option<f64>, through_ourselves: bool) {
        self.offset = clock_offset.unwrap_or(0.0);
        if through_ourselves {
            self.deaf_to = None;
        }
    }

    /// Looks for every record, and tells whether it came to an end. Cancelled, it has noted what it saw until then.
    pub(crate) async fn look_for(&mut self, wanted: Vec<Wanted>) -> bool {
        self.traces = wanted.iter().map(|wanted| (wanted.key, Trace::default())).collect();
        self.wanted = wanted;
        let (now, keys) = (self.now(), self.wanted.iter().map(|wanted| wanted.key).collect::<Vec<_>>());
        self.node.lookup(keys, now);
        self.work(Self::has_enough).await;
        self.finds < MOST_CALLS
    }

    /// What was seen of a record.
    pub(crate) fn seen(&self, wanted: &Wanted) -> Seen {
        let Some(trace) = self.traces.get(&wanted.key) else { return Seen::Nowhere };
        let now = self.now();
        match (&trace.freshest, trace.expired) {
            (Some((expiration, _)), _) => Seen::Found {
                state: None,
                seconds_to_live: expiration.seconds_since(now),
                replicas: trace.holders.len(),
            },
            (None, _) if trace.displaced => {
                Seen::Unreadable("others hold a value of somebody else's in place of it".to_owned())
            }
            (None, Some(expired)) => Seen::Expired(now.seconds_since(expired)),
            (None, None) if trace.at_ourselves => Seen::OnlyAtOurselves,
            (None, None) => Seen::Nowhere,
        }
    }

    /// The bytes of a record that was found.
    pub(crate) fn value(&self, wanted: &Wanted) -> Option<&[u8]> {
        let trace = self.traces.get(&wanted.key)?;
        trace.freshest.as_ref().map(|(_, value)| value.as_slice())
    }

    /// Finds that were answered by peers that count.
    pub(crate) fn answers(&self) -> usize {
        self.answers
    }

    /// Peers that were called.
    pub(crate) fn peers_called(&self) -> usize {
        self.called.len()
    }

    /// Nodes that it knows.
    pub(crate) fn contacts(&self) -> Vec<Contact> {
        self.node.table().members().collect()
    }

    fn has_enough(&self) -> bool {
        let every = |copies: usize| self.traces.values().all(|trace| trace.holders.len() >= copies);
        every(REPLICAS) || (self.finds >= MANY_CALLS && every(1)) || self.finds >= MOST_CALLS
    }

    fn now(&self) -> DhtTime {
        let now = self.clock.now();
        let offset = Duration::try_from_secs_f64(self.offset.abs()).unwrap_or_default();
        if self.offset < 0.0 { now - offset } else { now + offset }
    }

    /// Carries out what the node wants, until it wants nothing more or `enough` was seen.
    async fn work(&mut self, enough: impl Fn(&Self) -> bool) {
        loop {
            while let Some(effect) = self.node.next_effect() {
                // Nobody calls a stranger, so there is nothing to answer; what it finds is noted call by call.
                if let Effect::Call { call, peer, request } = effect {
                    self.call(call, peer, request);
                }
            }
            if enough(self) {
                return self.calls.clear();
            }
            let Some(ended) = self.calls.next().await else { return };
            self.note(&ended);
            let now = self.now();
            self.node.call_ended(ended.call, ended.result, now);
        }
    }

    fn call(&mut self, call: CallId, peer: PeerId, request: Request) {
        self.called.insert(peer);
        self.finds += usize::from(matches!(request, Request::Find { .. }));
        let (network, clock) = (self.network.clone(), self.clock.clone());
        let exchange = async move {
            let sent = clock.now();
            let result = exchange(&network, peer, &request, CALL_DEADLINE).await.map_err(CallFailure);
            Ended { call, peer, request, sent, received: clock.now(), result }
        };
        self.calls.push(exchange.boxed());
    }

    fn note(&mut self, ended: &Ended) {
        match (&ended.request, &ended.result) {
            (Request::Ping { .. }, Ok(Response::Ping { sender, time, .. })) => {
                let transit = ended.received.seconds_since(ended.sent) / 2.0;
                let clock_offset = time.map(|time| time.seconds_since(ended.sent) - transit);
                self.pongs.insert(ended.peer, Ok(Answer { node: sender.is_some(), clock_offset }));
            }
            (Request::Ping { .. }, Err(failure)) => {
                self.pongs.insert(ended.peer, Err(failure.to_string()));
            }
            (Request::Find { keys, .. }, Ok(Response::Find { results, .. })) => {
                self.answers += usize::from(self.deaf_to != Some(ended.peer));
                for (key, result) in keys.iter().zip(results) {
                    self.note_value(ended.peer, key, result.value.as_ref());
                }
            }
            _ => {}
        }
    }

    fn note_value(&mut self, peer: PeerId, key: &DhtId, value: Option<&FoundValue>) {
        let (now, ours, deaf) = (self.now(), peer == self.own, self.deaf_to == Some(peer));
        let subkeys = self.wanted.iter().find(|wanted| wanted.key == *key).map(|wanted| &wanted.subkey);
        let (Some(trace), Some(subkey)) = (self.traces.get_mut(key), subkeys) else { return };
        let items = match value {
            None => return,
            Some(FoundValue::Plain(..)) => {
                trace.displaced |= !deaf;
                return;
            }
            // A message is bounded, and so is what it holds.
            Some(FoundValue::Dictionary(bytes, _)) => {
                dictionary::decode(bytes, usize::MAX).unwrap_or_default()
            }
        };
        for item in items.into_iter().filter(|item| item.subkey == *subkey) {
            let Some(expiration) = DhtTime::from_unix(item.expiration) else { continue };
            trace.at_ourselves |= ours;
            if deaf {
                continue;
            }
            if expiration < now {
                trace.expired = trace.expired.max(Some(expiration));
                continue;
            }
            if !ours {
                trace.holders.insert(peer);
            }
            if trace.freshest.as_ref().is_none_or(|(freshest, _)| *freshest < expiration) {
                trace.freshest = Some((expiration, item.value.to_vec()));
            }
        }
    }
}
