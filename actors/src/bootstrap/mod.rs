//! The bootstrap actor keeps this true: we are joined, and initial peers are never forgotten.
//!
//! Each initial peer is dialled and pinged, with a call-back, so that it lists us to others; one that fails is tried
//! again, with backoff and jitter, for as long as the process lives: sooner while nobody is known, and at once when it
//! has connected to us. After the first answer our own place in the key space is searched for, which fills the table.
//! An emptied table starts all of it again at once; a table of dead members is emptied by the dht actor, which asks some
//! of them each minute.
//!
//! Other peers that answer are remembered, on disk too, and tried beside the initial ones at the next start and
//! whenever nobody is known any more, so that it takes no bootstrap to join again. A restart loses nothing: initial
//! peers come from the config, the others from the memory that every incarnation is given.
//!
//! Names in addresses (`/dns`, `/dns4`, `/dns6`, `/dnsaddr`) are kept as they are and resolved at every dial.
//!
//! Protocol facts: `hivemind/dht/node.py` (`DHTNode.create`, the three stages of a bootstrap).

mod initial;
pub(crate) mod known_peers;
mod memory;
mod names;
mod reload;
mod remembered;
mod split;
#[cfg(test)]
pub(crate) mod tests;

use std::{future::Future, time::Duration};

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, ResponseFuture, StreamHandler, WrapFuture,
};
use futures::stream;
use hivemind_proto::dht::Pong;
use libp2p::{Multiaddr, PeerId};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::Serialize;
use tokio::sync::broadcast;

use self::{
    initial::{PeerStatus, Watched},
    remembered::{RememberedStatus, Remembering, Wave},
    split::{SplitStatus, SplitWatch},
};
use crate::{
    dht::{
        Dht,
        messages::{Lookup, Member, Membership, Ping},
    },
    network::{self, NetworkEvent},
    supervisor::{Backoff, Birth, Drain, Probe, ProbeReport},
};

/// How long one attempt to dial an initial peer may take, name resolution included.
const DIAL_DEADLINE: Duration = Duration::from_secs(10);

/// The longest pause between two attempts at one peer while nobody is known: being found again is worth more than a
/// dial.
const LOST_PAUSE: Duration = Duration::from_secs(5);

pub use memory::PeerMemory;

/// What the actor is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whom to join through.
    pub initial_peers: Vec<InitialPeer>,
    /// How long to wait before a peer that failed is tried again.
    pub retry: Backoff,
    /// The peers that are remembered; the same for every incarnation.
    pub memory: PeerMemory,
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
    memory: PeerMemory,
    remembering: Remembering,
    wave: Wave,
    split: SplitWatch,
    /// A comparison of initial peers is due or under way.
    comparing: bool,
    /// What the dht actor told; `None` until then.
    member: Option<Member>,
    known: usize,
    searching: bool,
    joined: bool,
}

/// What a probe tells.
#[derive(Debug, Serialize)]
struct Status {
    joined: bool,
    known_nodes: usize,
    initial_peers: Vec<PeerStatus>,
    remembered: RememberedStatus,
    split: SplitStatus,
}

/// The table holds another number of nodes.
struct Known(usize);

/// A peer has connected to us, or we to it.
struct Connected(PeerId);

impl Bootstrap {
    /// An actor that joins through `settings.initial_peers`; without any it seeds, and waits to be joined.
    pub fn new(settings: Settings, network: network::Handle, dht: Addr<Dht>, birth: Birth) -> Self {
        Self {
            retry: settings.retry,
            network,
            dht,
            birth,
            rng: SmallRng::seed_from_u64(settings.seed),
            peers: settings.initial_peers.into_iter().map(Watched::new).collect(),
            memory: settings.memory,
            remembering: Remembering::default(),
            wave: Wave::default(),
            split: SplitWatch::default(),
            comparing: false,
            member: None,
            known: 0,
            searching: false,
            joined: false,
        }
    }

