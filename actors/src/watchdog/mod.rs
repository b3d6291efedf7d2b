//! The watchdog keeps this true: the service manager hears that we live only while every actor answers.
//!
//! It asks the supervisor, who asks every actor. An actor that hangs is the supervisor's first: it restarts it. Only one
//! that is silent although it was given the time for that ([`TreeStatus::silent`]) keeps the service manager
//! from being fed, which then starts the whole process again. An actor that blocks the thread blocks this one too, with
//! the same end. It also says when the node is up, when it drains, and in one line whether it is visible.
//!
//! Without a service manager it only tells the log who is silent. A restart loses nothing: it says again what is true.

pub mod messages;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, StreamHandler, WrapFuture};
use futures::stream;
use serde::Serialize;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use self::messages::{News, ServiceManager};
use crate::{
    admin::TreeCell,
    config_keeper::Reloads,
    observer::messages::{Opinion, Opinions, Verdict},
    supervisor::{Birth, Drain, Probe, ProbeReport, TreeState, TreeStatus},
};

/// Between two looks while no service manager sets the pace.
const PERIOD: Duration = Duration::from_secs(5);

/// Between two looks until the tree has run once: whoever waits for us to be ready waits no longer than needed.
const PERIOD_AT_START: Duration = Duration::from_millis(50);

/// For the supervisor to answer; it does so within microseconds, unless something blocks the arbiter.
const SUPERVISOR_DEADLINE: Duration = Duration::from_secs(2);

/// Of a status line, in characters: it is shown in one line.
const STATUS_CHARACTERS: usize = 240;

/// What the actor is made of.
#[derive(Clone)]
pub struct Settings {
    /// Whom to feed, if anybody.
    pub manager: Option<Arc<dyn ServiceManager>>,
    /// How long it waits for the next [`News::Alive`], if it waits: it is told twice in that time.
    pub patience: Option<Duration>,
    /// The tree that is watched.
    pub tree: TreeCell,
    /// The observer's last word.
    pub visibility: Opinions,
    /// What becomes of reloads of the config.
    pub reloads: watch::Receiver<Reloads>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let managed = self.manager.is_some();
        f.debug_struct("Settings").field("managed", &managed).field("patience", &self.patience).finish()
    }
}

/// The actor.
#[derive(Debug)]
pub struct Watchdog {
    settings: Settings,
    birth: Birth,
    up: bool,
    draining: bool,
    /// Who was silent at the last look.
    silent: Vec<String>,
    line: String,
    fed: u64,
    last_fed: Option<Instant>,
    /// Reloads that have ended, as far as that was told, and whether one is under way.
    reloads: u64,
    reloading: bool,
    last_error: Option<String>,
}

/// What a probe tells.
#[derive(Debug, Serialize)]
struct Status<'a> {
    managed: bool,
    up: bool,
    feeds_every_seconds: Option<f64>,
    fed: u64,
    fed_seconds_ago: Option<f64>,
    silent: &'a [String],
    line: &'a str,
    last_error: Option<&'a str>,
}

/// The observer has another word.
struct OpinionChanged;

/// A reload has begun, or is over.
struct ReloadsChanged;

/// An item for each change of `source`.
fn changes<T, I>(source: watch::Receiver<T>, item: fn() -> I) -> impl futures::Stream<Item = I> {
    stream::unfold(source, move |mut source| async move {
        source.changed().await.ok()?;
        Some((item(), source))
    })
}

impl Watchdog {
    /// An actor that watches `settings.tree`.
    pub fn new(settings: Settings, birth: Birth) -> Self {
        let reloads = settings.reloads.borrow().ended();
        Self {
            settings,
            birth,
            reloads,
            reloading: false,
            up: false,
            draining: false,
            silent: Vec::new(),
            line: String::new(),
            fed: 0,
            last_fed: None,
            last_error: None,
        }
    }

    fn period(&self) -> Duration {
        let period = self.settings.patience.map_or(PERIOD, |patience| patience / 2);
        if self.up { period } else { period.min(PERIOD_AT_START) }
    }

    fn look_later(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(self.period(), Self::look);
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let tree = Arc::clone(&self.settings.tree);
        let status = async move {
            let tree = tree.get()?;
            timeout(SUPERVISOR_DEADLINE, tree.status()).await.ok()
        };
        ctx.spawn(status.into_actor(self).map(|status, this, ctx| {
            if let Some(status) = status {
                this.looked(&status);
            }
            this.look_later(ctx);
        }));
    }

