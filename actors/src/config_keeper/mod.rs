//! The config_keeper keeps this true: all actors live by the same config. A new one is accepted by all whom it
//! concerns, or nobody gets it.
//!
//! In two phases, as in elfo (`elfo-configurer`): everybody is asked, then everybody is told. What an actor is built
//! from is changed in the same instant for all of them ([`Live`]), so one that is restarted at any moment of it comes
//! back with whichever holds then. What is read and who is concerned is the program's: [`Settings::read`].
//!
//! A reload that is wanted while one is under way follows it. A restart of the actor loses neither the wish nor the
//! count of reloads, which both live outside of it; a reload under way ends with it before anybody was told, or after
//! everybody was.

pub mod messages;
mod party;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use futures::future::join_all;
use serde::Serialize;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use self::messages::Refusal;
use crate::supervisor::{Birth, Drain, Probe, ProbeReport};

pub use party::{ActorParty, Live, Party, Seat};

/// For the config to be read: a file on a disk that may be slow.
const READ_DEADLINE: Duration = Duration::from_secs(10);

/// For an actor to say whether it accepts, and to take notice. It decides at once; longer than this it hangs.
const ANSWER_DEADLINE: Duration = Duration::from_secs(3);

/// Reads the config again and tells who is concerned. Waits for the disk; called off the arbiter, by one at a time.
pub type Read = Arc<dyn Fn() -> Result<Proposal, Vec<String>> + Send + Sync>;

/// A config that may come into force.
#[derive(Debug, Default)]
pub struct Proposal {
    /// The keys whose new values it holds.
    pub changed: Vec<String>,
    /// The keys that were changed too, and take a restart.
    pub restart: Vec<String>,
    /// What is odd about it.
    pub warnings: Vec<String>,
    /// Those whom it concerns.
    pub parties: Vec<Box<dyn Party>>,
}

/// What the program says.
#[derive(Clone)]
pub struct Settings {
    /// Reads the config.
    pub read: Read,
    /// Notified when a reload is wanted. The wish is kept until somebody takes it.
    pub wanted: Arc<Notify>,
    /// What became of reloads, across restarts, for whoever wants to know.
    pub reloads: watch::Sender<Reloads>,
}

/// What became of reloads.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Reloads {
    /// One is under way.
    pub reloading: bool,
    /// Those that came into force, in part too.
    pub accepted: u64,
    /// Those that changed nothing, because the config is wrong or an actor refused.
    pub refused: u64,
    /// What became of the last.
    pub last: Option<Outcome>,
    #[serde(skip)]
    last_at: Option<Instant>,
}

impl Reloads {
    /// How many have ended, well or not.
    pub fn ended(&self) -> u64 {
        self.accepted.saturating_add(self.refused)
    }
}

/// What became of a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is in force.
    Accepted {
        /// The keys that have other values now.
        changed: Vec<String>,
        /// The keys that were changed too, and keep their old values until a restart.
        restart: Vec<String>,
        /// What is odd about it.
        warnings: Vec<String>,
    },
    /// Nothing was changed.
    Refused {
        /// Why; all of it.
        problems: Vec<String>,
    },
}

/// The actor.
pub struct ConfigKeeper {
    settings: Settings,
    birth: Birth,
    draining: bool,
}

impl ConfigKeeper {
    /// An actor that waits until a reload is wanted.
    pub fn new(settings: Settings, birth: Birth) -> Self {
        Self { settings, birth, draining: false }
    }

    fn wait(&mut self, ctx: &mut Context<Self>) {
        let wanted = Arc::clone(&self.settings.wanted);
        let wanted = async move { wanted.notified().await };
        ctx.spawn(wanted.into_actor(self).map(|(), this, ctx| this.reload(ctx)));
    }

    fn reload(&mut self, ctx: &mut Context<Self>) {
        if self.draining {
            return;
        }
        self.settings.reloads.send_modify(|reloads| reloads.reloading = true);
        let reload = reload(Arc::clone(&self.settings.read));
        ctx.spawn(reload.into_actor(self).map(Self::reloaded));
    }

    fn reloaded(outcome: Outcome, this: &mut Self, ctx: &mut Context<Self>) {
        outcome.log();
        this.settings.reloads.send_modify(|reloads| {
            reloads.reloading = false;
            match &outcome {
                Outcome::Accepted { .. } => reloads.accepted += 1,
                Outcome::Refused { .. } => reloads.refused += 1,
            }
            (reloads.last, reloads.last_at) = (Some(outcome), Some(Instant::now()));
        });
        this.wait(ctx);
    }
}

/// One reload, from the file to the actors.
async fn reload(read: Read) -> Outcome {
    let proposal = match timeout(READ_DEADLINE, actix_rt::task::spawn_blocking(move || read())).await {
        Ok(Ok(Ok(proposal))) => proposal,
        Ok(Ok(Err(problems))) => return Outcome::Refused { problems },
        Ok(Err(error)) => return Outcome::Refused { problems: vec![format!("reading it failed: {error}")] },
        Err(_) => return Outcome::Refused { problems: vec!["the disk does not answer".into()] },
    };
    let Proposal { changed, restart, warnings, parties } = proposal;
    let answers = parties.iter().map(|party| {
        let (name, answer) = (party.name().to_owned(), timeout(ANSWER_DEADLINE, party.validate()));
        async move {
            match answer.await {
                Ok(Ok(())) => None,
                Ok(Err(Refusal(why))) => Some(format!("{name} refuses: {why}")),
                Err(_) => Some(format!("{name} does not answer")),
            }
        }
    });
    let problems: Vec<String> = join_all(answers).await.into_iter().flatten().collect();
    if !problems.is_empty() {
        return Outcome::Refused { problems };
    }
    // Nothing waits in here: the settings of all change in one instant.
    let told: Vec<_> = parties.iter().map(|party| party.apply()).collect();
    let _ = timeout(ANSWER_DEADLINE, join_all(told)).await;
    Outcome::Accepted { changed, restart, warnings }
}

impl Outcome {
    /// The one event of a reload.
    fn log(&self) {
        match self {
            Self::Accepted { changed, restart, warnings } => {
                let (changed, warnings) = (changed.join(", "), warnings.join("; "));
                match restart.is_empty() {
                    true => tracing::info!(changed, warnings, "config reloaded"),
                    false => {
                        let restart = restart.join(", ");
                        tracing::warn!(
                            changed,
                            restart,
                            warnings,
                            "config reloaded, but some keys take a restart"
                        );
                    }
                }
            }
            Self::Refused { problems } => {
                tracing::warn!(problems = problems.join("; "), "config not reloaded, the old one holds");
            }
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings").field("reloads", &self.reloads).finish_non_exhaustive()
    }
}

impl Actor for ConfigKeeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // One that was under way has ended with its keeper.
        self.settings.reloads.send_if_modified(|reloads| std::mem::take(&mut reloads.reloading));
        self.wait(ctx);
        self.birth.ready.notify();
    }
}

impl Handler<Probe> for ConfigKeeper {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        #[derive(Serialize)]
        struct Status<'a> {
            #[serde(flatten)]
            reloads: &'a Reloads,
            seconds_since_last: Option<f64>,
        }
        let reloads = self.settings.reloads.borrow();
        let seconds_since_last = reloads.last_at.map(|at| at.elapsed().as_secs_f64());
        ProbeReport::of(&Status { reloads: &reloads, seconds_since_last })
    }
}

impl Handler<Drain> for ConfigKeeper {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {
        self.draining = true;
    }
}
