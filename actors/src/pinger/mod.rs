//! The pinger keeps this true: our record tells how long the way to the servers of the following blocks is, so that
//! clients can choose a short way through the model.
//!
//! Each period it looks up who serves the blocks after our first one, asks a few of the servers for a ping of the DHT,
//! and hands the smoothed round trips to server_info; the announcer tells them with its next announcement. Without
//! blocks of ours, or blocks after the first of them, it does nothing. A restart begins to measure anew.
//!
//! Who serves them may be known from the DHT's cache: round trips are smoothed over minutes, and a server that has gone
//! in between does not answer. Servers that say OFFLINE are left out; petals asks them too. Pings go past the dht actor and name no sender: a
//! server that answers no DHT calls is no reason to leave anybody out of the DHT.
//!
//! Protocol facts: `petals/server/server.py` (`ModuleAnnouncerThread._ping_next_servers`), `petals/utils/ping.py`.

mod reload;
mod round_trips;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, SpawnHandle, WrapFuture};
use futures::future::join_all;
use hivemind_proto::{
    bare_name::HandlerName,
    dht::{DhtId, Found, FreshValue, PING_HANDLER, Request, Response},
    records::{ServerInfo, ServerState},
    unary::CallError,
};
use libp2p::PeerId;
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IteratorRandom};
use serde::Serialize;
use tokio::time::Instant;

use self::round_trips::RoundTrips;
use crate::{
    dht::{Dht, messages::Get},
    network,
    server_info::{
        Offer, ServerInfoStore, Snapshots,
        messages::{Change, Source, Subscribe, Update},
    },
    supervisor::{Birth, Drain, Probe, ProbeReport},
};

/// Servers that are asked in one round: so many of the blocks that we serve too, and so many of the block after our
/// last. petals' `max_pinged`.
const ASKED: usize = 5;

/// How long an answer may take: petals' `wait_timeout`.
const DEADLINE: Duration = Duration::from_secs(5);

/// From the start to the first round: the first announcement goes before.
const FIRST_ROUND: Duration = Duration::from_secs(2);

/// A period is shortened by up to this part, so that servers that started together drift apart.
const PERIOD_JITTER: f64 = 0.1;

/// What the actor is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who we are.
    pub own_peer: PeerId,
    /// Between two rounds: that of the announcements.
    pub period: Duration,
    /// Seed of its choices.
    pub seed: u64,
}

/// The actor.
pub struct Pinger {
    settings: Settings,
    network: network::Handle,
    dht: Addr<Dht>,
    server_info: Addr<ServerInfoStore>,
    birth: Birth,
    rng: SmallRng,
    handler: HandlerName,
    snapshots: Option<Snapshots>,
    round_trips: RoundTrips,
    rounds: u64,
    /// Until the next round.
    pause: Option<SpawnHandle>,
    /// Whether our record says anything of round trips.
    told: bool,
}

/// What a probe tells.
#[derive(Debug, Serialize)]
struct Status {
    rounds: u64,
    /// Servers whose round trips are told, and how many of them did not answer.
    servers: usize,
    unreachable: usize,
}

impl Pinger {
    /// An actor that asks over `network` whom it finds through `dht`, and tells `server_info`.
    pub fn new(
        settings: Settings,
        network: network::Handle,
        dht: Addr<Dht>,
        server_info: Addr<ServerInfoStore>,
        birth: Birth,
    ) -> Self {
        #[expect(clippy::expect_used, reason = "the name is a constant that the name rules allow")]
        let handler = HandlerName::new(PING_HANDLER).expect("a valid name");
        Self {
            rng: SmallRng::seed_from_u64(settings.seed),
            settings,
            network,
            dht,
            server_info,
            birth,
            handler,
            snapshots: None,
            round_trips: RoundTrips::default(),
            rounds: 0,
            pause: None,
            told: false,
        }
    }

    fn round_later(&mut self, delay: Duration, ctx: &mut Context<Self>) {
        self.pause = Some(ctx.run_later(delay, |this, ctx| {
            this.pause = None;
            this.round(ctx);
        }));
    }

    /// Looks up who serves the blocks after our first.
    fn round(&mut self, ctx: &mut Context<Self>) {
        let following = self.snapshots.as_ref().and_then(|snapshots| {
            let snapshot = snapshots.borrow().clone()?;
            (snapshot.offer.server.state != ServerState::Offline).then(|| following(&snapshot.offer))
        });
        let Some(Following { middle, next }) = following.filter(Following::is_some) else {
            return self.round_ended(ctx);
        };
        let keys = middle.iter().chain(&next).copied().collect();
        let found = self.dht.send(Get { keys });
        ctx.spawn(found.into_actor(self).map(move |found, this, ctx| match found {
            Ok(Ok(found)) => this.ask(&servers(&found, &middle), &servers(&found, next.as_slice()), ctx),
            // The dht actor is gone, and this one is about to be rebuilt with it.
            _ => this.round_ended(ctx),
        }));
    }

