//! The announcer keeps this true: every record of ours is at its replicas, with time to live to spare.
//!
//! It stores all records each period, at once when the offer changes, and again with backoff what nobody else
//! acknowledged. A store that reached no other peer is a failure; a swarm in which there is nobody else is reported
//! as "alone". Expirations are in swarm time. What others store under our name is noticed with the next announcement,
//! reported and outlived. When it drains, it stores the same records as OFFLINE and sees them acknowledged: the DHT knows no
//! delete. A restart loses its bookkeeping, and announces at once.
//!
//! Protocol facts: `petals/server/server.py` (`ModuleAnnouncerThread`), `petals/utils/dht.py`,
//! `hivemind/dht/storage.py` (freshness).

mod expirations;
mod farewell;
mod foreign;
mod ledger;
pub mod messages;
mod records;
mod reload;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, ResponseFuture, SpawnHandle, StreamHandler,
    WrapFuture,
};
use futures::{channel::oneshot, stream};
use hivemind_proto::{
    dht::{REPLICAS, StoreReport},
    records::ServerState,
    time::{Clock, DhtTime},
};
use libp2p::PeerId;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::sync::watch;

use self::{
    expirations::Expirations,
    foreign::Watch,
    ledger::Ledger,
    messages::{Announce, AnnounceError, Announced, Verdict},
    records::Named,
};
use crate::{
    clock::{SharedClock, SwarmClock},
    dht::{
        Dht, KnownNodes,
        messages::{Member, Membership, Store},
    },
    server_info::{ServerInfoStore, Snapshot, Snapshots, messages::Subscribe},
    supervisor::{Backoff, Birth, Drain, Probe, ProbeReport},
};

/// Changes in quick succession are announced once, this long after the first of them.
const CHANGE_DEBOUNCE: Duration = Duration::from_millis(50);

/// How long the first announcement waits for somebody to announce to.
const START_GRACE: Duration = Duration::from_secs(1);

/// While records have fewer replicas than they should, news of more nodes is followed up after this time.
const GROWTH_DEBOUNCE: Duration = Duration::from_secs(1);

/// A period is shortened by up to this part, so that servers that started together drift apart.
const PERIOD_JITTER: f64 = 0.1;

/// Askers that may wait for the end of an announcement.
const MOST_ASKERS: usize = 64;

/// What the actor is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Under whose name the blocks are announced.
    pub own_peer: PeerId,
    /// How often every record is stored.
    pub period: Duration,
    /// How long each store is to last.
    pub ttl: Duration,
    /// How long to wait before a failed store is tried again.
    pub retry: Backoff,
    /// Whether it is in order that there is nobody else: we seed the swarm.
    pub may_be_alone: bool,
    /// Seed of the jitter.
    pub seed: u64,
}

/// The actor.
pub struct Announcer {
    settings: Settings,
    dht: Addr<Dht>,
    server_info: Addr<ServerInfoStore>,
    local_clock: SharedClock,
    birth: Birth,
    rng: SmallRng,
    /// What it listens to; `None` until it has subscribed.
    sources: Option<Sources>,
    ledger: Ledger,
    foreign: Watch,
    /// What the last attempt announced.
    announced: Option<Arc<Snapshot>>,
    /// An attempt is under way.
    busy: bool,
    /// What the attempt that follows is to store, if one is due as soon as this one ends.
    queued: Option<Scope>,
    /// Who waits for the end of an attempt that has yet to begin, and of the one under way.
    askers: Vec<Asker>,
    asked: Vec<Asker>,
    timer: Option<SpawnHandle>,
    failures: u32,
    expirations: Expirations,
    draining: bool,
}

#[derive(Clone)]
struct Sources {
    snapshots: Snapshots,
    known: KnownNodes,
    clock: SwarmClock,
}

/// Where the end of an announcement is told.
type Asker = oneshot::Sender<Announced>;

/// Which records an attempt stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    All,
    Unconfirmed,
}

/// The offer changed.
struct OfferChanged;

/// More or fewer nodes are known.
struct NodesChanged;

/// What was announced expires at another moment than was thought.
struct TimeLeapt;

impl Announcer {
    /// An actor that announces what `server_info` says through `dht`.
    pub fn new(
        settings: Settings,
        dht: Addr<Dht>,
        server_info: Addr<ServerInfoStore>,
        clock: SharedClock,
        birth: Birth,
    ) -> Self {
        Self {
            rng: SmallRng::seed_from_u64(settings.seed),
            settings,
            dht,
            server_info,
            local_clock: clock,
            birth,
            sources: None,
            ledger: Ledger::default(),
            foreign: Watch::default(),
            announced: None,
            busy: false,
            queued: None,
            askers: Vec::new(),
            asked: Vec::new(),
            timer: None,
            failures: 0,
            expirations: Expirations::default(),
            draining: false,
        }
    }

