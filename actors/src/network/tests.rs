//! Networks on loopback that call each other.

mod actor;
mod addresses;
mod calls;
mod dialer;
mod finding;
mod flood;
mod idle;
mod node;
mod scope;
mod silence;

pub(crate) use node::settings;
