//! The backend actor keeps this true: the announced state follows the health of the model server behind us, ONLINE
//! while it is well and JOINING while it is not, or while we do not know.
//!
//! It looks at an HTTP address or at a heartbeat file at a steady pace, and changes its mind after several looks in a
//! row ([`Settings`]). What it finds goes to server_info as one update a look, with the figures that the model server
//! says of itself (`figures.rs`). Where the config says the state in words, server_info takes the figures alone.
//!
//! A restart loses the counts. A state that was ONLINE stays so until the first look, which comes at once and has to
//! succeed. A restart of the process begins as JOINING.

mod check;
pub(crate) mod figures;
mod heartbeat;
mod http;
mod reload;
#[cfg(test)]
mod tests;
mod verdict;

use std::{collections::BTreeSet, fmt, num::NonZeroU32, path::PathBuf, time::Duration};

use actix::{
    Actor, ActorFutureExt, Addr, AsyncContext, Context, Handler, MailboxError, SpawnHandle, WrapFuture,
};
use hivemind_proto::records::ServerState;
use serde::Serialize;
use tokio::time::{Instant, timeout};

use self::{
    check::{Check, CheckError, Statement},
    figures::Refusals,
    heartbeat::HeartbeatCheck,
    http::HttpCheck,
    verdict::{Thresholds, Verdict},
};
use crate::{
    clock::SharedClock,
    server_info::{
        ServerInfoStore, Snapshots,
        messages::{Change, Source, Subscribe, Update},
    },
    supervisor::{Birth, Drain, Probe, ProbeReport},
};

pub use http::{HealthUrl, UrlError};

/// The most looks in a row that a change of mind may take: more would never come together.
pub const MOST_LOOKS: u32 = 100;

/// What the actor is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// What is looked at.
    pub source: HealthSource,
    /// Between the beginnings of two looks.
    pub interval: Duration,
    /// How long a look may take; shorter than the interval.
    pub timeout: Duration,
    /// Successful looks in a row until the model server counts as well.
    pub healthy_after: NonZeroU32,
    /// Failed looks in a row until it does not.
    pub unhealthy_after: NonZeroU32,
}

/// Where the health of the model server is seen.
#[derive(Debug, Clone, PartialEq)]
pub enum HealthSource {
    /// An address that answers 2xx.
    Url(HealthUrl),
    /// A file whose last change is recent.
    File {
        /// Which.
        path: PathBuf,
        /// How recent.
        max_age: Duration,
    },
}

impl fmt::Display for HealthSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::File { path, .. } => path.display().fmt(f),
        }
    }
}

/// The actor.
pub struct Backend {
    settings: Settings,
    server_info: Addr<ServerInfoStore>,
    clock: SharedClock,
    birth: Birth,
    /// `None` until it is started: an HTTP client belongs to an arbiter.
    check: Option<Box<dyn Check>>,
    verdict: Verdict,
    looks: u64,
    last_success: Option<Instant>,
    last_error: Option<CheckError>,
    refused: Refusals,
    /// What has been warned of since the model server was last unwell.
    warned: BTreeSet<&'static str>,
    update_error: Option<String>,
    next_look: Option<SpawnHandle>,
}

/// What a probe tells.
#[derive(Debug, Serialize)]
struct Status<'a> {
    follows: String,
    healthy: bool,
    state: ServerState,
    looks: u64,
    successes_in_a_row: u32,
    failures_in_a_row: u32,
    last_error: Option<String>,
    seconds_since_success: Option<f64>,
    refused: &'a Refusals,
    update_error: Option<&'a str>,
}

impl Backend {
    /// An actor that tells `server_info` how the model server is.
    pub fn new(
        settings: Settings,
        server_info: Addr<ServerInfoStore>,
        clock: SharedClock,
        birth: Birth,
    ) -> Self {
        let verdict = Verdict::unknown(settings.thresholds());
        Self {
            settings,
            server_info,
            clock,
            birth,
            check: None,
            verdict,
            looks: 0,
            last_success: None,
            last_error: None,
            refused: Refusals::new(),
            warned: BTreeSet::new(),
            update_error: None,
            next_look: None,
        }
    }

