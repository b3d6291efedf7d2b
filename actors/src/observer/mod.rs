//! The observer keeps this true: whether we are visible is what a stranger sees, and nothing that we believe.
//!
//! Each interval it sends a stranger out: a fresh identity on a network of its own, a client of the DHT that enters
//! through other peers where there are any, looks our records up as the health monitor does, finds our address by our
//! peer id alone, and calls us. What it saw is judged, told in the log when it changes, and published. The actors above
//! are asked what we claim and whom we know; never what we store. After the look everything of the stranger ends.
//!
//! A restart loses nothing but its schedule: its last word is kept outside of it, with an age.
//!
//! Protocol facts: `health.petals.dev/health.py`, `health.petals.dev/p2p_utils.py`, `petals/utils/dht.py`.

pub mod double;
mod evidence;
mod expedition;
mod judgement;
pub mod messages;
mod reload;
mod report;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, SpawnHandle, StreamHandler, WrapFuture,
};
use futures::stream;
use libp2p::{Multiaddr, PeerId};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::json;
use tokio::{sync::watch, time::Instant};

use self::{
    evidence::{Claim, Evidence},
    expedition::Expedition,
    judgement::{Judgement, judge},
    messages::{Layer, Opinion, Verdict},
};
use crate::{
    clock::SharedClock,
    dht::{Dht, messages::Members},
    network,
    server_info::{Offer, ServerInfoStore, Snapshots, messages::Subscribe},
    stranger::errand::errand,
    supervisor::{Backoff, Birth, Drain, Probe, ProbeReport},
};

/// When the first look begins: an announcement to a swarm that is there takes a second.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// When a changed claim is looked at: it is announced at once, and this leaves it the time.
const CHANGE_LOOK: Duration = Duration::from_secs(2);

pub use reload::Habits;

/// A whole look. Its steps have bounds of their own, which are a little less together.
const LOOK_DEADLINE: Duration = Duration::from_secs(45);

/// An interval is shortened by up to this part, so that nodes that started together do not look together.
const JITTER: f64 = 0.1;

/// In a large swarm a look meets hundreds of peers, and each connection costs a millisecond or two of CPU: one a
/// second in the long run keeps that below 0.2 % of a core.
const PAUSE_A_PEER: Duration = Duration::from_secs(1);

/// The same while we are not visible: then news is worth more than rest.
const PAUSE_A_PEER_IN_TROUBLE: Duration = Duration::from_millis(100);

/// A look that meets no more peers than this costs what any swarm costs, and makes no pause longer.
const FREE_PEERS: u32 = 30;

/// Peers from which some are chosen, besides the initial ones, to enter through.
const KNOWN_PEERS: usize = 64;

/// So many intervals without news make the last word stale.
const STALE_INTERVALS: u32 = 3;

/// What the actor is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Through whom strangers enter the swarm.
    pub initial_peers: Vec<(PeerId, Vec<Multiaddr>)>,
    /// Between two looks while we are visible.
    pub interval: Duration,
    /// Between two looks while we are not; no pause is longer than the interval.
    pub retry: Backoff,
    /// How a stranger comes into the network.
    pub departures: network::Departures,
    /// Where the stranger's work runs.
    pub pool: tokio::runtime::Handle,
    /// Where another process answered under our identity before we listened, if one did.
    pub double_at_start: Option<Multiaddr>,
    /// Where the last word is kept, across restarts.
    pub opinion: watch::Sender<Arc<Opinion>>,
    /// Seed of the jitter.
    pub seed: u64,
}

/// The actor.
pub struct Observer {
    settings: Settings,
    network: network::Handle,
    dht: Addr<Dht>,
    server_info: Addr<ServerInfoStore>,
    clock: SharedClock,
    birth: Birth,
    rng: SmallRng,
    snapshots: Option<Snapshots>,
    /// The look under way.
    looking: Option<SpawnHandle>,
    timer: Option<(SpawnHandle, Instant)>,
    failures: u32,
    looks: u64,
    draining: bool,
}

/// The claim may have changed.
struct Changed;