    fn subscribed(&mut self, sources: Sources, ctx: &mut Context<Self>) {
        self.birth.ready.notify();
        if sources.snapshots.borrow().is_none() {
            return; // a bootstrap announces nothing
        }
        ctx.add_stream(changes(sources.snapshots.clone(), || OfferChanged));
        ctx.add_stream(changes(sources.known.clone(), || NodesChanged));
        ctx.add_stream(changes(sources.clock.leaps(), || TimeLeapt));
        let somebody_is_there = *sources.known.borrow() > 0;
        self.sources = Some(sources);
        self.schedule(if somebody_is_there { Duration::ZERO } else { START_GRACE }, Scope::All, ctx);
    }

    fn schedule(&mut self, delay: Duration, scope: Scope, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = Some(ctx.run_later(delay, move |this, ctx| {
            this.timer = None;
            this.attempt(scope, ctx);
        }));
    }

    /// Stores once. While an attempt is under way, the next one waits for its end.
    fn attempt(&mut self, scope: Scope, ctx: &mut Context<Self>) {
        let Some(snapshot) = self.snapshot().filter(|_| !self.draining) else { return };
        if self.busy {
            self.queued = Some(if self.queued == Some(Scope::All) { Scope::All } else { scope });
            return;
        }
        if let Some(before) = self.announced.clone() {
            self.leave_blocks(&snapshot, &before, ctx);
        }
        let expiration = self.next_expiration();
        let mut named = records::of(&snapshot.offer, self.settings.own_peer, expiration);
        if scope == Scope::Unconfirmed {
            named.retain(|record| !self.ledger.is_confirmed(&record.name));
        }
        self.ledger.begin(snapshot.version, snapshot.offer.server.state, self.known_nodes());
        self.busy = true;
        if scope == Scope::All {
            self.asked.append(&mut self.askers);
        }
        self.announced = Some(snapshot);
        let records = named.iter().map(|named| named.record.clone()).collect();
        let stored = self.dht.send(Store { records }).into_actor(self);
        ctx.spawn(stored.map(move |report, this, ctx| {
            this.busy = false;
            // Otherwise the dht actor is gone, and this actor is about to be rebuilt with it.
            if let Ok(Ok(report)) = report {
                this.stored(&named, &report, ctx);
            }
        }));
    }

    fn stored(&mut self, announced: &[Named], report: &StoreReport, ctx: &mut Context<Self>) {
        let verdict = self.ledger.end(announced, report, self.settings.may_be_alone, self.now());
        self.log(verdict, report);
        let summary = self.ledger.summary(self.now());
        for asker in self.asked.drain(..) {
            // One that has gone meanwhile need not know.
            let _ = asker.send(Announced { verdict, summary: summary.clone() });
        }
        self.foreign.announced(announced, report, verdict);
        self.expirations.outlive(announced, report, self.now());
        if self.draining {
            return;
        }
        let in_order = verdict.is_in_order(self.settings.may_be_alone);
        self.failures = if in_order { 0 } else { self.failures + 1 };
        if let Some(scope) = self.queued.take() {
            return self.schedule(Duration::ZERO, scope, ctx);
        }
        let chance: f64 = self.rng.random();
        let period = self.settings.period.mul_f64(1.0 - PERIOD_JITTER * chance);
        match in_order {
            true => self.schedule(period, Scope::All, ctx),
            false => {
                let retry = self.settings.retry.delay(self.failures, chance);
                self.schedule(retry.min(period), Scope::Unconfirmed, ctx);
            }
        }
    }

    fn next_expiration(&mut self) -> DhtTime {
        self.expirations.next(self.now(), self.settings.ttl)
    }

    /// Swarm time; the local clock until the dht actor has been asked for it.
    fn now(&self) -> DhtTime {
        match &self.sources {
            Some(sources) => sources.clock.now(),
            None => self.local_clock.now(),
        }
    }

    fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.sources.as_ref().and_then(|sources| sources.snapshots.borrow().clone())
    }

    fn known_nodes(&self) -> usize {
        self.sources.as_ref().map_or(0, |sources| *sources.known.borrow())
    }

    /// One line for each change of the verdict; the routine is for whoever debugs.
    fn log(&self, verdict: Verdict, report: &StoreReport) {
        let summary = self.ledger.summary(self.now());
        let (records, confirmed) = (summary.records, summary.confirmed);
        let (replicas, calls) = (summary.least_replicas, report.calls);
        match verdict {
            _ if !self.ledger.verdict_changed() => {
                tracing::debug!(?verdict, records, confirmed, replicas, calls, "announced again");
            }
            Verdict::Confirmed => {
                tracing::info!(state = ?summary.state, records, replicas, calls, "announced, acknowledged by other peers");
            }
            Verdict::Alone if self.settings.may_be_alone => {
                tracing::info!(records, "alone: nobody else is in the swarm yet, records are held here only");
            }
            Verdict::Alone => tracing::warn!(records, "not announced: no other node is known"),
            Verdict::Failed => {
                tracing::warn!(
                    records,
                    confirmed,
                    calls,
                    "announcement incomplete: some records were acknowledged by nobody"
                );
            }
        }
    }
}

