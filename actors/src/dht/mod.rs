//! The dht actor keeps this true: hivemind's DHT is answered, searched and written to, and its table is fresh.
//!
//! It drives [`hivemind_proto::dht::Node`]: carries its calls to the network, brings it the requests of others, and
//! tells it the time. That is swarm time: others' records expire by the clock of whoever stored them, so while most of
//! the nodes that we know say that our clock is wrong, theirs counts, for what we store and for what we hold alike.
//! To know, and to notice members that have gone while nobody searches, it pings a few of them each minute, and those
//! at once whose last connection has closed.
//!
//! A restart loses what the node held for others and whom it knew; bootstrap, which stands below,
//! is rebuilt with it and fills the table again.
//!
//! Protocol facts: `hivemind/dht/protocol.py`, `hivemind/dht/node.py`; the call deadline is the original's
//! `wait_timeout`.

mod departures;
pub mod messages;
mod survey;
mod swarm_time;
#[cfg(test)]
pub(crate) mod tests;

use std::{collections::HashMap, time::Duration};

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, ContextFutureSpawner, Handler, ResponseFuture,
    StreamHandler, WrapFuture,
};
use futures::channel::oneshot;
use hivemind_proto::{
    bare_name::HandlerName,
    dht::{
        self, CallFailure, CallId, Contact, DhtId, Effect, FIND_HANDLER, InboundId, Node, Outcome,
        PING_HANDLER, Request, Response, STORE_HANDLER, TaskId,
    },
    time::{Clock, DhtTime},
    unary::InboundCall,
};
use libp2p::PeerId;
use rand::{SeedableRng, rngs::SmallRng};
use serde::Serialize;
use tokio::{sync::watch, time::Instant};

use self::{
    departures::Departures,
    messages::{Get, Lookup, LookupThrough, Members, Membership, Ping, Restarted, Store, TakePart},
    survey::Rounds,
    swarm_time::{ClockStatus, Survey},
};
use crate::{
    clock::{Correction, SharedClock, SwarmClock},
    network,
    supervisor::{Birth, Drain, Probe, ProbeReport},
};

/// Requests of others that wait for this actor. A request takes it some 10 µs, so a full queue is worked off long
/// before its callers, who wait 3 s, give up.
pub const INBOUND_CAPACITY: usize = 4096;

/// How often overdue tasks are ended, and it is looked whether anything has expired.
const TICK: Duration = Duration::from_secs(1);

/// Between two goes at what has expired. One takes mostly a fraction of a millisecond, so most of the time is left to
/// requests, and still 100,000 records that expire together have gone within ten seconds.
const EVICTION_PAUSE: Duration = Duration::from_millis(1);

/// What the actor is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What its node is made of.
    pub node: dht::Settings,
    /// How long one call may take.
    pub call_deadline: Duration,
}

/// How many other nodes the table holds, whenever that changes.
pub type KnownNodes = watch::Receiver<usize>;

/// The actor.
pub struct Dht {
    settings: Settings,
    network: network::Handle,
    local_clock: SharedClock,
    clock: SwarmClock,
    correction: watch::Sender<Correction>,
    survey: Survey,
    rounds: Rounds,
    departures: Departures,
    rng: SmallRng,
    birth: Birth,
    node: Node,
    handlers: Handlers,
    tasks: HashMap<TaskId, oneshot::Sender<Outcome>>,
    inbound: HashMap<InboundId, Box<InboundCall>>,
    next_inbound: u64,
    malformed: u64,
    known: watch::Sender<usize>,
}

/// The names under which the DHT is called.
#[derive(Debug, Clone)]
struct Handlers {
    ping: HandlerName,
    store: HandlerName,
    find: HandlerName,
}

impl Handlers {
    fn new() -> Self {
        #[expect(clippy::expect_used, reason = "the three names are constants that the name rules allow")]
        let name = |name| HandlerName::new(name).expect("a valid name");
        Self { ping: name(PING_HANDLER), store: name(STORE_HANDLER), find: name(FIND_HANDLER) }
    }

    fn of(&self, request: &Request) -> &HandlerName {
        match request {
            Request::Ping { .. } => &self.ping,
            Request::Store { .. } => &self.store,
            Request::Find { .. } => &self.find,
        }
    }
}

/// What a probe of the actor tells.
#[derive(Debug, Serialize)]
struct Status<'a> {
    node_id: String,
    client_mode: bool,
    known_nodes: usize,
    stored_keys: usize,
    stored_entries: usize,
    stored_bytes: usize,
    cached_entries: usize,
    tasks: usize,
    malformed_requests: u64,
    clock: ClockStatus,
    #[serde(flatten)]
    counters: &'a dht::Counters,
}