impl Observer {
    /// An actor that looks at `network` from outside for what `server_info` claims, through those whom `dht` knows.
    pub fn new(
        settings: Settings,
        network: network::Handle,
        dht: Addr<Dht>,
        server_info: Addr<ServerInfoStore>,
        clock: SharedClock,
        birth: Birth,
    ) -> Self {
        Self {
            rng: SmallRng::seed_from_u64(settings.seed),
            settings,
            network,
            dht,
            server_info,
            clock,
            birth,
            snapshots: None,
            looking: None,
            timer: None,
            failures: 0,
            looks: 0,
            draining: false,
        }
    }

    fn subscribed(&mut self, snapshots: Snapshots, ctx: &mut Context<Self>) {
        ctx.add_stream(changed_claims(snapshots.clone()));
        self.snapshots = Some(snapshots);
        self.birth.ready.notify();
        self.schedule(FIRST_LOOK, ctx);
    }

    fn offer(&self) -> Option<Offer> {
        let snapshots = self.snapshots.as_ref()?;
        snapshots.borrow().as_ref().map(|snapshot| snapshot.offer.clone())
    }

    fn schedule(&mut self, delay: Duration, ctx: &mut Context<Self>) {
        if self.draining {
            return;
        }
        if let Some((timer, _)) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let timer = ctx.run_later(delay, |this, ctx| {
            this.timer = None;
            this.look(ctx);
        });
        self.timer = Some((timer, Instant::now() + delay));
    }

    /// Sends a stranger out. Everything of it lives in this future, and ends with it.
    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.draining || self.looking.is_some() {
            return;
        }
        self.looks += 1;
        let (before, started) = (self.offer(), Instant::now());
        let (home, initial_peers) = (self.network.clone(), self.settings.initial_peers.clone());
        let (clock, seed, offer) = (self.clock.clone(), self.rng.random(), before.clone());
        let (departures, pool) = (self.settings.departures.clone(), self.settings.pool.clone());
        let members = self.dht.send(Members { most: KNOWN_PEERS });
        let expedition = async move {
            let passage = departures.depart().await.map_err(|error| error.to_string())?;
            let away = passage.network.clone();
            // If the dht actor is gone, this one is about to be rebuilt with it.
            let members = members.await.unwrap_or_default();
            let known = members.iter().map(|member| member.peer).collect();
            let expedition = Expedition { home, away, initial_peers, known, offer, clock, seed };
            let evidence = errand(&pool, LOOK_DEADLINE, expedition.run()).await;
            evidence.map_err(|_| "the look did not end in time".to_owned())
        };
        let looking = expedition.into_actor(self).map(move |evidence, this, ctx| {
            this.looking = None;
            this.looked(before.as_ref(), evidence, started, ctx);
        });
        self.looking = Some(ctx.spawn(looking));
    }

    fn looked(
        &mut self,
        before: Option<&Offer>,
        evidence: Result<Evidence, String>,
        started: Instant,
        ctx: &mut Context<Self>,
    ) {
        let after = self.offer();
        let claim = before.zip(after.as_ref()).map(|(before, after)| Claim::of(before, after));
        let (judgement, look, peers) = match evidence {
            Ok(evidence) => {
                let look = report::look(claim.as_ref(), &evidence, started.elapsed().as_secs_f64());
                (judge(claim.as_ref(), &evidence), Some(look), evidence.peers_met)
            }
            Err(cause) => {
                let cause = format!("the stranger could not set out: {cause}");
                (Judgement { verdict: Verdict::Unknown, layer: Some(Layer::Us), cause }, None, 0)
            }
        };
        self.failures = if judgement.verdict == Verdict::Visible { 0 } else { self.failures + 1 };
        let pause = self.pause(peers);
        self.publish(Opinion {
            verdict: judgement.verdict,
            layer: judgement.layer,
            cause: judgement.cause,
            look,
            at: Instant::now(),
            valid_for: self.settings.interval.max(pause) * STALE_INTERVALS + LOOK_DEADLINE,
        });
        // A changed claim may have asked for a look while this one was under way.
        if self.timer.is_none() {
            self.schedule(pause, ctx);
        }
    }

    /// Until the next look, after one that met so many peers.
    fn pause(&mut self, peers: usize) -> Duration {
        let chance: f64 = self.rng.random();
        let peers = u32::try_from(peers).unwrap_or(u32::MAX);
        let (interval, rest) = match self.failures {
            0 => (self.settings.interval.mul_f64(1.0 - JITTER * chance), PAUSE_A_PEER),
            failures => {
                let retry = self.settings.retry.delay(failures, chance);
                (retry.min(self.settings.interval), PAUSE_A_PEER_IN_TROUBLE)
            }
        };
        if peers > FREE_PEERS { interval.max(rest.saturating_mul(peers)) } else { interval }
    }

    /// Publishes a word, and logs it if it is another one.
    fn publish(&self, opinion: Opinion) {
        let last = self.settings.opinion.borrow().clone();
        let told = |opinion: &Opinion| (opinion.verdict, opinion.layer);
        if told(&last) != told(&opinion) {
            let Opinion { verdict, layer, cause, .. } = &opinion;
            match (verdict, layer) {
                (Verdict::Visible, None) => tracing::info!(cause, "visible"),
                (Verdict::Visible, Some(layer)) => tracing::warn!(?layer, cause, "visible, but not for long"),
                (Verdict::Unknown, layer) => tracing::warn!(?layer, cause, "visibility unknown"),
                (verdict, layer) => tracing::warn!(?verdict, ?layer, cause, "not visible"),
            }
        }
        self.settings.opinion.send_replace(Arc::new(opinion));
    }
}