    /// Goes on where an earlier incarnation was.
    fn adopt(snapshots: Result<Snapshots, MailboxError>, this: &mut Self, ctx: &mut Context<Self>) {
        let state = snapshots.ok().and_then(|now| now.borrow().as_ref().map(|now| now.offer.server.state));
        if this.birth.generation > 1 && state == Some(ServerState::Online) {
            this.verdict = Verdict::on_probation(this.settings.thresholds());
        }
        this.look(ctx);
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let Some(check) = &self.check else { return };
        let deadline = self.settings.timeout;
        let look = timeout(deadline, check.check());
        let look = async move { look.await.unwrap_or(Err(CheckError::Deadline(deadline))) };
        ctx.spawn(look.into_actor(self).map(Self::looked));
        self.next_look = Some(ctx.run_later(self.settings.interval, Self::look));
    }

    fn looked(found: Result<Statement, CheckError>, this: &mut Self, ctx: &mut Context<Self>) {
        if this.check.is_none() {
            return; // we drain
        }
        this.looks += 1;
        let changed = this.verdict.note(found.is_ok());
        this.tell(changed, found.as_ref().err());
        let figures = match found {
            Ok(statement) => {
                (this.last_success, this.last_error) = (Some(Instant::now()), None);
                this.take(&statement)
            }
            Err(error) => {
                this.last_error = Some(error);
                Change::default()
            }
        };
        // Said at every look: whatever has become of the last one, the account is right again after this.
        let change = Change { state: Some(this.state()), ..figures };
        let update = this.server_info.send(Update { source: Source::Backend, change });
        ctx.spawn(update.into_actor(this).map(|result, this, _| {
            this.update_error = match result {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            };
        }));
    }

    /// One line for each change, and one if the first look of all fails.
    fn tell(&mut self, changed: bool, error: Option<&CheckError>) {
        let backend = self.settings.source.to_string();
        match (changed, error) {
            (true, None) => {
                tracing::info!(backend, "backend is healthy");
            }
            (true, Some(error)) => {
                let failures = self.verdict.failures();
                // Whoever comes back may be another one, and worth new warnings.
                self.warned.clear();
                tracing::warn!(backend, failures, %error, "backend is unhealthy");
            }
            (false, Some(error)) if self.looks == 1 => {
                tracing::info!(backend, %error, "backend is not healthy yet");
            }
            _ => {}
        }
    }

    fn take(&mut self, statement: &Statement) -> Change {
        let (change, refused) = figures::read(statement);
        for (field, why) in &refused {
            if self.warned.insert(field) {
                let backend = self.settings.source.to_string();
                tracing::warn!(backend, field, why, "what the backend says is refused");
            }
        }
        self.refused = refused;
        change
    }

    fn state(&self) -> ServerState {
        if self.verdict.is_healthy() { ServerState::Online } else { ServerState::Joining }
    }
}

impl Settings {
    fn check(&self, clock: &SharedClock) -> Box<dyn Check> {
        match self.source.clone() {
            HealthSource::Url(url) => Box::new(HttpCheck::new(url, self.timeout)),
            HealthSource::File { path, max_age } => {
                Box::new(HeartbeatCheck::new(path, max_age, clock.clone()))
            }
        }
    }

    fn thresholds(&self) -> Thresholds {
        Thresholds { healthy_after: self.healthy_after, unhealthy_after: self.unhealthy_after }
    }
}

impl Actor for Backend {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if self.check.is_none() {
            self.check = Some(self.settings.check(&self.clock));
        }
        let now = self.server_info.send(Subscribe);
        ctx.spawn(now.into_actor(self).map(Self::adopt));
        // Nobody waits for a model server.
        self.birth.ready.notify();
    }
}

impl Handler<Probe> for Backend {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        ProbeReport::of(&Status {
            follows: self.settings.source.to_string(),
            healthy: self.verdict.is_healthy(),
            state: self.state(),
            looks: self.looks,
            successes_in_a_row: self.verdict.successes(),
            failures_in_a_row: self.verdict.failures(),
            last_error: self.last_error.as_ref().map(ToString::to_string),
            seconds_since_success: self.last_success.map(|at| at.elapsed().as_secs_f64()),
            refused: &self.refused,
            update_error: self.update_error.as_deref(),
        })
    }
}

impl Handler<Drain> for Backend {
    type Result = ();

    fn handle(&mut self, _: Drain, ctx: &mut Self::Context) {
        // The farewell has been said: no look may change the state after it.
        if let Some(look) = self.next_look.take() {
            ctx.cancel_future(look);
        }
        self.check = None;
    }
}