impl Dht {
    /// An actor whose node knows nobody yet.
    pub fn new(settings: Settings, network: network::Handle, clock: SharedClock, birth: Birth) -> Self {
        let node = Node::new(settings.node.clone(), network.local_peer_id(), clock.now());
        let correction = watch::Sender::default();
        Self {
            rng: SmallRng::seed_from_u64(settings.node.seed),
            settings,
            network,
            local_clock: clock.clone(),
            clock: SwarmClock::new(clock, correction.subscribe()),
            correction,
            survey: Survey::default(),
            rounds: Rounds::default(),
            departures: Departures::default(),
            birth,
            node,
            handlers: Handlers::new(),
            tasks: HashMap::new(),
            inbound: HashMap::new(),
            next_inbound: 0,
            malformed: 0,
            known: watch::Sender::new(0),
        }
    }

    /// Starts a task and carries out what it asks for; the receiver gets its outcome.
    fn start(
        &mut self,
        ctx: &mut Context<Self>,
        task: impl FnOnce(&mut Node, DhtTime) -> TaskId,
    ) -> oneshot::Receiver<Outcome> {
        let (reply, outcome) = oneshot::channel();
        let task = task(&mut self.node, self.clock.now());
        self.tasks.insert(task, reply);
        self.settle(ctx);
        outcome
    }

    /// Drops what has expired, a part at a time, for as long as the actor lives.
    fn evict(&mut self, ctx: &mut Context<Self>) {
        let more = self.node.evict(self.clock.now());
        ctx.run_later(if more { EVICTION_PAUSE } else { TICK }, Self::evict);
    }

    /// Carries out all that the node wants done.
    fn settle(&mut self, ctx: &mut Context<Self>) {
        while let Some(effect) = self.node.next_effect() {
            match effect {
                Effect::Call { call, peer, request } => self.call(ctx, call, peer, request),
                Effect::Answer { inbound, response } => {
                    if let Some(call) = self.inbound.remove(&inbound) {
                        call.answer(Ok(response.encode()));
                    }
                }
                Effect::Done { task, outcome } => {
                    if let Some(reply) = self.tasks.remove(&task) {
                        // Whoever asked may be gone by now.
                        let _ = reply.send(outcome);
                    }
                }
            }
        }
        let known = self.node.table().len();
        self.known.send_if_modified(|last| std::mem::replace(last, known) != known);
    }

    fn call(&self, ctx: &mut Context<Self>, call: CallId, peer: PeerId, request: Request) {
        let handler = self.handlers.of(&request).clone();
        let (network, deadline) = (self.network.clone(), self.settings.call_deadline);
        let asked = self.local_clock.now();
        let answer = async move {
            let begun = Instant::now();
            let bytes = network.call(peer, &handler, request.encode(), deadline).await;
            let round_trip = begun.elapsed();
            let bytes = bytes.map_err(|error| CallFailure(error.to_string()))?;
            let response = Response::decode(&request, &bytes);
            Ok((response.map_err(|error| CallFailure(error.to_string()))?, round_trip))
        };
        answer
            .into_actor(self)
            .map(move |result, this, ctx| {
                if let Err(failure) = &result {
                    tracing::debug!(%peer, %failure, "dht call failed");
                }
                if let Ok((Response::Ping { time: Some(told), .. }, round_trip)) = &result {
                    this.survey.sample(peer, asked, *told, *round_trip, Instant::now());
                }
                let result = result.map(|(response, _)| response);
                this.node.call_ended(call, result, this.clock.now());
                this.settle(ctx);
            })
            .spawn(ctx);
    }
}

impl Actor for Dht {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Handlers { ping, store, find } = self.handlers.clone();
        ctx.add_stream(self.network.registry().serve(&[ping, store, find], INBOUND_CAPACITY));
        ctx.add_stream(departures::disconnected(self.network.events()));
        ctx.run_interval(TICK, |this, ctx| {
            this.keep_time(ctx);
            this.node.tick(this.clock.now());
            this.settle(ctx);
        });
        self.evict(ctx);
        self.birth.ready.notify();
    }
}