/// An item whenever another state or other blocks are claimed. What else changes is of no concern here.
fn changed_claims(snapshots: Snapshots) -> impl futures::Stream<Item = Changed> {
    let claim = |snapshots: &mut Snapshots| {
        let snapshot = snapshots.borrow_and_update().clone();
        snapshot.map(|snapshot| (snapshot.offer.server.state, snapshot.offer.server.blocks))
    };
    let mut snapshots = snapshots;
    let first = claim(&mut snapshots);
    stream::unfold((snapshots, first), move |(mut snapshots, last)| async move {
        loop {
            snapshots.changed().await.ok()?;
            let now = claim(&mut snapshots);
            if now != last {
                return Some((Changed, (snapshots, now)));
            }
        }
    })
}

impl Actor for Observer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let subscribed = self.server_info.send(Subscribe).into_actor(self);
        // If server_info is gone, this actor is about to be rebuilt with it.
        ctx.spawn(subscribed.map(|snapshots, this, ctx| {
            if let Ok(snapshots) = snapshots {
                this.subscribed(snapshots, ctx);
            }
        }));
    }
}

impl StreamHandler<Changed> for Observer {
    fn handle(&mut self, _: Changed, ctx: &mut Self::Context) {
        let soon = Instant::now() + CHANGE_LOOK;
        if self.timer.as_ref().is_none_or(|(_, at)| *at > soon) {
            self.schedule(CHANGE_LOOK, ctx);
        }
    }

    /// The source is gone, and this actor is about to be rebuilt with it.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Probe> for Observer {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        let opinion = self.settings.opinion.borrow().clone();
        let mut look = json!(opinion.look);
        if let (Some(fields), Some(seen)) = (look.as_object_mut(), &opinion.look) {
            // Block by block it is told by the admin API; here in a few lines.
            fields.insert("blocks".to_owned(), json!(report::spans(&seen.blocks)));
        }
        let looked = opinion.look.as_ref().map(|_| opinion.at.elapsed().as_secs_f64());
        let next =
            self.timer.as_ref().map(|(_, at)| at.saturating_duration_since(Instant::now()).as_secs_f64());
        ProbeReport(json!({
            "verdict": opinion.verdict,
            "layer": opinion.layer,
            "cause": opinion.cause,
            "stale": opinion.is_stale(),
            "seconds_since_look": looked,
            "seconds_to_next_look": next,
            "looking": self.looking.is_some(),
            "looks": self.looks,
            "double_at_start": self.settings.double_at_start,
            "look": look,
        }))
    }
}

impl Handler<Drain> for Observer {
    type Result = ();

    /// Ends the look under way. From now on we are about to be gone, and say so.
    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        self.draining = true;
        for handle in self.looking.take().into_iter().chain(self.timer.take().map(|(timer, _)| timer)) {
            ctx.cancel_future(handle);
        }
        self.settings.opinion.send_replace(Arc::new(Opinion {
            layer: Some(Layer::Us),
            cause: "the node is stopping".to_owned(),
            ..Opinion::none()
        }));
    }
}