    fn looked(&mut self, tree: &TreeStatus) {
        if self.draining {
            return;
        }
        let silent: Vec<String> = tree.silent().map(|actor| actor.name.clone()).collect();
        if silent != self.silent {
            match silent.is_empty() {
                true => tracing::info!(was_silent = ?self.silent, "every actor answers again"),
                false => tracing::error!(?silent, "actors are silent, and their restart does not help"),
            }
            self.silent = silent;
        }
        if !self.up && tree.state == TreeState::Running {
            self.up = self.tell(&[News::Ready]);
        }
        self.tell_reload();
        self.tell_line();
        if self.silent.is_empty() && self.settings.patience.is_some() && self.tell(&[News::Alive]) {
            self.fed += 1;
            self.last_fed = Some(Instant::now());
        }
    }

    fn tell_line(&mut self) {
        let line = line(&self.settings.visibility.borrow().clone(), &self.silent);
        if line != self.line && !self.draining && self.tell(&[News::Status(&line)]) {
            self.line = line;
        }
    }

    /// Says that a reload begins, and that it is over. A short one may be both when it is seen.
    fn tell_reload(&mut self) {
        let (reloading, ended) = {
            let reloads = self.settings.reloads.borrow();
            (reloads.reloading, reloads.ended())
        };
        if self.draining || !self.up {
            self.reloads = ended;
            return;
        }
        if !self.reloading && (reloading || ended != self.reloads) {
            self.reloading = self.tell(&[News::Reloading]);
        }
        if self.reloading && !reloading && self.tell(&[News::Ready]) {
            (self.reloading, self.reloads) = (false, ended);
        }
    }

    /// False if it could not be told, and is to be told with the next look.
    fn tell(&mut self, news: &[News<'_>]) -> bool {
        let Some(manager) = &self.settings.manager else { return true };
        match manager.tell(news) {
            Ok(()) => {
                if self.last_error.take().is_some() {
                    tracing::info!("the service manager can be told again");
                }
                true
            }
            Err(error) => {
                if self.last_error.is_none() {
                    tracing::warn!(%error, "the service manager cannot be told");
                }
                self.last_error = Some(error.to_string());
                false
            }
        }
    }
}

/// Whether we are visible, for people, in one line.
fn line(opinion: &Opinion, silent: &[String]) -> String {
    let verdict = match opinion.verdict {
        _ if opinion.is_stale() => "visibility unknown, the observer is silent, it last said",
        Verdict::Visible => "visible",
        Verdict::PartlyVisible => "partly visible",
        Verdict::Invisible => "invisible",
        Verdict::Unknown => "visibility unknown",
    };
    let silent = match silent {
        [] => String::new(),
        silent => format!("silent: {}; ", silent.join(", ")),
    };
    let line = format!("{silent}{verdict}: {}", opinion.cause);
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(STATUS_CHARACTERS).collect()
}

impl Actor for Watchdog {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.add_stream(changes(self.settings.visibility.clone(), || OpinionChanged));
        ctx.add_stream(changes(self.settings.reloads.clone(), || ReloadsChanged));
        self.birth.ready.notify();
        self.look(ctx);
    }
}

impl StreamHandler<OpinionChanged> for Watchdog {
    fn handle(&mut self, _: OpinionChanged, _: &mut Self::Context) {
        self.tell_line();
    }

    /// Whoever holds the observer's word is gone: the process ends.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl StreamHandler<ReloadsChanged> for Watchdog {
    fn handle(&mut self, _: ReloadsChanged, _: &mut Self::Context) {
        self.tell_reload();
    }

    /// As above.
    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Handler<Probe> for Watchdog {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        ProbeReport::of(&Status {
            managed: self.settings.manager.is_some(),
            up: self.up,
            feeds_every_seconds: self.settings.patience.map(|patience| patience.as_secs_f64() / 2.0),
            fed: self.fed,
            fed_seconds_ago: self.last_fed.map(|at| at.elapsed().as_secs_f64()),
            silent: &self.silent,
            line: &self.line,
            last_error: self.last_error.as_deref(),
        })
    }
}

/// This actor drains first. From then on nobody need be fed: a service manager's watchdog does not run while it waits
/// for a service to stop.
impl Handler<Drain> for Watchdog {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {
        self.draining = true;
        self.tell(&[News::Stopping, News::Status("draining: announcing OFFLINE")]);
    }
}
