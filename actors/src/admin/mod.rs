//! The admin API: who asks over HTTP, on loopback or a Unix socket, is told how the node is.
//!
//! | route | answers |
//! | --- | --- |
//! | `GET /livez[?verbose]` | 200 while the supervisor answers and every actor has answered it lately; 503 names who has not |
//! | `GET /readyz[?verbose]` | 200 while strangers find us, as the observer last saw it; 503 with the failing layer otherwise |
//! | `GET /metrics` | the node in figures, as OpenMetrics |
//! | `GET /api/v1/state` | the whole swarm, as `health.petals.dev` tells it |
//! | `GET /api/v1/is_reachable/<peer id>` | whether a stranger can connect to a peer, as there |
//! | `GET /api/prometheus` | the swarm in figures, as there; `/metrics` has them too |
//! | `GET /api/v1/node` | who we are, and every actor with its state and last report |
//! | `GET`, `PATCH /api/v1/server-info` | what we serve; changes what may change while the node runs |
//! | `POST /api/v1/announce` | announces now, and tells what came of it |
//! | `GET`, `PUT /api/v1/log-level` | what is logged |
//! | `GET /api/v1/history`, `GET /api/v1/history/<peer id>` | how servers were seen over time, as JSON or CSV |
//! | `GET /openapi.json` | all of this for machines: `routes/openapi.json` |
//! | `GET /`, `GET /page/…` | the map page: `routes/page.rs` |
//! | `GET /api/v1/map` | the last crawl of the swarm, as the page shows it |
//! | `POST /debug/crash/<actor>` | 202, and the actor panics; only where the config allows it |
//!
//! Errors are JSON too. Requests are served by a thread of their own, so that a stuck arbiter
//! is told of and not shared in. Who may ask is decided in `guard.rs`.
//!
//! What this actor keeps true: the API listens. A port that is taken is weather: it is tried again, and the
//! node lives without an API until then. A restart closes the connections and takes the same port again.

mod guard;
mod listen;
mod log;
mod metrics;
mod process;
pub(crate) mod routes;
#[cfg(test)]
mod tests;
mod token;

use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{fmt, io};

use actix::prelude::*;
use actix_web::dev::{Server, ServerHandle};
use actix_web::{App, HttpServer, middleware, web};
use hivemind_proto::time::DhtTime;
use libp2p::PeerId;
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinError;

pub use listen::{Bound, Listen};
pub use log::{LogControl, LogLevels};
pub use process::Process;
pub use token::{Token, TokenError};

use crate::announcer::Announcer;
use crate::clock::SharedClock;
use crate::config_keeper::Live;
use crate::history::messages::Histories;
use crate::monitor::{Monitor, messages::SwarmStates};
use crate::observer::messages::Opinions;
use crate::server_info::ServerInfoStore;
use crate::supervisor::{self, Birth, Drain, Probe, ProbeReport, Slot};
use listen::Listener;

/// Connections at a time: an operator, a scraper, a dashboard, and room for their retries.
const MOST_CONNECTIONS: usize = 64;
/// For the head of a request to arrive.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);
/// For a client to close its side at the end.
const DISCONNECT_DEADLINE: Duration = Duration::from_secs(1);
/// For a connection that asks nothing.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// For answers that are on their way when the server is stopped; in whole seconds.
const SHUTDOWN_SECONDS: u64 = 1;
/// Before the second attempt to listen; doubles from then on.
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// The most between two attempts.
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// Attempts to take the same port again after a restart, if the config leaves the choice to the system. They
/// last longer than [`SHUTDOWN_SECONDS`].
const ATTEMPTS_AT_SAME_PORT: u32 = 6;

/// The running tree. It cannot be known while the tree is described, so it is filled in once that is started.
pub type TreeCell = Arc<OnceLock<supervisor::Handle>>;

/// Where the actors are found that are told what the operator wants.
#[derive(Debug, Clone, Default)]
pub struct Doors {
    /// The server_info actor.
    pub server_info: Slot<ServerInfoStore>,
    /// The announcer.
    pub announcer: Slot<Announcer>,
    /// The monitor.
    pub monitor: Slot<Monitor>,
}

