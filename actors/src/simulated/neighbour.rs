//! A peer of the swarm around the node under test: hivemind's DHT and nothing else, in one task, cheap enough for a
//! simulated month.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures::{FutureExt, StreamExt, channel::oneshot, future::LocalBoxFuture, stream::FuturesUnordered};
use hivemind_proto::{
    bare_name::HandlerName,
    dht::{
        self, CallFailure, CallId, DhtId, Effect, FIND_HANDLER, Found, InboundId, Node, Outcome,
        PING_HANDLER, Request, Response, STORE_HANDLER, TaskId,
    },
    unary::{InboundCall, Mailbox},
};
use libp2p::PeerId;
use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{MissedTickBehavior, interval},
};

use super::SimulatedNetwork;
use crate::{clock::SharedClock, network::Handle};

/// How often it drops what has expired, and greets those of its initial peers that it has lost.
const TICK: Duration = Duration::from_secs(30);

/// Hivemind's `wait_timeout`.
const CALL_DEADLINE: Duration = Duration::from_secs(3);

/// Requests that wait for it.
const INBOUND: usize = 64;

/// Somebody of the swarm. Dropping it kills it without a word.
pub(crate) struct Neighbour {
    pub(crate) peer: PeerId,
    network: SimulatedNetwork,
    questions: mpsc::UnboundedSender<Question>,
    task: AbortHandle,
}

struct Question {
    keys: Vec<DhtId>,
    reply: oneshot::Sender<HashMap<DhtId, Found>>,
}

impl Neighbour {
    /// A node with the place `id`, that joins through `initial`. A client is seen by nobody.
    pub(crate) fn start(
        network: &SimulatedNetwork,
        clock: &SharedClock,
        peer: PeerId,
        id: DhtId,
        initial: Vec<PeerId>,
        client_mode: bool,
    ) -> Self {
        let handle = network.join(peer);
        let (questions, asked) = mpsc::unbounded_channel();
        let (storage, cache) = (dht::storage::Limits::default(), dht::storage::Limits::of_cache());
        let settings = dht::Settings {
            id,
            client_mode,
            storage,
            cache,
            acceptance: dht::Acceptance::ANYTHING,
            caching: dht::Caching::default(),
            seed: id.as_bytes()[0].into(),
        };
        let names = [PING_HANDLER, STORE_HANDLER, FIND_HANDLER].map(|name| HandlerName::new(name).unwrap());
        let life = Life {
            mailbox: handle.registry().serve(&names, INBOUND),
            names,
            node: Node::new(settings, peer, clock.now()),
            clock: clock.clone(),
            handle,
            initial: initial.into_iter().filter(|other| *other != peer).collect(),
            greeting: HashSet::new(),
            calls: FuturesUnordered::new(),
            inbound: HashMap::new(),
            next_inbound: 0,
            tasks: HashMap::new(),
        };
        let task = actix_rt::spawn(life.run(asked)).abort_handle();
        Self { peer, network: network.clone(), questions, task }
    }

    /// Searches for `keys`; nothing, if it is asked when nobody else is known.
    pub(crate) async fn lookup(&self, keys: Vec<DhtId>) -> HashMap<DhtId, Found> {
        let (reply, found) = oneshot::channel();
        let _ = self.questions.send(Question { keys, reply });
        found.await.unwrap_or_default()
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.task.abort();
        self.network.leave(self.peer);
    }
}

type Ended = LocalBoxFuture<'static, (CallId, Result<Response, CallFailure>)>;

struct Life {
    node: Node,
    clock: SharedClock,
    handle: Handle,
    names: [HandlerName; 3],
    mailbox: Mailbox,
    initial: Vec<PeerId>,
    greeting: HashSet<PeerId>,
    calls: FuturesUnordered<Ended>,
    inbound: HashMap<InboundId, Box<InboundCall>>,
    next_inbound: u64,
    tasks: HashMap<TaskId, Waiting>,
}

enum Waiting {
    Greeting(PeerId),
    Reader(oneshot::Sender<HashMap<DhtId, Found>>),
}

impl Life {
    async fn run(mut self, mut asked: mpsc::UnboundedReceiver<Question>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Ok(call) = self.mailbox.recv() => self.request(call),
                Some((call, result)) = self.calls.next() => {
                    self.node.call_ended(call, result, self.clock.now());
                }
                Some(Question { keys, reply }) = asked.recv() => {
                    let task = self.node.lookup(keys, self.clock.now());
                    self.tasks.insert(task, Waiting::Reader(reply));
                }
                _ = tick.tick() => {
                    while self.node.evict(self.clock.now()) {}
                    self.node.tick(self.clock.now());
                    self.greet();
                }
            }
            self.settle();
        }
    }

    /// Asks those of its initial peers that it does not know to list it.
    fn greet(&mut self) {
        for peer in self.initial.clone() {
            if self.node.table().id_of(&peer).is_none() && self.greeting.insert(peer) {
                let task = self.node.ping(peer, true, self.clock.now());
                self.tasks.insert(task, Waiting::Greeting(peer));
            }
        }
    }

    fn request(&mut self, call: Box<InboundCall>) {
        let request = match Request::decode(call.handler.as_str(), &call.data) {
            Ok(request) => request,
            Err(error) => return call.answer(Err(error.to_string())),
        };
        let (inbound, caller) = (InboundId(self.next_inbound), call.caller);
        self.next_inbound += 1;
        self.inbound.insert(inbound, call);
        self.node.request(inbound, caller, request, self.clock.now());
    }

    fn settle(&mut self) {
        while let Some(effect) = self.node.next_effect() {
            match effect {
                Effect::Call { call, peer, request } => self.call(call, peer, request),
                Effect::Answer { inbound, response } => {
                    if let Some(call) = self.inbound.remove(&inbound) {
                        call.answer(Ok(response.encode()));
                    }
                }
                Effect::Done { task, outcome } => match (self.tasks.remove(&task), outcome) {
                    (Some(Waiting::Reader(reply)), Outcome::Lookup(found)) => drop(reply.send(found)),
                    (Some(Waiting::Greeting(peer)), Outcome::Ping(pong)) => {
                        self.greeting.remove(&peer);
                        if pong.is_ok() {
                            // Its end is of no interest: it fills the table.
                            self.node.lookup([self.node.id()], self.clock.now());
                        }
                    }
                    _ => {}
                },
            }
        }
    }

    fn call(&mut self, call: CallId, peer: PeerId, request: Request) {
        let [ping, store, find] = &self.names;
        let name = match request {
            Request::Ping { .. } => ping.clone(),
            Request::Store { .. } => store.clone(),
            Request::Find { .. } => find.clone(),
        };
        let handle = self.handle.clone();
        let answer = async move {
            let answer = handle.call(peer, &name, request.encode(), CALL_DEADLINE).await;
            let answer = answer.map_err(|error| CallFailure(error.to_string()));
            let answer = answer.and_then(|bytes| {
                Response::decode(&request, &bytes).map_err(|error| CallFailure(error.to_string()))
            });
            (call, answer)
        };
        self.calls.push(answer.boxed_local());
    }
}
