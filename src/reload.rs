//! SIGHUP: the config is read again, and whoever it concerns is given the new settings.
//!
//! What a change of a key concerns is told by [`Concern`]; how all of them get it, or nobody, by
//! [`petald_actors::config_keeper`].

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::LocalBoxFuture;
use hivemind_proto::records::RecordError;
use petald_actors::config_keeper::messages::Refusal;
use petald_actors::config_keeper::{ActorParty, Live, Party, Proposal, Read, Reloads};
use petald_actors::swarm::Seats;
use petald_actors::{announcer, bootstrap, monitor, observer, pinger, server_info};
use tokio::sync::{Notify, watch};

use crate::config::{Again, Config, Swarm};
use crate::logging::{Levels, Log, Policy};
use crate::tree;

/// The ends of reloads that outlive every actor. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reloading {
    /// Notified when one is wanted.
    pub(crate) wanted: Arc<Notify>,
    /// What became of them: whoever must tell a service manager subscribes.
    pub(crate) reloads: watch::Sender<Reloads>,
}

/// All who can be given something new, besides the log.
#[derive(Debug, Clone)]
pub(crate) struct Concerned {
    /// Of the swarm's branch.
    pub(crate) seats: Seats,
    /// The name that the admin API tells.
    pub(crate) name: Live<Option<String>>,
    /// What the monitor looks at, if there is one.
    pub(crate) plan: Option<Live<monitor::Plan>>,
}

/// Who is given something new when a key changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concern {
    Bootstrap,
    ServerInfo,
    Backend,
    Announcer,
    Pinger,
    Observer,
    Monitor,
    Admin,
    Log,
}

/// Keys, and sections with all their keys, and whom they concern.
const CONCERNS: &[(&str, Concern)] = &[
    ("node.public_name", Concern::ServerInfo),
    ("node.public_name", Concern::Admin),
    ("network.initial_peers", Concern::Bootstrap),
    ("network.initial_peers", Concern::Observer),
    ("network.initial_peers", Concern::Monitor),
    ("network.swarm", Concern::Announcer),
    ("server", Concern::ServerInfo),
    ("backend", Concern::Backend),
    ("announce", Concern::Announcer),
    ("announce.period", Concern::Pinger),
    ("observer", Concern::Observer),
    ("log", Concern::Log),
];

impl Concern {
    /// Whether one of these keys concerns it.
    fn is_touched(self, keys: &[String]) -> bool {
        keys.iter().any(|key| Self::of(key).any(|concern| concern == self))
    }

    /// Whom a key concerns.
    fn of(key: &str) -> impl Iterator<Item = Self> {
        let within = move |section: &str| {
            key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        CONCERNS.iter().filter(move |(section, _)| within(section)).map(|(_, concern)| *concern)
    }
}

/// Reads the config again, in whose place `config` is in force now.
pub(crate) fn read(config: Config, log: Log, concerned: Concerned) -> Read {
    let in_force = InForce(Arc::new(Mutex::new(config)));
    Arc::new(move || {
        let again = in_force.lock().load_again().map_err(|error| error.lines())?;
        proposal(again, &in_force, &log, &concerned).map_err(|error| vec![error.to_string()])
    })
}

fn proposal(
    again: Again,
    in_force: &InForce,
    log: &Log,
    concerned: &Concerned,
) -> Result<Proposal, RecordError> {
    let Concerned { seats, name, plan } = concerned;
    let Again { config, changed, restart } = again;
    let mut parties: Vec<Box<dyn Party>> = Vec::new();
    if Concern::Bootstrap.is_touched(&changed) {
        let initial_peers = tree::initial_peers(&config);
        let settings = bootstrap::Settings { initial_peers, ..now(&seats.bootstrap.settings) };
        parties.push(Box::new(ActorParty::new("bootstrap", &seats.bootstrap, settings)));
    }
    if Concern::ServerInfo.is_touched(&changed) {
        let (offer, stated) = (tree::offer(&config)?, tree::stated(&config));
        let settings = server_info::Settings { offer, stated, ..now(&seats.server_info.settings) };
        parties.push(Box::new(ActorParty::new("server_info", &seats.server_info, settings)));
    }
    if let (Some(seat), Some(settings)) = (&seats.backend, &config.backend)
        && Concern::Backend.is_touched(&changed)
    {
        parties.push(Box::new(ActorParty::new("backend", seat, settings.clone())));
    }
    if Concern::Announcer.is_touched(&changed) {
        let settings = announcer::Settings {
            period: config.announce.period,
            ttl: config.announce.ttl,
            may_be_alone: config.network.swarm == Swarm::Seed,
            ..now(&seats.announcer.settings)
        };
        parties.push(Box::new(ActorParty::new("announcer", &seats.announcer, settings)));
    }
    if Concern::Pinger.is_touched(&changed) {
        let settings = pinger::Settings { period: config.announce.period, ..now(&seats.pinger.settings) };
        parties.push(Box::new(ActorParty::new("pinger", &seats.pinger, settings)));
    }
    if let Some(seat) = &seats.observer
        && Concern::Observer.is_touched(&changed)
    {
        let initial_peers = tree::initial_peers(&config).into_iter();
        let settings = observer::Habits {
            initial_peers: initial_peers.map(|initial| (initial.peer, initial.addresses)).collect(),
            interval: config.observer.interval,
        };
        parties.push(Box::new(ActorParty::new("observer", seat, settings)));
    }
    if let Some(plan) = plan
        && Concern::Monitor.is_touched(&changed)
    {
        let now = Arc::new(monitor::Plan {
            initial_peers: tree::plan(&config).initial_peers,
            ..monitor::Plan::clone(&plan.now())
        });
        parties.push(Box::new(PlanParty { plan: plan.clone(), now }));
    }
    if Concern::Admin.is_touched(&changed) {
        let now = Arc::new(config.node.public_name.clone());
        parties.push(Box::new(NameParty { name: name.clone(), now }));
    }
    if Concern::Log.is_touched(&changed) {
        // Levels that were set by hand stay until the config says something new of them.
        let levels = changed.iter().any(|key| key == "log.level" || key == "log.console");
        let levels = levels.then(|| Levels::of(&config.log));
        parties.push(Box::new(LogParty { log: log.clone(), policy: Policy::of(&config.log), levels }));
    }
    let warnings = config.warnings.iter().map(ToString::to_string).collect();
    parties.push(Box::new(ConfigParty { in_force: in_force.clone(), config }));
    Ok(Proposal { changed, restart, warnings, parties })
}

fn now<S: Clone>(settings: &Live<S>) -> S {
    S::clone(&settings.now())
}

/// The config in force.
#[derive(Debug, Clone)]
struct InForce(Arc<Mutex<Config>>);

impl InForce {
    fn lock(&self) -> MutexGuard<'_, Config> {
        // It is replaced as a whole, so a poisoned lock still holds one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The config in force itself: with it the next one is compared.
struct ConfigParty {
    in_force: InForce,
    config: Config,
}

impl fmt::Debug for ConfigParty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfigParty")
    }
}

