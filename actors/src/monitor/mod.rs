//! The monitor keeps this true: what a whole swarm looks like from outside is known, with an age.
//!
//! Each crawl is a stranger's, as a look of the observer is: a fresh identity on a network of its own, a client of the
//! DHT that enters through others, reads the index of models, looks every block up, and calls every server that says it
//! is online. What it saw is published as plain data ([`state`]). A record that cannot be used costs its own line.
//!
//! It crawls all the time, or only while somebody looks, as the config says: a crawl meets every peer of the swarm.
//! Whoever asks about a single peer is told what a stranger finds ([`messages::IsReachable`]).
//!
//! A restart loses the crawl under way: the last word is kept outside of the actor.
//!
//! | module | holds |
//! | --- | --- |
//! | [`state`], [`record`] | what a crawl finds, as data |
//! | `crawl`, `reach` | the way through the swarm |
//! | `harvest`, `index`, `spans` | from answers of peers to models and servers |
//! | `trials` | single peers that somebody asks about |
//! | [`health`] | the same in the words of `health.petals.dev`, as JSON and as metrics |
//!
//! Protocol facts: `health.petals.dev` (`health.py`, `state_updater.py`, `app.py`).

mod crawl;
mod harvest;
pub mod health;
mod index;
pub mod messages;
mod reach;
pub mod record;
mod spans;
pub mod state;
#[cfg(test)]
pub(crate) mod tests;
mod trials;

use std::{sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, ResponseFuture, SpawnHandle, WrapFuture};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde_json::json;
use tokio::{sync::watch, time::Instant};

pub use self::crawl::Plan;
use self::{
    crawl::Crawl,
    messages::{IsReachable, Look, TooMany},
    state::{Reach, SwarmState},
    trials::Trials,
};
use crate::{
    clock::SharedClock,
    config_keeper::Live,
    network::{self, NetworkError},
    stranger::errand::errand,
    supervisor::{Birth, Drain, Probe, ProbeReport},
};

/// When the first crawl begins: an announcement to a swarm that is there takes a second.
const FIRST_CRAWL: Duration = Duration::from_secs(2);

/// For so long after somebody has looked the swarm is crawled.
const LINGER: Duration = Duration::from_secs(300);

/// Beyond its deadline a crawl has to put together what it has.
const GRACE: Duration = Duration::from_secs(10);

/// A crawl meets every peer of a swarm, and each connection costs a millisecond or two of CPU on both sides: of a large
/// one it is so long before the next.
const PAUSE_A_PEER: Duration = Duration::from_millis(20);

/// When the swarm is crawled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// All the time.
    Always,
    /// While somebody looks, and a few minutes longer.
    Asked,
}

/// What the actor is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is looked at; changes while the node runs.
    pub plan: Live<Plan>,
    /// When the swarm is crawled.
    pub when: When,
    /// From one crawl to the next; large swarms are left in peace for longer.
    pub interval: Duration,
    /// How a stranger comes into the network.
    pub departures: network::Departures,
    /// Where the stranger's work runs.
    pub pool: tokio::runtime::Handle,
    /// Where the last word is kept, across restarts.
    pub states: watch::Sender<Option<Arc<SwarmState>>>,
    /// Seed of the strangers' choices.
    pub seed: u64,
}

/// The actor.
pub struct Monitor {
    settings: Settings,
    network: network::Handle,
    clock: SharedClock,
    birth: Birth,
    rng: SmallRng,
    /// The crawl under way.
    crawling: Option<SpawnHandle>,
    timer: Option<(SpawnHandle, Instant)>,
    /// When somebody looked last.
    looked: Option<Instant>,
    /// When the last crawl ended.
    ended: Option<Instant>,
    trials: Trials,
    crawls: u64,
    failures: u64,
    draining: bool,
}

/// Makes one crawl without a node of our own: for whoever looks at a swarm from outside.
pub async fn crawl(
    plan: Plan,
    departures: &network::Departures,
    clock: SharedClock,
    seed: u64,
) -> Result<SwarmState, NetworkError> {
    let passage = departures.depart().await?;
    let away = passage.network.clone();
    Ok(Crawl { plan, home: None, away, clock, seed }.run().await)
}

impl Monitor {
    /// An actor that looks at the swarm of `network` from outside.
    pub fn new(settings: Settings, network: network::Handle, clock: SharedClock, birth: Birth) -> Self {
        Self {
            rng: SmallRng::seed_from_u64(settings.seed),
            settings,
            network,
            clock,
            birth,
            crawling: None,
            timer: None,
            looked: None,
            ended: None,
            trials: Trials::new(),
            crawls: 0,
            failures: 0,
            draining: false,
        }
    }

