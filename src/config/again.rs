//! The config read again while the node runs: what is new, and what of it has to wait for a restart.
//!
//! A key that only a restart can apply keeps the value in force, and the others are read as if it still stood in the
//! file: what is in force is a whole config at every moment, or nothing is changed.

use std::collections::{BTreeMap, BTreeSet};

use ::config::{Map, Value, ValueKind};

use super::layers::{Merged, join};
use super::problem::Problem;
use super::{Config, ConfigError};

/// What only a restart applies: keys, and sections with all their keys.
const RESTART: &[&str] = &[
    "node.data_dir",
    "network.listen",
    "network.announce",
    "network.private_addresses",
    "network.kad_protocol",
    "network.upnp",
    "network.use_relays",
    "network.relays",
    "network.relay_service",
    "network.relay_reservations",
    "network.relay_circuits",
    "network.relay_circuits_per_peer",
    "network.relay_circuit_duration",
    "network.relay_circuit_bytes",
    "network.identity",
    "network.max_call_bytes",
    "network.max_call_bytes_per_peer",
    "network.max_calls_per_peer",
    "network.max_connections",
    "network.max_connections_per_peer",
    "network.max_connections_per_range",
    "network.max_idle",
    "network.max_idle_of_strangers",
    "network.max_incoming_connections",
    "network.max_pending_connections",
    "dht",
    "model",
    "monitor",
    "history",
    "alerts",
    "admin",
    "log.dir",
    "log.format",
    "supervisor",
    "debug",
];

/// Sections whose presence decides what the node is made of.
const OPTIONAL: &[&str] = &["model", "server", "backend"];

/// A config that was read again.
#[derive(Debug)]
pub(crate) struct Again {
    /// What is to be in force: the new values, and the old ones of keys that need a restart.
    pub(crate) config: Config,
    /// The keys whose new values it has.
    pub(crate) changed: Vec<String>,
    /// The keys, and sections, that were changed too and need a restart.
    pub(crate) restart: Vec<String>,
}

/// Whether a key, or a whole section, can be given another value while the node runs.
pub(crate) fn reloads(key: &str) -> bool {
    !RESTART.iter().any(|fixed| is_within(key, fixed))
}

fn is_within(key: &str, section: &str) -> bool {
    key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl Config {
    /// Reads the same layers as when this one was loaded.
    pub(crate) fn load_again(&self) -> Result<Again, ConfigError> {
        self.again(std::env::vars_os())
    }

    pub(super) fn again(
        &self,
        variables: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
    ) -> Result<Again, ConfigError> {
        let file = self.file.as_deref();
        // As the file says it: what is wrong in it is told as at a start.
        let mut merged = Self::layered(file, variables, &self.arguments)?.merged;
        let (changed, restart) = differences(&self.merged, &merged);
        for key in &restart {
            merged.keep(key, &self.merged);
        }
        let config = Self::of(merged, file, &self.arguments, Vec::new());
        let config = config.map_err(|mut problems| {
            problems.extend(restart.iter().map(|key| Problem {
                origin: None,
                key: key.clone(),
                what: "takes a restart, and without its new value the rest makes no sense".into(),
                remedy: "restart, or leave it as it was".into(),
            }));
            ConfigError::Wrong { file: self.file.clone(), problems }
        })?;
        Ok(Again { config, changed, restart })
    }
}

/// The keys that differ: those that reload, and those that do not.
fn differences(old: &Merged, new: &Merged) -> (Vec<String>, Vec<String>) {
    let switched: Vec<&str> = OPTIONAL
        .iter()
        .filter(|section| old.places.given(section) != new.places.given(section))
        .copied()
        .collect();
    // With the model or the server the other comes and goes.
    let whole = |key: &str| switched.iter().any(|section| is_within(key, section));
    let (old, new) = (leaves(old), leaves(new));
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differing = keys.into_iter().filter(|key| old.get(*key) != new.get(*key) && !whole(key));
    let (changed, mut restart): (Vec<String>, Vec<String>) = differing.cloned().partition(|key| reloads(key));
    restart.extend(switched.into_iter().map(str::to_owned));
    restart.sort();
    (changed, restart)
}

/// Every key with its value, as text, and whether the operator wrote it.
fn leaves(merged: &Merged) -> BTreeMap<String, (String, bool)> {
    fn add(path: &str, value: &Value, merged: &Merged, all: &mut BTreeMap<String, (String, bool)>) {
        match &value.kind {
            ValueKind::Table(values) => {
                values.iter().for_each(|(key, value)| add(&join(path, key), value, merged, all));
            }
            kind => {
                all.insert(path.to_owned(), (kind.to_string(), merged.places.given(path)));
            }
        }
    }
    let mut all = BTreeMap::new();
    add("", &merged.root, merged, &mut all);
    all
}

impl Merged {
    /// Gives a key or a section the value that it has in `other`, or none.
    fn keep(&mut self, path: &str, other: &Self) {
        self.places.copy(path, &other.places);
        put(&mut self.root, path, get(&other.root, path).cloned());
    }
}

fn get<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(root, |value, key| match &value.kind {
        ValueKind::Table(values) => values.get(key),
        _ => None,
    })
}

fn put(root: &mut Value, path: &str, value: Option<Value>) {
    let ValueKind::Table(values) = &mut root.kind else { return };
    match (path.split_once('.'), value) {
        (Some((section, rest)), value) => {
            let empty = || Value::new(None, ValueKind::Table(Map::new()));
            put(values.entry(section.to_owned()).or_insert_with(empty), rest, value);
        }
        (None, Some(value)) => {
            values.insert(path.to_owned(), value);
        }
        (None, None) => {
            values.remove(path);
        }
    }
}
