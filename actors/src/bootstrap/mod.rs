//! The bootstrap actor keeps this true: we are joined, and initial peers are never forgotten.
//!
//! Each initial peer is dialled and pinged, with a call-back, so that it lists us to others; one that fails is tried
//! again, with backoff and jitter, for as long as the process lives. After the first answer our own place in the key
//! space is searched for, which fills the table. An emptied table starts all of it again at once. A restart loses
//! nothing: the peers come from the config.
//!
//! Protocol facts: `hivemind/dht/node.py` (`DHTNode.create`, the three stages of a bootstrap).

#[cfg(test)]
mod tests;

use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, SpawnHandle, StreamHandler, WrapFuture,
};
use futures::stream;
use hivemind_proto::dht::{DhtId, Pong};
use libp2p::{Multiaddr, PeerId};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::Serialize;

use crate::{
    dht::{
        Dht, KnownNodes,
        messages::{Lookup, Membership, Ping},
    },
    network,
    supervisor::{Backoff, Birth, Drain, Probe, ProbeReport},
};

/// How long one attempt to dial an initial peer may take, name resolution included.
const DIAL_DEADLINE: Duration = Duration::from_secs(10);

/// How often an initial peer that answered is asked again whether it still does, and still lists us.
const CHECK_PERIOD: Duration = Duration::from_secs(60);

/// What the actor is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whom to join through.
    pub initial_peers: Vec<InitialPeer>,
    /// How long to wait before a peer that failed is tried again.
    pub retry: Backoff,
    /// Seed of the jitter.
    pub seed: u64,
}

/// A peer that is expected to be in the swarm always, with all its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialPeer {
    /// Who it is.
    pub peer: PeerId,
    /// Where it may be, without the peer id.
    pub addresses: Vec<Multiaddr>,
}

/// The actor.
pub struct Bootstrap {
    retry: Backoff,
    network: network::Handle,
    dht: Addr<Dht>,
    birth: Birth,
    rng: SmallRng,
    peers: Vec<Watched>,
    own_id: Option<DhtId>,
    known: usize,
    searching: bool,
    joined: bool,
}

/// An initial peer, and how it is with it.
struct Watched {
    peer: InitialPeer,
    standing: Standing,
    failures: u32,
    busy: bool,
    timer: Option<SpawnHandle>,
}

/// What was last seen of an initial peer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Standing {
    /// Nothing yet.
    Unknown,
    /// It answered, and could call us back, or could not.
    Answered { available: bool },
    /// It did not answer.
    Failed { cause: String },
}

/// What a probe tells.
#[derive(Debug, Serialize)]
struct Status {
    joined: bool,
    known_nodes: usize,
    initial_peers: Vec<PeerStatus>,
}

#[derive(Debug, Serialize)]
struct PeerStatus {
    peer: String,
    #[serde(flatten)]
    standing: Standing,
    failures: u32,
}

/// The table holds another number of nodes.
struct Known(usize);

impl Bootstrap {
    /// An actor that joins through `settings.initial_peers`; without any it seeds, and waits to be joined.
    pub fn new(settings: Settings, network: network::Handle, dht: Addr<Dht>, birth: Birth) -> Self {
        let watched =
            |peer| Watched { peer, standing: Standing::Unknown, failures: 0, busy: false, timer: None };
        Self {
            retry: settings.retry,
            network,
            dht,
            birth,
            rng: SmallRng::seed_from_u64(settings.seed),
            peers: settings.initial_peers.into_iter().map(watched).collect(),
            own_id: None,
            known: 0,
            searching: false,
            joined: false,
        }
    }

    fn begin(&mut self, own_id: DhtId, known: KnownNodes, ctx: &mut Context<Self>) {
        self.own_id = Some(own_id);
        let first = *known.borrow();
        ctx.add_stream(stream::unfold(known, |mut known| async move {
            known.changed().await.ok()?;
            let now = *known.borrow_and_update();
            Some((Known(now), known))
        }));
        self.heard_of(first);
        self.birth.ready.notify();
        (0..self.peers.len()).for_each(|index| self.attempt(index, ctx));
    }

