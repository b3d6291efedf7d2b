//! An actor that fails as it is told, and the journal of what it and its like went through.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, ResponseFuture, Running,
    WrapFuture, fut,
};
use tokio::time::{Instant, sleep, timeout};

use crate::supervisor::*;

/// What an incarnation does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) enum Fault {
    #[default]
    None,
    PanicInFactory,
    PanicInStarted,
    /// In a future spawned into its context, after this long.
    PanicInSpawned(Duration),
    /// In a `run_later`, after this long.
    PanicInTimer(Duration),
    PanicInDrain,
    /// In `stopped`, whatever stopped it.
    PanicInStopped,
    StopsItself(Duration),
    NeverReady,
    /// Ready only after this long.
    SlowToStart(Duration),
    /// Does not answer probes.
    Deaf,
    /// Answers probes after this long, in ten steps.
    SlowToAnswer(Duration),
    /// Is in `ctx.wait` for ever from the moment it is ready.
    Stuck,
    /// Never answers `Drain`.
    DrainHangs,
    /// Drains after this long.
    SlowToDrain(Duration),
    /// Says no in `stopping`.
    RefusesToStop,
}

/// What each actor does wrong in which generation, and what has happened so far. Generation 0 stands for all.
#[derive(Clone, Default)]
pub(super) struct Lab {
    faults: Arc<Mutex<HashMap<(&'static str, u64), Fault>>>,
    journal: Arc<Mutex<Vec<String>>>,
    slots: Arc<Mutex<HashMap<&'static str, Slot<Patient>>>>,
}

impl Lab {
    /// A lab for this test, whose clock stands still whenever there is something to do.
    pub(super) fn new() -> Self {
        tokio::time::pause();
        Self::default()
    }

    pub(super) fn fault(&self, name: &'static str, generation: u64, fault: Fault) {
        self.faults.lock().unwrap().insert((name, generation), fault);
    }

    pub(super) fn child(&self, name: &'static str) -> Child {
        self.child_with(name, settings())
    }

    pub(super) fn child_with(&self, name: &'static str, settings: ChildSettings) -> Child {
        actor(name, &self.slot(name), settings, self.factory(name))
    }

    pub(super) fn factory(&self, name: &'static str) -> impl FnMut(Birth) -> Patient + use<> {
        let lab = self.clone();
        move |birth| {
            let fault = lab.fault_of(name, birth.generation);
            assert!(fault != Fault::PanicInFactory, "boom in the factory");
            Patient { name, fault, birth, lab: lab.clone() }
        }
    }

    pub(super) fn children(&self, names: &[&'static str]) -> Vec<Child> {
        names.iter().map(|name| self.child(name)).collect()
    }

    pub(super) fn slot(&self, name: &'static str) -> Slot<Patient> {
        self.slots.lock().unwrap().entry(name).or_default().clone()
    }

    /// What was written since this was last asked.
    pub(super) fn news(&self) -> Vec<String> {
        std::mem::take(&mut self.journal.lock().unwrap())
    }

    pub(super) fn write(&self, line: String) {
        self.journal.lock().unwrap().push(line);
    }

    fn fault_of(&self, name: &'static str, generation: u64) -> Fault {
        let faults = self.faults.lock().unwrap();
        faults.get(&(name, generation)).or_else(|| faults.get(&(name, 0))).copied().unwrap_or_default()
    }
}

/// Short times, so that a failure can be told from a wait by looking at the clock.
pub(super) fn settings() -> ChildSettings {
    ChildSettings {
        restart: Restart::Permanent,
        backoff: Backoff { jitter: 0.0, ..Backoff::default() },
        start_deadline: Duration::from_secs(30),
        stop_deadline: Duration::from_secs(5),
        probe_period: Duration::from_secs(5),
        probe_deadline: Duration::from_secs(5),
    }
}

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(7200);

/// Starts a tree whose root is called `root`. Its outcome must come before patience ends.
pub(super) fn start(
    strategy: Strategy,
    intensity: Intensity,
    children: Vec<Child>,
) -> (Handle, impl Future<Output = Outcome>) {
    let (handle, outcome) = Tree::new(supervisor("root", strategy, intensity, children)).unwrap().start();
    (handle, async { timeout(PATIENCE, outcome).await.expect("the tree never ended") })
}

/// Lets everything happen that needs no time.
pub(super) async fn pass_turns() {
    sleep(Duration::from_millis(1)).await;
}

/// Waits until the tree looks like that; panics with what it looks like when it never does.
pub(super) async fn until(handle: &Handle, what: &str, wanted: impl Fn(&TreeStatus) -> bool) -> Duration {
    let begun = Instant::now();
    let seen = timeout(PATIENCE, async {
        while !wanted(&handle.status().await) {
            sleep(Duration::from_millis(1)).await;
        }
    });
    if seen.await.is_err() {
        panic!("never: {what}; now: {:#?}", handle.status().await);
    }
    begun.elapsed()
}

pub(super) async fn until_running(handle: &Handle) -> Duration {
    until(handle, "all run", |status| status.state == TreeState::Running).await
}

pub(super) fn of(status: &TreeStatus, name: &str) -> ActorStatus {
    status.actors.iter().find(|actor| actor.name == name).unwrap().clone()
}

pub(super) async fn look(handle: &Handle, name: &str) -> ActorStatus {
    of(&handle.status().await, name)
}

/// The actor of the lab.
pub(super) struct Patient {
    name: &'static str,
    fault: Fault,
    birth: Birth,
    lab: Lab,
}

impl Patient {
    fn write(&self, what: &str) {
        self.lab.write(format!("{} {} {what}", self.name, self.birth.generation));
    }

