//! Where the samples come from: the supervisor, the observer's word, the system, and what actors said of themselves.

use std::sync::Arc;

use hivemind_proto::dht::Refusals;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    admin::process::Process,
    network::NetworkStatus,
    observer::messages::Opinion,
    supervisor::{ActorStatus, TreeStatus},
};

/// All of it at one moment.
#[derive(Debug)]
pub(in crate::admin) struct Sources {
    pub(super) version: String,
    /// When the process began, in Unix seconds.
    pub(super) started: f64,
    pub(super) process: Process,
    pub(super) opinion: Arc<Opinion>,
    /// `None` while the supervisor does not answer.
    pub(super) tree: Option<TreeStatus>,
    /// Lines of the log that were lost.
    pub(super) lines_dropped: Option<u64>,
    pub(super) network: Option<NetworkStatus>,
    pub(super) dht: Option<DhtReport>,
    pub(super) bootstrap: Option<BootstrapReport>,
    pub(super) server_info: Option<ServerInfoReport>,
    pub(super) announcer: Option<AnnouncerReport>,
    pub(super) rpc_info: Option<RpcInfoReport>,
    pub(super) observer: Option<ObserverReport>,
    pub(super) watchdog: Option<WatchdogReport>,
    pub(super) reloads: Option<ReloadsReport>,
    pub(super) history: Option<HistoryReport>,
    pub(super) alerts: Option<AlertsReport>,
}

impl Sources {
    pub(in crate::admin) fn new(
        version: String,
        started: f64,
        opinion: Arc<Opinion>,
        tree: Option<TreeStatus>,
        lines_dropped: Option<u64>,
    ) -> Self {
        Self {
            version,
            started,
            process: Process::look(),
            opinion,
            lines_dropped,
            network: report(tree.as_ref(), "network"),
            dht: report(tree.as_ref(), "dht"),
            bootstrap: report(tree.as_ref(), "bootstrap"),
            server_info: report(tree.as_ref(), "server_info"),
            announcer: report(tree.as_ref(), "announcer"),
            rpc_info: report(tree.as_ref(), "rpc_info"),
            observer: report(tree.as_ref(), "observer"),
            watchdog: report(tree.as_ref(), "watchdog"),
            reloads: report(tree.as_ref(), "config_keeper"),
            history: report(tree.as_ref(), "history"),
            alerts: report(tree.as_ref(), "alerts"),
            tree,
        }
    }

    pub(super) fn actors(&self) -> impl Iterator<Item = &ActorStatus> {
        self.tree.iter().flat_map(|tree| &tree.actors)
    }
}

/// What an actor said last; `None` if it is not there, has said nothing yet, or says it in other words.
fn report<T: DeserializeOwned>(tree: Option<&TreeStatus>, actor: &str) -> Option<T> {
    let status = tree?.actors.iter().find(|status| status.name == actor)?;
    T::deserialize(status.report.as_ref()?).ok()
}

/// Of the dht actor.
#[derive(Debug, Deserialize)]
pub(super) struct DhtReport {
    pub(super) known_nodes: f64,
    pub(super) stored_keys: f64,
    pub(super) stored_entries: f64,
    pub(super) stored_bytes: f64,
    pub(super) cached_entries: f64,
    pub(super) tasks: f64,
    pub(super) malformed_requests: u64,
    pub(super) clock: ClockReport,
    pub(super) pings_served: u64,
    pub(super) stores_served: u64,
    pub(super) finds_served: u64,
    pub(super) rows_stored: u64,
    pub(super) rows_refused: Refusals,
    pub(super) calls_answered: u64,
    pub(super) calls_failed: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct ClockReport {
    pub(super) offset_seconds: Option<f64>,
    pub(super) samples: f64,
    pub(super) correction_seconds: f64,
    pub(super) leaps: u64,
}

/// Of the bootstrap actor.
#[derive(Debug, Deserialize)]
pub(super) struct BootstrapReport {
    pub(super) joined: bool,
}

/// Of the server_info actor; without a version for a bootstrap.
#[derive(Debug, Deserialize)]
pub(super) struct ServerInfoReport {
    pub(super) version: Option<f64>,
    pub(super) state: Option<String>,
    pub(super) throughput: Option<f64>,
}

/// Of the announcer.
#[derive(Debug, Deserialize)]
pub(super) struct AnnouncerReport {
    pub(super) attempts: u64,
    pub(super) failed_attempts: u64,
    pub(super) records: f64,
    pub(super) confirmed: f64,
    pub(super) least_replicas: f64,
    pub(super) seconds_to_expiry: Option<f64>,
}

/// Of the rpc_info actor.
#[derive(Debug, Deserialize)]
pub(super) struct RpcInfoReport {
    pub(super) answered: u64,
    pub(super) unknown_uid: u64,
    pub(super) malformed: u64,
}

/// Of the observer, besides its word.
#[derive(Debug, Deserialize)]
pub(super) struct ObserverReport {
    pub(super) looks: u64,
}

/// Of the watchdog.
#[derive(Debug, Deserialize)]
pub(super) struct WatchdogReport {
    pub(super) fed: u64,
}

/// Of the config_keeper.
#[derive(Debug, Deserialize)]
pub(super) struct ReloadsReport {
    pub(super) accepted: u64,
    pub(super) refused: u64,
}

/// Of the history.
#[derive(Debug, Deserialize)]
pub(super) struct HistoryReport {
    pub(super) servers: f64,
    pub(super) file_bytes: Option<f64>,
    pub(super) writes: u64,
    pub(super) writes_failed: u64,
    pub(super) files_put_aside: u64,
}

/// Of the alerts.
#[derive(Debug, Deserialize)]
pub(super) struct AlertsReport {
    pub(super) told: u64,
    pub(super) given_up: u64,
    pub(super) dropped: u64,
    pub(super) attempts_failed: u64,
    pub(super) waiting: f64,
}
