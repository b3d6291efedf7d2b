//! `petald map`: a whole swarm from outside, by a crawl of its own; no node need run.
//!
//! | module | holds |
//! | --- | --- |
//! | [`page`] | a swarm on one page, for people |
//! | [`bar`] | a server's blocks as a bar |

mod bar;
mod page;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use hivemind_proto::unary;
use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use petald_actors::clock::SystemClock;
use petald_actors::monitor::state::{Model, Server, SwarmState};
use petald_actors::monitor::{self, health};
use petald_actors::network::{Departures, Limits, NetworkError, ReachSettings, Settings};
use serde_json::Value;

use crate::cli::Filter;
use crate::config::Config;
use crate::exit::{Exit, Misuse};
use crate::probe::is_private;
use crate::status::{CLEAR, Colours, REDRAW};
use crate::tree;

/// From the end of one look to the next with `--watch`: a look meets every peer of the swarm.
const PAUSE: Duration = Duration::from_secs(10);

/// How the swarm is shown.
#[derive(Debug, Clone)]
pub(crate) struct Show {
    /// As the admin API tells it.
    pub(crate) json: bool,
    /// Again and again.
    pub(crate) watch: bool,
    /// Which of it.
    pub(crate) filter: Filter,
}

/// What is looked at, and how.
#[derive(Debug, Clone)]
pub(crate) struct Means {
    plan: monitor::Plan,
    /// Whether loopback and private addresses are dialled.
    private_addresses: bool,
}

/// How a swarm is entered: through `peers` and those of the config.
pub(crate) fn means(peers: Vec<Multiaddr>, config: &Config) -> Result<Means, Misuse> {
    let mut plan = tree::plan(config);
    plan.period = None;
    let private_addresses = config.network.private_addresses || peers.iter().any(is_private);
    for mut address in peers {
        if let Some(Protocol::P2p(peer)) = address.pop() {
            match plan.initial_peers.iter_mut().find(|(known, _)| *known == peer) {
                Some((_, addresses)) => addresses.push(address),
                None => plan.initial_peers.push((peer, vec![address])),
            }
        }
    }
    // What the embedded config serves is nobody's business in another swarm.
    if config.file.is_none() {
        plan.models.retain(|(prefix, _)| config.monitor.models.iter().any(|(named, _)| named == prefix));
    }
    if plan.initial_peers.is_empty() { Err(Misuse::NoSwarm) } else { Ok(Means { plan, private_addresses }) }
}

/// Shows the swarm. Zero if somebody let us in.
pub(crate) async fn map(means: &Means, show: Show) -> Result<Exit, NetworkError> {
    let terminal = io::stdout().is_terminal();
    let colours = Colours::wanted(terminal);
    let departures = Departures::crawling(Settings {
        keypair: Keypair::generate_ed25519(),
        listen: Vec::new(),
        announce: Vec::new(),
        private_addresses: means.private_addresses,
        agent_version: concat!("petald/", env!("CARGO_PKG_VERSION")).into(),
        reach: ReachSettings::visitor(),
        limits: Limits::default(),
        unary: unary::Settings::default(),
        pool: tokio::runtime::Handle::current(),
    });
    let look = || monitor::crawl(means.plan.clone(), &departures, Arc::new(SystemClock), rand::random());
    if !show.watch {
        let state = look().await?;
        crate::say(shown(&state, &show, colours));
        return Ok(Exit::works(state.dht_peers > 0));
    }
    if !terminal && !show.json {
        eprintln!("--watch draws on a terminal; elsewhere add --json for an object a line");
        return Ok(Exit::Usage);
    }
    let (clear, redraw) = if show.json { ("", "") } else { (CLEAR, REDRAW) };
    crate::say(clear);
    loop {
        let state = look().await?;
        crate::say(format_args!("{redraw}{}", shown(&state, &show, colours)));
        tokio::time::sleep(PAUSE).await;
    }
}

fn shown(state: &SwarmState, show: &Show, colours: Colours) -> String {
    match (show.json, show.watch) {
        (true, true) => format!("{}\n", json(state, &show.filter)),
        (true, false) => format!("{:#}\n", json(state, &show.filter)),
        (false, _) => page::page(state, &show.filter, colours),
    }
}

/// The same as the API tells, without the rows that are not asked for.
fn json(state: &SwarmState, filter: &Filter) -> Value {
    let mut told = health::state(state);
    let models = state.models.iter().filter(|model| filter.shows_model(model));
    let reports: Vec<Value> = told["model_reports"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let mut kept = Vec::new();
    for (model, mut report) in models.filter_map(|model| {
        let report = reports.iter().find(|report| report["dht_prefix"] == model.dht_prefix.as_str())?;
        Some((model, report.clone()))
    }) {
        if let Some(rows) = report["server_rows"].as_array_mut() {
            let mut servers = model.servers.iter();
            rows.retain(|_| servers.next().is_some_and(|server| filter.shows(server)));
            if rows.is_empty() && filter.picks() {
                continue;
            }
        }
        kept.push(report);
    }
    told["model_reports"] = kept.into();
    told
}

impl Filter {
    /// Whether single servers are picked.
    fn picks(&self) -> bool {
        !self.state.is_empty() || self.id.is_some() || self.name.is_some()
    }

    fn shows_model(&self, model: &Model) -> bool {
        let has = |text: &str| has(Some(text), self.model.as_ref());
        has(&model.dht_prefix) || has(model.name())
    }

    fn shows(&self, server: &Server) -> bool {
        (self.state.is_empty() || self.state.contains(&server.shown()))
            && has(Some(&server.peer_id), self.id.as_ref())
            && has(server.info.public_name.as_deref(), self.name.as_ref())
    }
}

/// Whether a text has a part in it, if there is one to be looked for; capitals are small letters.
fn has(text: Option<&str>, part: Option<&String>) -> bool {
    part.is_none_or(|part| text.is_some_and(|text| text.to_lowercase().contains(&part.to_lowercase())))
}