    /// Whether there is a reason to crawl again.
    fn is_wanted(&self) -> bool {
        let lingers = |looked: Instant| looked.elapsed() < LINGER;
        self.settings.when == When::Always || self.looked.is_some_and(lingers)
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
            if this.is_wanted() {
                this.crawl(ctx);
            }
        });
        self.timer = Some((timer, Instant::now() + delay));
    }

    /// Sends a stranger out. Everything of it lives in this future, and ends with it.
    fn crawl(&mut self, ctx: &mut Context<Self>) {
        if self.draining || self.crawling.is_some() {
            return;
        }
        let plan = Plan::clone(&self.settings.plan.now());
        let (home, clock, seed) = (self.network.clone(), self.clock.clone(), self.rng.random());
        let (departures, pool) = (self.settings.departures.clone(), self.settings.pool.clone());
        let crawl = async move {
            let passage = departures.depart().await.map_err(|error| error.to_string())?;
            let away = passage.network.clone();
            let deadline = plan.deadline + GRACE;
            let crawl = Crawl { plan, home: Some(home), away, clock, seed };
            let state = errand(&pool, deadline, crawl.run()).await;
            state.map_err(|_| "the crawl did not end in time".to_owned())
        };
        let crawling = crawl.into_actor(self).map(|state, this, ctx| {
            this.crawling = None;
            this.crawled(state, ctx);
        });
        self.crawling = Some(ctx.spawn(crawling));
    }

    fn crawled(&mut self, state: Result<SwarmState, String>, ctx: &mut Context<Self>) {
        self.ended = Some(Instant::now());
        self.crawls += 1;
        let mut pause = self.settings.interval;
        match state {
            Ok(state) => {
                let servers: usize = state.models.iter().map(|model| model.servers.len()).sum();
                tracing::debug!(took = state.took, complete = state.complete, servers, "swarm crawled");
                let took = Duration::try_from_secs_f64(state.took).unwrap_or_default();
                let peers = u32::try_from(state.dht_peers.max(servers)).unwrap_or(u32::MAX);
                pause = pause.saturating_sub(took).max(PAUSE_A_PEER.saturating_mul(peers));
                self.settings.states.send_replace(Some(Arc::new(state)));
            }
            Err(cause) => {
                self.failures += 1;
                tracing::warn!(cause, "swarm could not be crawled");
            }
        }
        self.schedule(pause, ctx);
    }
}

impl Actor for Monitor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.birth.ready.notify();
        if self.is_wanted() {
            self.schedule(FIRST_CRAWL, ctx);
        }
    }
}

impl Handler<Look> for Monitor {
    type Result = bool;

    fn handle(&mut self, _: Look, ctx: &mut Self::Context) -> bool {
        self.looked = Some(Instant::now());
        // A crawl that comes by itself comes soon enough, unless the last one was long ago.
        let is_old = self.ended.is_none_or(|ended| ended.elapsed() >= self.settings.interval);
        if is_old && self.timer.is_none() {
            self.crawl(ctx);
        }
        self.crawling.is_some() && self.ended.is_none_or(|ended| ended.elapsed() >= LINGER)
    }
}

impl Handler<IsReachable> for Monitor {
    type Result = ResponseFuture<Result<Reach, TooMany>>;

    fn handle(&mut self, IsReachable { peer }: IsReachable, _: &mut Self::Context) -> Self::Result {
        let (plan, home, clock) = (self.settings.plan.now(), self.network.clone(), self.clock.clone());
        let (departures, pool) = (self.settings.departures.clone(), self.settings.pool.clone());
        let seed = self.rng.random();
        let tried = async move {
            let failed = |error: String| Reach::Failed { error };
            let passage = match departures.depart().await {
                Ok(passage) => passage,
                Err(error) => return failed(error.to_string()),
            };
            let away = passage.network.clone();
            let tried = errand(&pool, trials::DEADLINE, async move {
                crawl::enter(&plan.initial_peers, Some(&home), &away, &clock, seed).await;
                reach::connected(&away, peer, Vec::new()).await
            });
            tried.await.unwrap_or_else(|_| failed("no connection in time".to_owned()))
        };
        let trial = self.trials.of(peer, || {
            // A task of its own, so that the trial goes on when whoever asked first has left.
            let tried = actix_rt::spawn(tried);
            let lost = |_| Reach::Failed { error: "the trial came to no end".to_owned() };
            trials::trial(async move { tried.await.unwrap_or_else(lost) })
        });
        Box::pin(async move {
            match trial {
                Ok(trial) => Ok(trial.await),
                Err(error) => Err(error),
            }
        })
    }
}

impl Handler<Probe> for Monitor {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        let state = self.settings.states.borrow().clone();
        let servers =
            |state: &Arc<SwarmState>| -> usize { state.models.iter().map(|model| model.servers.len()).sum() };
        ProbeReport(json!({
            "crawls": self.crawls,
            "failed_crawls": self.failures,
            "crawling": self.crawling.is_some(),
            "seconds_since_crawl": self.ended.map(|ended| ended.elapsed().as_secs_f64()),
            "crawl_seconds": state.as_ref().map(|state| state.took),
            "complete": state.as_ref().map(|state| state.complete),
            "models": state.as_ref().map(|state| state.models.len()),
            "servers": state.as_ref().map(servers),
        }))
    }
}

impl Handler<Drain> for Monitor {
    type Result = ();

    /// Ends the crawl under way.
    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        self.draining = true;
        for handle in self.crawling.take().into_iter().chain(self.timer.take().map(|(timer, _)| timer)) {
            ctx.cancel_future(handle);
        }
    }
}