    fn begin(&mut self, member: Member, ctx: &mut Context<Self>) {
        let known = member.known.clone();
        self.member = Some(member);
        let first = *known.borrow();
        ctx.add_stream(stream::unfold(known, |mut known| async move {
            known.changed().await.ok()?;
            let now = *known.borrow_and_update();
            Some((Known(now), known))
        }));
        ctx.add_stream(connected(self.network.events()));
        self.heard_of(first, ctx);
        self.birth.ready.notify();
        self.attempt_all(ctx);
        self.recall(ctx);
        self.compare_later(ctx);
    }

    /// Dials `peer` and asks it to list us.
    fn reach(
        &self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
    ) -> impl Future<Output = Result<Pong, String>> + use<> {
        let (network, dht) = (self.network.clone(), self.dht.clone());
        async move {
            if let Err(error) = network.connect(peer, addresses.clone(), DIAL_DEADLINE).await {
                let resolved = names::resolve(&addresses).await;
                if resolved.is_empty() {
                    return Err(error.to_string());
                }
                let connected = network.connect(peer, resolved, DIAL_DEADLINE).await;
                connected.map_err(|again| format!("{error}; {again}"))?;
            }
            let pong = dht.send(Ping { peer, validate: true }).await.map_err(|error| error.to_string())?;
            pong.map_err(|error| error.to_string())
        }
    }

    /// Searches for our own place: whoever stands near it learns of us, and we of them.
    fn find_neighbours(&mut self, ctx: &mut Context<Self>) {
        let Some(own_id) = self.member.as_ref().map(|member| member.id) else { return };
        if std::mem::replace(&mut self.searching, true) {
            return;
        }
        let found = self.dht.send(Lookup { keys: vec![own_id] });
        ctx.spawn(found.into_actor(self).map(|_, this, _| this.searching = false));
    }

    /// How long to wait after so many failures in a row.
    fn pause(&mut self, failures: u32) -> Duration {
        let cap = if self.known == 0 { self.retry.cap.min(LOST_PAUSE) } else { self.retry.cap };
        Backoff { cap, ..self.retry }.delay(failures, self.rng.random())
    }

    fn heard_of(&mut self, known: usize, ctx: &mut Context<Self>) {
        self.known = known;
        self.hold_against();
        let joined = known > 0;
        if joined != std::mem::replace(&mut self.joined, joined) {
            match joined {
                true => {
                    tracing::info!(known_nodes = known, "joined the swarm");
                    self.remember_soon(ctx);
                }
                false => tracing::warn!("lost the swarm: no node is known any more"),
            }
        }
    }
}

/// Who connects. Whoever is missed because there are too many is tried again in its turn.
fn connected(events: broadcast::Receiver<NetworkEvent>) -> impl futures::Stream<Item = Connected> {
    stream::unfold(events, |mut events| async move {
        loop {
            match events.recv().await {
                Ok(NetworkEvent::Connected(peer)) => return Some((Connected(peer), events)),
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    })
}

impl Actor for Bootstrap {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let member = self.dht.send(Membership).into_actor(self);
        ctx.spawn(member.map(|member, this, ctx| {
            // If the dht actor is gone, this one is about to be rebuilt with it.
            if let Ok(member) = member {
                this.begin(member, ctx);
            }
        }));
    }
}

impl StreamHandler<Known> for Bootstrap {
    fn handle(&mut self, Known(known): Known, ctx: &mut Self::Context) {
        self.heard_of(known, ctx);
        if known == 0 {
            // The table is empty: nobody waits for the end of a backoff.
            self.attempt_all(ctx);
            self.begin_wave(ctx);
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl StreamHandler<Connected> for Bootstrap {
    /// An initial peer that failed is there again: nobody waits for the end of its backoff.
    fn handle(&mut self, Connected(peer): Connected, ctx: &mut Self::Context) {
        if self.peers.iter().any(|watched| watched.peer.peer == peer && watched.failed()) {
            self.attempt(peer, ctx);
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Probe> for Bootstrap {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        ProbeReport::of(&Status {
            joined: self.joined,
            known_nodes: self.known,
            initial_peers: self.peers.iter().map(Watched::status).collect(),
            remembered: self.remembered_status(),
            split: self.split.status(),
        })
    }
}

/// What is remembered is put on disk.
impl Handler<Drain> for Bootstrap {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        Box::pin(self.save_at_last())
    }
}