/// What the program says.
#[derive(Clone)]
pub struct Settings {
    /// Where to listen.
    pub listen: Listen,
    /// What opens the API to whoever comes over TCP. Without one it is open there.
    pub token: Option<Token>,
    /// Whether `POST /debug/crash/<actor>` is served.
    pub crash_endpoint: bool,
    /// The node's name on the map, if any.
    pub name: Live<Option<String>>,
    /// The program's version.
    pub version: String,
    /// The node's peer id.
    pub peer_id: PeerId,
    /// When the process began.
    pub started: DhtTime,
    /// The observer's last word.
    pub visibility: Opinions,
    /// What the monitor saw last, if there is one.
    pub swarm: Option<SwarmStates>,
    /// How servers were seen over time, if that is kept.
    pub history: Option<Histories>,
    /// What times are told against.
    pub clock: SharedClock,
    /// The log, if it can be told of and changed.
    pub log: Option<Arc<dyn LogControl>>,
    /// Where they are found.
    pub doors: Doors,
    /// The tree that is reported on.
    pub tree: TreeCell,
    /// Told what was bound, and `None` when the API is gone. It outlives a restart: the next incarnation takes the
    /// same port again.
    pub bound: watch::Sender<Option<Bound>>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("listen", &self.listen)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// The actor.
#[derive(Debug)]
pub struct Admin {
    settings: Settings,
    birth: Birth,
    server: Option<ServerHandle>,
    attempts: u32,
    last_error: Option<String>,
}

/// What it says of itself.
#[derive(Debug, Serialize)]
struct Report<'a> {
    listen: Option<String>,
    attempts: u32,
    last_error: Option<&'a str>,
}

impl Admin {
    /// An API that listens once it is started.
    pub fn new(settings: Settings, birth: Birth) -> Self {
        Self { settings, birth, server: None, attempts: 0, last_error: None }
    }

    fn open(&mut self, ctx: &mut Context<Self>) {
        self.attempts = self.attempts.saturating_add(1);
        match self.listen() {
            Ok((bound, server)) => {
                self.last_error = None;
                self.server = Some(server.handle());
                tracing::info!(listen = %bound, "admin api listens");
                self.settings.bound.send_replace(Some(bound));
                // A task of its own, so that it lives to hear of its end when we panic.
                let server = actix_rt::spawn(server);
                ctx.spawn(server.into_actor(self).map(Self::closed));
            }
            Err(error) => {
                let retry = FIRST_RETRY.saturating_mul(1 << self.attempts.min(16)).min(LONGEST_RETRY);
                if self.last_error.is_none() {
                    tracing::warn!(listen = %self.settings.listen, %error, "admin api cannot listen yet");
                }
                self.last_error = Some(error.to_string());
                ctx.run_later(retry, Self::open);
            }
        }
        // Nobody shall wait for a port that another program holds.
        self.birth.ready.notify();
    }

    fn listen(&self) -> io::Result<(Bound, Server)> {
        let again = self.settings.bound.borrow().clone().filter(|_| self.attempts <= ATTEMPTS_AT_SAME_PORT);
        let listener = Listener::bind(&self.settings.listen, again.as_ref())?;
        let bound = listener.bound()?;
        let settings = web::Data::new(self.settings.clone());
        let rendered = web::Data::new(routes::Rendered::default());
        let app = move || {
            let app = App::new().app_data(settings.clone()).app_data(rendered.clone());
            let app = app.wrap(middleware::from_fn(guard::guard));
            app.configure(routes::routes)
        };
        let server = HttpServer::new(app)
            .workers(1)
            .max_connections(MOST_CONNECTIONS)
            .client_request_timeout(REQUEST_DEADLINE)
            .client_disconnect_timeout(DISCONNECT_DEADLINE)
            .keep_alive(KEEP_ALIVE)
            .shutdown_timeout(SHUTDOWN_SECONDS)
            .disable_signals();
        let server = match listener {
            Listener::Tcp(listener) => server.listen(listener)?,
            Listener::Unix(listener, _) => server.listen_uds(listener)?,
        };
        Ok((bound, server.run()))
    }

    /// The server has ended: because we are, or because its threads are gone, and then we start anew.
    fn closed(result: Result<io::Result<()>, JoinError>, actor: &mut Self, ctx: &mut Context<Self>) {
        if actor.server.take().is_some() {
            tracing::warn!(?result, "admin api ended by itself");
            ctx.stop();
        }
    }

    /// Stops accepting at once; answers that are on their way have a moment more.
    fn close(&mut self) -> Option<impl Future<Output = ()> + use<>> {
        self.server.take().map(|server| server.stop(true))
    }
}

impl Actor for Admin {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.open(ctx);
    }
}

impl Handler<Probe> for Admin {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        let bound = self.settings.bound.borrow();
        let listen = self.server.as_ref().and(bound.as_ref()).map(ToString::to_string);
        let (attempts, last_error) = (self.attempts, self.last_error.as_deref());
        ProbeReport::of(&Report { listen, attempts, last_error })
    }
}

impl Handler<Drain> for Admin {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        let closing = self.close();
        if let Some(Bound::Unix(socket)) = self.settings.bound.send_replace(None) {
            // The next start replaces it if it stays.
            let _ = std::fs::remove_file(socket);
        }
        Box::pin(async move {
            if let Some(closing) = closing {
                closing.await;
            }
        })
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        // The command is sent at once; there is nobody left to wait for its end.
        drop(self.close());
    }
}