    fn serve(&mut self) {
        self.write("ready");
        self.birth.ready.notify();
    }
}

impl Actor for Patient {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.write("started");
        match self.fault {
            Fault::PanicInStarted => panic!("boom in started"),
            Fault::PanicInSpawned(after) => {
                let work = async move {
                    sleep(after).await;
                    panic!("boom in a spawned future")
                };
                ctx.spawn(work.into_actor(self));
            }
            Fault::PanicInTimer(after) => {
                ctx.run_later(after, |_, _| panic!("boom in a timer"));
            }
            Fault::StopsItself(after) => {
                ctx.run_later(after, |_, ctx| ctx.stop());
            }
            Fault::SlowToStart(after) => {
                ctx.run_later(after, |this, _| this.serve());
                return;
            }
            Fault::NeverReady => return,
            Fault::Stuck => ctx.wait(fut::wrap_future::<_, Self>(std::future::pending::<()>())),
            _ => {}
        }
        self.serve();
    }

    fn stopping(&mut self, _: &mut Self::Context) -> Running {
        if self.fault == Fault::RefusesToStop { Running::Continue } else { Running::Stop }
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.write("stopped");
        assert!(self.fault != Fault::PanicInStopped, "boom in stopped");
    }
}

impl Handler<Probe> for Patient {
    type Result = ResponseFuture<ProbeReport>;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> Self::Result {
        let fault = self.fault;
        let report = ProbeReport::of(&HashMap::from([("born", self.birth.generation)]));
        Box::pin(async move {
            match fault {
                Fault::Deaf => std::future::pending().await,
                Fault::SlowToAnswer(takes) => {
                    for _ in 0..10 {
                        sleep(takes / 10).await;
                    }
                }
                _ => {}
            }
            report
        })
    }
}

impl Handler<Drain> for Patient {
    type Result = actix::ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        self.write("drains");
        let fault = self.fault;
        let work = async move {
            match fault {
                Fault::PanicInDrain => panic!("boom in drain"),
                Fault::DrainHangs => std::future::pending().await,
                Fault::SlowToDrain(takes) => sleep(takes).await,
                _ => {}
            }
        };
        Box::pin(work.into_actor(self).map(|(), this, _| this.write("drained")))
    }
}

/// Panics in its handler.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Boom;

impl Handler<Boom> for Patient {
    type Result = ();

    fn handle(&mut self, _: Boom, _: &mut Self::Context) {
        panic!("boom in a handler")
    }
}

/// Panics in the future of its answer.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct BoomInAnswer;

impl Handler<BoomInAnswer> for Patient {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: BoomInAnswer, _: &mut Self::Context) -> Self::Result {
        Box::pin(async { panic!("boom in an answer") })
    }
}

/// Which generation answers.
#[derive(Message)]
#[rtype(result = "u64")]
pub(super) struct Who;

impl Handler<Who> for Patient {
    type Result = u64;

    fn handle(&mut self, _: Who, _: &mut Self::Context) -> u64 {
        self.birth.generation
    }
}
