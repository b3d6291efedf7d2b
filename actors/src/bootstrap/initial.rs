//! Initial peers: tried for as long as the process lives, looked after while they answer.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, SpawnHandle, WrapFuture};
use hivemind_proto::dht::{Contact, DhtId, Pong};
use libp2p::PeerId;
use serde::Serialize;

use super::{Bootstrap, InitialPeer};

/// How often an initial peer that answered is asked again whether it still does, and still lists us.
const CHECK_PERIOD: Duration = Duration::from_secs(60);

/// An initial peer, and how it is with it.
pub(super) struct Watched {
    pub(super) peer: InitialPeer,
    /// Its place in the DHT, while it answers.
    id: Option<DhtId>,
    standing: Standing,
    failures: u32,
    busy: bool,
    timer: Option<SpawnHandle>,
}

/// What was last seen of an initial peer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Standing {
    /// Nothing yet.
    Unknown,
    /// It answered, and could call us back, or could not.
    Answered { available: bool },
    /// It did not answer.
    Failed { cause: String },
}

#[derive(Debug, Serialize)]
pub(super) struct PeerStatus {
    peer: String,
    #[serde(flatten)]
    standing: Standing,
    failures: u32,
}

impl Bootstrap {
    /// Dials and pings one initial peer.
    pub(super) fn attempt(&mut self, peer: PeerId, ctx: &mut Context<Self>) {
        let Some(watched) = self.watched(peer) else { return };
        let timer = watched.timer.take();
        let busy = std::mem::replace(&mut watched.busy, true);
        let addresses = watched.peer.addresses.clone();
        if let Some(timer) = timer {
            ctx.cancel_future(timer);
        }
        if busy {
            return;
        }
        // Where it was when it last answered: names may not resolve now.
        let remembered = self.memory.known().get(&peer).map(|known| known.addresses.clone());
        let also = remembered.into_iter().flatten().filter(|address| !addresses.contains(address));
        let pong = self.reach(peer, addresses.iter().cloned().chain(also).collect());
        ctx.spawn(pong.into_actor(self).map(move |pong, this, ctx| this.attempted(peer, pong, ctx)));
    }

    /// All initial peers, at once.
    pub(super) fn attempt_all(&mut self, ctx: &mut Context<Self>) {
        let peers: Vec<PeerId> = self.peers.iter().map(|watched| watched.peer.peer).collect();
        peers.into_iter().for_each(|peer| self.attempt(peer, ctx));
    }

    /// An initial peer; `None` if the config has stopped naming it.
    fn watched(&mut self, peer: PeerId) -> Option<&mut Watched> {
        self.peers.iter_mut().find(|watched| watched.peer.peer == peer)
    }

    fn attempted(&mut self, peer: PeerId, pong: Result<Pong, String>, ctx: &mut Context<Self>) {
        let Some(watched) = self.watched(peer) else { return };
        watched.busy = false;
        let before = std::mem::replace(&mut watched.standing, Standing::of(&pong));
        watched.id = pong.as_ref().ok().and_then(|pong| pong.id);
        let failures = match pong {
            Ok(pong) => {
                watched.failures = 0;
                if before != watched.standing {
                    tracing::info!(%peer, node_id = ?pong.id, can_call_us = pong.available, "initial peer answered");
                }
                self.find_neighbours(ctx);
                return self.attempt_later(peer, CHECK_PERIOD, ctx);
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
                watched.failures
            }
        };
        let delay = self.pause(failures);
        self.attempt_later(peer, delay, ctx);
    }

    fn attempt_later(&mut self, peer: PeerId, delay: Duration, ctx: &mut Context<Self>) {
        let Some(watched) = self.watched(peer) else { return };
        watched.timer = Some(ctx.run_later(delay, move |this, ctx| {
            if let Some(watched) = this.watched(peer) {
                watched.timer = None;
            }
            this.attempt(peer, ctx);
        }));
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

impl Watched {
    pub(super) fn new(peer: InitialPeer) -> Self {
        Self { peer, id: None, standing: Standing::Unknown, failures: 0, busy: false, timer: None }
    }

    /// The same peer, as the config names it now.
    pub(super) fn at(self, peer: InitialPeer) -> Self {
        Self { peer, ..self }
    }

    /// What is left of it when the config stops naming it.
    pub(super) fn into_timer(self) -> Option<SpawnHandle> {
        self.timer
    }

    /// Its place in the DHT, if it answered the last time.
    pub(super) fn contact(&self) -> Option<Contact> {
        self.id.map(|id| Contact { id, peer: self.peer.peer })
    }

    /// Whether it did not answer the last time.
    pub(super) fn failed(&self) -> bool {
        matches!(self.standing, Standing::Failed { .. })
    }

    pub(super) fn status(&self) -> PeerStatus {
        PeerStatus {
            peer: self.peer.peer.to_base58(),
            standing: self.standing.clone(),
            failures: self.failures,
        }
    }
}