impl StreamHandler<Box<InboundCall>> for Dht {
    fn handle(&mut self, mut call: Box<InboundCall>, ctx: &mut Self::Context) {
        if call.is_cancelled() {
            return;
        }
        let request = match Request::decode(call.handler.as_str(), &call.data) {
            Ok(request) => request,
            Err(error) => {
                self.malformed += 1;
                return call.answer(Err(error.to_string()));
            }
        };
        // Only the request is needed from here on; a store's values need not be held twice.
        call.data = Vec::new();
        let (inbound, caller) = (InboundId(self.next_inbound), call.caller);
        self.next_inbound += 1;
        self.inbound.insert(inbound, call);
        self.node.request(inbound, caller, request, self.clock.now());
        self.settle(ctx);
    }
}

impl Handler<Ping> for Dht {
    type Result = ResponseFuture<Result<dht::Pong, CallFailure>>;

    fn handle(&mut self, Ping { peer, validate }: Ping, ctx: &mut Self::Context) -> Self::Result {
        let outcome = self.start(ctx, |node, now| node.ping(peer, validate, now));
        Box::pin(async move {
            match outcome.await {
                Ok(Outcome::Ping(pong)) => pong,
                _ => Err(CallFailure(Restarted.to_string())),
            }
        })
    }
}

impl Handler<Lookup> for Dht {
    type Result = ResponseFuture<Result<HashMap<DhtId, dht::Found>, Restarted>>;

    fn handle(&mut self, Lookup { keys }: Lookup, ctx: &mut Self::Context) -> Self::Result {
        found(self.start(ctx, |node, now| node.lookup(keys, now)))
    }
}

impl Handler<Get> for Dht {
    type Result = ResponseFuture<Result<HashMap<DhtId, dht::Found>, Restarted>>;

    fn handle(&mut self, Get { keys }: Get, ctx: &mut Self::Context) -> Self::Result {
        found(self.start(ctx, |node, now| node.get(keys, None, now)))
    }
}

/// The end of a search.
fn found(
    outcome: oneshot::Receiver<Outcome>,
) -> ResponseFuture<Result<HashMap<DhtId, dht::Found>, Restarted>> {
    Box::pin(async move {
        match outcome.await {
            Ok(Outcome::Lookup(found)) => Ok(found),
            _ => Err(Restarted),
        }
    })
}

impl Handler<LookupThrough> for Dht {
    type Result = ResponseFuture<Result<HashMap<DhtId, dht::Found>, Restarted>>;

    fn handle(
        &mut self,
        LookupThrough { first, keys }: LookupThrough,
        ctx: &mut Self::Context,
    ) -> Self::Result {
        found(self.start(ctx, |node, now| node.lookup_through(first, keys, now)))
    }
}

impl Handler<Members> for Dht {
    type Result = Vec<Contact>;

    fn handle(&mut self, Members { most }: Members, _: &mut Self::Context) -> Self::Result {
        self.node.table().nearest(&self.node.id(), most, None)
    }
}

impl Handler<Store> for Dht {
    type Result = ResponseFuture<Result<dht::StoreReport, Restarted>>;

    fn handle(&mut self, Store { records }: Store, ctx: &mut Self::Context) -> Self::Result {
        let outcome = self.start(ctx, |node, now| node.store(records, now));
        Box::pin(async move {
            match outcome.await {
                Ok(Outcome::Store(report)) => Ok(report),
                _ => Err(Restarted),
            }
        })
    }
}

impl Handler<Membership> for Dht {
    type Result = actix::MessageResult<Membership>;

    fn handle(&mut self, _: Membership, _: &mut Self::Context) -> Self::Result {
        actix::MessageResult(messages::Member {
            id: self.node.id(),
            known: self.known.subscribe(),
            clock: self.clock.clone(),
        })
    }
}

impl Handler<TakePart> for Dht {
    type Result = ();

    fn handle(&mut self, TakePart { as_client }: TakePart, _: &mut Self::Context) {
        self.node.set_client_mode(as_client);
    }
}

impl Handler<Probe> for Dht {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        ProbeReport::of(&Status {
            node_id: self.node.id().to_string(),
            client_mode: self.node.client_mode(),
            known_nodes: self.node.table().len(),
            stored_keys: self.node.storage().keys(),
            stored_entries: self.node.storage().entries(),
            stored_bytes: self.node.storage().bytes(),
            cached_entries: self.node.cache().entries(),
            tasks: self.tasks.len(),
            malformed_requests: self.malformed,
            clock: self.survey.status(),
            counters: self.node.counters(),
        })
    }
}

/// Everybody who needs the DHT to say farewell stands below this actor and has stopped before it.
impl Handler<Drain> for Dht {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {}
}
