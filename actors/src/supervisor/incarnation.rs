//! One life of one actor: built by its factory, run in a task of its own, watched until its end.
//!
//! `actix::Supervisor` and `Context::run` lose an actor that panics. Here the task that drives the actor's future is
//! ours: it catches the panic, and drops the actor afterwards, outside of the unwinding, so that even a panic in
//! `stopped` is only one more line of the cause. What cannot be survived is a destructor that panics while a
//! first panic unwinds through it (Rust aborts the process then), and an actor that never returns from a poll:
//! it holds the thread, and with it the supervisor.

use std::{
    fmt, panic,
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

use actix::{ActorContext, AsyncContext, Context, Recipient, dev::ContextFut};
use futures::future::LocalBoxFuture;
use tokio::{
    sync::{oneshot, watch},
    task::{AbortHandle, JoinError},
};

use super::{
    machine::{Exit, News},
    messages::{Birth, Drain, Probe, Ready, Supervised},
    panics,
    slot::Slot,
};

/// Something that will be known about an incarnation; `None` if it never will.
pub(super) type Awaited = LocalBoxFuture<'static, Option<News>>;

/// Builds the incarnations of one actor, whatever its type.
pub(super) trait Spawn: fmt::Debug {
    /// The next incarnation and, to be awaited, its readiness and its end; or the panic of its factory.
    fn spawn(&mut self, generation: u64) -> Result<(Life, [Awaited; 2]), String>;
}

/// A living actor, as far as its supervisor deals with it.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) generation: u64,
    task: AbortHandle,
    crash: Option<oneshot::Sender<()>>,
    stop: Option<oneshot::Sender<()>>,
    probe: Recipient<Probe>,
    drain: Recipient<Drain>,
    /// Dropped with it: nothing is awaited from an incarnation that is gone, even if what it spawned lives on.
    alive: watch::Sender<()>,
}

impl Life {
    /// Its status. Never known if it does not answer while it lives.
    pub(super) fn probe(&self) -> Awaited {
        let asked = self.probe.send(Probe);
        self.unless_gone(async move { asked.await.ok().map(|report| News::Answered(report.0)) })
    }

    /// Asks it to finish. One that can no longer answer has finished.
    pub(super) fn drain(&self) -> Awaited {
        let asked = self.drain.send(Drain);
        self.unless_gone(async move {
            let _ = asked.await;
            Some(News::Drained)
        })
    }

    fn unless_gone(&self, news: impl Future<Output = Option<News>> + 'static) -> Awaited {
        let mut alive = self.alive.subscribe();
        Box::pin(async move {
            tokio::select! {
                biased;
                news = news => news,
                _ = alive.changed() => None,
            }
        })
    }

    /// Stops its context from inside its task, even while it waits for something. It may still refuse in `stopping`.
    pub(super) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Panics it from inside its task.
    pub(super) fn crash(&mut self) {
        if let Some(crash) = self.crash.take() {
            let _ = crash.send(());
        }
    }

    /// Ends it, whatever it does. `stopping` and `stopped` still run.
    pub(super) fn abort(&self) {
        self.task.abort();
    }
}

/// The way to make one kind of actor, and the place for its address.
pub(super) struct Factory<A: Supervised, F> {
    slot: Slot<A>,
    factory: F,
}

impl<A: Supervised, F: FnMut(Birth) -> A + 'static> Factory<A, F> {
    pub(super) fn new(slot: Slot<A>, factory: F) -> Self {
        Self { slot, factory }
    }
}

impl<A: Supervised, F> fmt::Debug for Factory<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Factory").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl<A: Supervised, F: FnMut(Birth) -> A + 'static> Spawn for Factory<A, F> {
    fn spawn(&mut self, generation: u64) -> Result<(Life, [Awaited; 2]), String> {
        let (ready, mut seen) = Ready::new();
        let actor = panics::caught(|| (self.factory)(Birth { ready, generation }))?;
        let context = Context::<A>::new();
        let address = context.address();
        let (crash, crashed) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let task = actix_rt::spawn(Body {
            actor: Some(context.into_future(actor)),
            begun: false,
            crash: Some(crashed),
            stop: Some(stopped),
            slot: self.slot.clone(),
        });
        let life = Life {
            generation,
            task: task.abort_handle(),
            crash: Some(crash),
            stop: Some(stop),
            probe: address.clone().recipient(),
            drain: address.clone().recipient(),
            alive: watch::Sender::new(()),
        };
        self.slot.fill(address);
        let served = life
            .unless_gone(async move { seen.wait_for(|ready| *ready).await.is_ok().then_some(News::Ready) });
        let ended: Awaited = Box::pin(async move { Some(News::Exited(task.await.unwrap_or_else(exit_of))) });
        Ok((life, [served, ended]))
    }
}

fn exit_of(error: JoinError) -> Exit {
    match error.try_into_panic() {
        Ok(payload) => Exit::Panicked(panics::text(payload.as_ref())),
        Err(_) => Exit::Aborted,
    }
}

/// The actor's future, and the triggers that act on it from inside its task.
struct Body<A: Supervised> {
    actor: Option<ContextFut<A, Context<A>>>,
    begun: bool,
    crash: Option<oneshot::Receiver<()>>,
    stop: Option<oneshot::Receiver<()>>,
    slot: Slot<A>,
}

impl<A: Supervised> Future for Body<A> {
    type Output = Exit;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Exit> {
        let this = self.get_mut();
        let Some(actor) = this.actor.as_mut() else { return Poll::Ready(Exit::Finished) };
        this.begun = true;
        let (crash, stop) = (&mut this.crash, &mut this.stop);
        let polled = panics::caught(|| {
            #[expect(
                clippy::panic,
                reason = "this is what it is for: a panic like any other, inside the actor's task"
            )]
            if fired(crash, cx) {
                panic!("crashed on request");
            }
            if fired(stop, cx) {
                actor.ctx().stop();
            }
            Pin::new(actor).poll(cx)
        });
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(())) => Poll::Ready(this.bury().map_or_else(Exit::Panicked, |()| Exit::Finished)),
            Err(cause) => Poll::Ready(Exit::Panicked(match this.bury() {
                Ok(()) => cause,
                Err(second) => format!("{cause}; then, while it was stopped: {second}"),
            })),
        }
    }
}

impl<A: Supervised> Body<A> {
    /// Drops the actor, which runs `stopping` and `stopped` if it has not stopped yet.
    fn bury(&mut self) -> Result<(), String> {
        self.slot.empty();
        let Some(mut actor) = self.actor.take() else { return Ok(()) };
        if !self.begun {
            // Otherwise actix would run `started` now.
            actor.ctx().terminate();
        }
        panics::caught(|| drop(actor))
    }
}

impl<A: Supervised> Drop for Body<A> {
    fn drop(&mut self) {
        if let Err(cause) = self.bury() {
            // tokio catches it, and hands it to whoever awaits the task.
            panic::resume_unwind(Box::new(cause));
        }
    }
}

/// Whether a trigger has been pulled. It is asked once more only if it has not.
fn fired(trigger: &mut Option<oneshot::Receiver<()>>, cx: &mut TaskContext<'_>) -> bool {
    let Some(receiver) = trigger else { return false };
    match Pin::new(receiver).poll(cx) {
        Poll::Pending => false,
        Poll::Ready(pulled) => {
            *trigger = None;
            pulled.is_ok()
        }
    }
}