/// An item for each change of `source`.
fn changes<T, I>(source: watch::Receiver<T>, item: impl Fn() -> I) -> impl futures::Stream<Item = I> {
    stream::unfold((source, item), |(mut source, item)| async move {
        source.changed().await.ok()?;
        Some((item(), (source, item)))
    })
}

/// Whether the change is only of round trips, which change each period: they are told with the next announcement.
fn can_wait(now: &Snapshot, before: &Snapshot) -> bool {
    let mut server = now.offer.server.clone();
    server.next_pings.clone_from(&before.offer.server.next_pings);
    server == before.offer.server && now.offer.model == before.offer.model
}

impl Actor for Announcer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let (snapshots, member) = (self.server_info.send(Subscribe), self.dht.send(Membership));
        let subscribed = async move { Some((snapshots.await.ok()?, member.await.ok()?)) };
        ctx.spawn(subscribed.into_actor(self).map(|subscribed, this, ctx| {
            // If either is gone, this actor is about to be rebuilt with it.
            if let Some((snapshots, member)) = subscribed {
                let Member { known, clock, .. } = member;
                this.subscribed(Sources { snapshots, known, clock }, ctx);
            }
        }));
    }
}

impl StreamHandler<OfferChanged> for Announcer {
    fn handle(&mut self, _: OfferChanged, ctx: &mut Self::Context) {
        if self.snapshot().zip(self.announced.as_ref()).is_some_and(|(now, before)| can_wait(&now, before)) {
            return;
        }
        self.ledger.outdate();
        self.schedule(CHANGE_DEBOUNCE, Scope::All, ctx);
    }

    /// The source is gone, and this actor is about to be rebuilt with it.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl StreamHandler<TimeLeapt> for Announcer {
    fn handle(&mut self, _: TimeLeapt, ctx: &mut Self::Context) {
        self.schedule(CHANGE_DEBOUNCE, Scope::All, ctx);
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl StreamHandler<NodesChanged> for Announcer {
    fn handle(&mut self, _: NodesChanged, ctx: &mut Self::Context) {
        let known = self.known_nodes();
        match self.ledger.known_nodes() {
            // Nobody was there to announce to, and now somebody is.
            0 if known > 0 => self.schedule(Duration::ZERO, Scope::All, ctx),
            before if known > before && self.ledger.summary(self.now()).least_replicas < REPLICAS => {
                self.ledger.saw_nodes(known);
                self.schedule(GROWTH_DEBOUNCE, Scope::All, ctx);
            }
            _ => {}
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Announce> for Announcer {
    type Result = ResponseFuture<Result<Announced, AnnounceError>>;

    fn handle(&mut self, _: Announce, ctx: &mut Self::Context) -> Self::Result {
        self.askers.retain(|asker| !asker.is_canceled());
        let refused = match () {
            () if self.draining => Some(AnnounceError::Draining),
            () if self.snapshot().is_none() => Some(AnnounceError::NothingOffered),
            () if self.askers.len() >= MOST_ASKERS => Some(AnnounceError::Busy),
            () => None,
        };
        if let Some(refused) = refused {
            return Box::pin(async move { Err(refused) });
        }
        let (asker, end) = oneshot::channel();
        self.askers.push(asker);
        self.attempt(Scope::All, ctx);
        Box::pin(async move { end.await.map_err(|_| AnnounceError::Restarted) })
    }
}

impl Handler<Probe> for Announcer {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        ProbeReport::of(&self.ledger.status(self.foreign.status(), self.now()))
    }
}

impl Handler<Drain> for Announcer {
    type Result = actix::ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) -> Self::Result {
        self.draining = true;
        self.askers.clear();
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let state = ServerState::Offline;
        let records = self.snapshot().map(|snapshot| {
            let mut offer = snapshot.offer.clone();
            offer.server.state = state;
            offer.server.next_pings = None; // as petals does: nobody is routed on from here
            let expiration = self.next_expiration();
            records::of(&offer, self.settings.own_peer, expiration)
        });
        // In a swarm that we seed, and to which nothing was announced, there is nobody to miss us.
        let may_be_alone = self.settings.may_be_alone && !self.ledger.was_ever_confirmed();
        let records = records.unwrap_or_default();
        let farewell = farewell::say(self.dht.clone(), records, self.settings.retry, may_be_alone);
        Box::pin(farewell.into_actor(self))
    }
}