    /// Asks a few of each.
    fn ask(&mut self, middle: &BTreeSet<PeerId>, next: &BTreeSet<PeerId>, ctx: &mut Context<Self>) {
        let mut asked: BTreeSet<PeerId> =
            middle.iter().copied().sample(&mut self.rng, ASKED).into_iter().collect();
        asked.extend(next.iter().copied().sample(&mut self.rng, ASKED));
        asked.remove(&self.settings.own_peer);
        let pings: Vec<_> = asked.into_iter().map(|peer| self.ping(peer)).collect();
        ctx.spawn(join_all(pings).into_actor(self).map(|pings, this, ctx| {
            let now = Instant::now();
            for (peer, round_trip) in pings.into_iter().flatten() {
                this.round_trips.measured(peer, round_trip, now);
            }
            this.tell(ctx);
            this.round_ended(ctx);
        }));
    }

    /// One round trip; `None` inside if there was no answer, and outside if we could not even ask.
    fn ping(&self, peer: PeerId) -> impl Future<Output = Option<(PeerId, Option<Duration>)>> + use<> {
        let (network, handler) = (self.network.clone(), self.handler.clone());
        async move {
            let request = Request::Ping { sender: None, validate: false };
            let begun = Instant::now();
            let answer = network.call(peer, &handler, request.encode(), DEADLINE).await;
            let round_trip = begun.elapsed();
            let answered = match answer {
                Ok(answer) => Response::decode(&request, &answer).is_ok(),
                // A server whose DHT is in client mode: the way there and back was made all the same.
                Err(CallError::UnknownHandler) => true,
                Err(CallError::Busy) => return None,
                Err(_) => false,
            };
            Some((peer, answered.then_some(round_trip)))
        }
    }

    fn tell(&mut self, ctx: &mut Context<Self>) {
        let seconds = self.round_trips.seconds(Instant::now());
        if seconds.is_empty() && !self.told {
            return;
        }
        self.told = true;
        let change = Change { next_pings: Some(seconds), ..Change::default() };
        let update = self.server_info.send(Update { source: Source::Pinger, change });
        ctx.spawn(update.into_actor(self).map(|_, _, _| ()));
    }

    fn round_ended(&mut self, ctx: &mut Context<Self>) {
        self.rounds += 1;
        let chance: f64 = self.rng.random();
        self.round_later(self.settings.period.mul_f64(1.0 - PERIOD_JITTER * chance), ctx);
    }
}

/// The blocks after our first one.
struct Following {
    /// Those that we serve too: a client may leave us before them.
    middle: Vec<DhtId>,
    /// The one after our last, if the model has it.
    next: Option<DhtId>,
}

impl Following {
    fn is_some(&self) -> bool {
        !self.middle.is_empty() || self.next.is_some()
    }
}

fn following(offer: &Offer) -> Following {
    let key = |index| DhtId::of_text(&offer.prefix.block(index).to_string());
    let (start, end) = (offer.server.blocks.start(), offer.server.blocks.end());
    Following {
        middle: (start + 1..end).map(key).collect(),
        next: (end < offer.model.num_blocks()).then(|| key(end)),
    }
}

/// Who says that it serves one of `keys`, and has not left.
fn servers(found: &HashMap<DhtId, Found>, keys: &[DhtId]) -> BTreeSet<PeerId> {
    let entries = keys.iter().filter_map(|key| match &found.get(key)?.value {
        Some(FreshValue::Dictionary(entries)) => Some(entries.iter()),
        _ => None,
    });
    let server = |(subkey, item): (&hivemind_proto::dht::Subkey, &hivemind_proto::dht::Item)| {
        let info = ServerInfo::decode(&item.value).ok()?;
        let peer: PeerId = subkey.as_text()?.parse().ok()?;
        (info.state != ServerState::Offline).then_some(peer)
    };
    entries.flatten().filter_map(server).collect()
}

impl Actor for Pinger {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let snapshots = self.server_info.send(Subscribe).into_actor(self);
        ctx.spawn(snapshots.map(|snapshots, this, ctx| {
            // If server_info is gone, this one is about to be rebuilt with it.
            let Ok(snapshots) = snapshots else { return };
            let offers = snapshots.borrow().is_some();
            this.snapshots = Some(snapshots);
            this.birth.ready.notify();
            if offers {
                this.round_later(FIRST_ROUND, ctx);
            }
        }));
    }
}

impl Handler<Probe> for Pinger {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        let seconds = self.round_trips.seconds(Instant::now());
        ProbeReport::of(&Status {
            rounds: self.rounds,
            servers: seconds.len(),
            unreachable: seconds.values().filter(|seconds| seconds.is_infinite()).count(),
        })
    }
}

impl Handler<Drain> for Pinger {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {}
}