impl Party for ConfigParty {
    fn name(&self) -> &str {
        "config"
    }

    fn validate(&self) -> LocalBoxFuture<'static, Result<(), Refusal>> {
        Box::pin(async { Ok(()) })
    }

    fn apply(&self) -> LocalBoxFuture<'static, ()> {
        *self.in_force.lock() = self.config.clone();
        Box::pin(async {})
    }
}

/// The name that the admin API tells.
#[derive(Debug)]
struct NameParty {
    name: Live<Option<String>>,
    now: Arc<Option<String>>,
}

impl Party for NameParty {
    fn name(&self) -> &str {
        "admin"
    }

    fn validate(&self) -> LocalBoxFuture<'static, Result<(), Refusal>> {
        Box::pin(async { Ok(()) })
    }

    fn apply(&self) -> LocalBoxFuture<'static, ()> {
        self.name.set(Arc::clone(&self.now));
        Box::pin(async {})
    }
}

/// What the monitor looks at from its next crawl on.
#[derive(Debug)]
struct PlanParty {
    plan: Live<monitor::Plan>,
    now: Arc<monitor::Plan>,
}

impl Party for PlanParty {
    fn name(&self) -> &str {
        "monitor"
    }

    fn validate(&self) -> LocalBoxFuture<'static, Result<(), Refusal>> {
        Box::pin(async { Ok(()) })
    }

    fn apply(&self) -> LocalBoxFuture<'static, ()> {
        self.plan.set(Arc::clone(&self.now));
        Box::pin(async {})
    }
}

/// The log.
#[derive(Debug)]
struct LogParty {
    log: Log,
    policy: Policy,
    levels: Option<Levels>,
}

impl Party for LogParty {
    fn name(&self) -> &str {
        "log"
    }

    fn validate(&self) -> LocalBoxFuture<'static, Result<(), Refusal>> {
        let valid = self.levels.as_ref().map_or(Ok(()), Levels::validate);
        Box::pin(async move { valid.map_err(|error| Refusal(error.to_string())) })
    }

    fn apply(&self) -> LocalBoxFuture<'static, ()> {
        self.log.set_policy(self.policy);
        if let Some(levels) = &self.levels {
            // They are valid; a log that has ended has no levels to change.
            let _ = self.log.levels().set(levels.clone());
        }
        Box::pin(async {})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::reference;

    #[test]
    fn every_key_that_reloads_concerns_somebody_and_no_other_does() {
        for (key, reloads) in reference::which_reload() {
            let concerns: Vec<_> = Concern::of(&key).collect();
            let known = !concerns.is_empty();
            // Of [log] some keys reload and others do not: the config in force has the old values of those.
            assert!(known == reloads || (key.starts_with("log.") && known), "{key}: {concerns:?}");
        }
    }
}
