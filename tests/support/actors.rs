//! The actors of a node, by the names that its admin API knows them by.

/// The actors that can be made to panic.
pub(crate) const ACTORS: [&str; 14] = [
    "network",
    "dht",
    "bootstrap",
    "server_info",
    "rpc_info",
    "announcer",
    "pinger",
    "reachability",
    "observer",
    "monitor",
    "history",
    "admin",
    "config_keeper",
    "watchdog",
];
