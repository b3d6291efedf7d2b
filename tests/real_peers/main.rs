//! petald among real peers: Python hivemind nodes, petals' own readers and bare p2pd processes, on loopback.
//!
//! One test binary, since each that links libp2p costs minutes on a small machine. `tests/peers/setup.py` installs the
//! peers on the first run; where it cannot, these tests fail and say what is missing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and explains itself by printing"
)]

#[allow(dead_code, reason = "shared with other tests, which use the rest of it")]
#[path = "../support/mod.rs"]
mod support;

mod admin_api;
mod announcement_cost;
mod bad_config;
mod bad_input;
mod bootstrap;
mod crashes;
mod drain;
mod joins_a_swarm;
mod lifecycle;
mod metric_names;
mod monitor;
mod observer;
mod observer_cost;
mod one_key_twice;
mod p2pd_calls;
mod peer_routing;
mod peers_alone;
mod probe;
mod python_joins;
mod quiet;
mod reachability;
mod reload;
mod rpc_info;
mod service_manager;
mod signatures;
mod start_to_visible;
mod status;
mod two_nodes;
