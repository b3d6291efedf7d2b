//! What lives in petald: the supervisor, and one folder for each actor that it keeps alive.
//!
//! An actor imports another actor's messages, never its insides. Nothing here knows the command line or a config
//! file: each actor defines a `Settings` struct, and the program fills it.

pub mod admin;
pub mod alerts;
pub mod announcer;
pub mod backend;
pub mod bootstrap;
pub mod clock;
pub mod config_keeper;
pub mod dht;
pub mod durable;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod history;
#[cfg(test)]
mod logged;
pub mod monitor;
pub mod network;
pub mod observer;
pub mod pinger;
pub mod reachability;
pub mod rpc_info;
pub mod server_info;
#[cfg(test)]
mod simulated;
mod stranger;
pub mod supervisor;
pub mod swarm;
pub mod watchdog;