    /// Dials and pings one initial peer.
    fn attempt(&mut self, index: usize, ctx: &mut Context<Self>) {
        let watched = &mut self.peers[index];
        if let Some(timer) = watched.timer.take() {
            ctx.cancel_future(timer);
        }
        if std::mem::replace(&mut watched.busy, true) {
            return;
        }
        let InitialPeer { peer, addresses } = watched.peer.clone();
        let (network, dht) = (self.network.clone(), self.dht.clone());
        let pong = async move {
            network.connect(peer, addresses, DIAL_DEADLINE).await.map_err(|error| error.to_string())?;
            let pong = dht.send(Ping { peer, validate: true }).await.map_err(|error| error.to_string())?;
            pong.map_err(|error| error.to_string())
        };
        ctx.spawn(pong.into_actor(self).map(move |pong, this, ctx| this.attempted(index, pong, ctx)));
    }

    fn attempted(&mut self, index: usize, pong: Result<Pong, String>, ctx: &mut Context<Self>) {
        let watched = &mut self.peers[index];
        watched.busy = false;
        let peer = watched.peer.peer;
        let before = std::mem::replace(&mut watched.standing, Standing::of(&pong));
        let delay = match pong {
            Ok(pong) => {
                watched.failures = 0;
                if before != watched.standing {
                    tracing::info!(%peer, node_id = ?pong.id, can_call_us = pong.available, "initial peer answered");
                }
                self.find_neighbours(ctx);
                CHECK_PERIOD
            }
            Err(cause) => {
                watched.failures += 1;
                // One line when it begins; whoever wants each attempt asks for debug.
                match before {
                    Standing::Failed { .. } => {
                        tracing::debug!(%peer, cause, "initial peer still does not answer")
                    }
                    _ => tracing::warn!(%peer, cause, "initial peer does not answer, will be tried again"),
                }
                self.retry.delay(watched.failures, self.rng.random())
            }
        };
        self.attempt_later(index, delay, ctx);
    }

    fn attempt_later(&mut self, index: usize, delay: Duration, ctx: &mut Context<Self>) {
        let timer = ctx.run_later(delay, move |this, ctx| {
            this.peers[index].timer = None;
            this.attempt(index, ctx);
        });
        self.peers[index].timer = Some(timer);
    }

    /// Searches for our own place: whoever stands near it learns of us, and we of them.
    fn find_neighbours(&mut self, ctx: &mut Context<Self>) {
        let Some(own_id) = self.own_id else { return };
        if std::mem::replace(&mut self.searching, true) {
            return;
        }
        let found = self.dht.send(Lookup { keys: vec![own_id] });
        ctx.spawn(found.into_actor(self).map(|_, this, _| this.searching = false));
    }

    fn heard_of(&mut self, known: usize) {
        self.known = known;
        let joined = known > 0;
        if joined != std::mem::replace(&mut self.joined, joined) {
            match joined {
                true => tracing::info!(known_nodes = known, "joined the swarm"),
                false => tracing::warn!("lost the swarm: no node is known any more"),
            }
        }
    }
}

impl Standing {
    fn of(pong: &Result<Pong, String>) -> Self {
        match pong {
            Ok(pong) => Self::Answered { available: pong.available },
            Err(cause) => Self::Failed { cause: cause.clone() },
        }
    }
}

impl Actor for Bootstrap {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let member = self.dht.send(Membership).into_actor(self);
        ctx.spawn(member.map(|member, this, ctx| {
            // If the dht actor is gone, this one is about to be rebuilt with it.
            if let Ok(member) = member {
                this.begin(member.id, member.known, ctx);
            }
        }));
    }
}

impl StreamHandler<Known> for Bootstrap {
    fn handle(&mut self, Known(known): Known, ctx: &mut Self::Context) {
        self.heard_of(known);
        if known == 0 {
            // The table is empty: nobody waits for the end of a backoff.
            (0..self.peers.len()).for_each(|index| self.attempt(index, ctx));
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Probe> for Bootstrap {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        let status = |watched: &Watched| PeerStatus {
            peer: watched.peer.peer.to_base58(),
            standing: watched.standing.clone(),
            failures: watched.failures,
        };
        ProbeReport::of(&Status {
            joined: self.joined,
            known_nodes: self.known,
            initial_peers: self.peers.iter().map(status).collect(),
        })
    }
}

impl Handler<Drain> for Bootstrap {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {}
}
