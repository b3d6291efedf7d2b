//! What whole-program tests stand on: real peers in other processes, petald itself, and waits that end.

pub(crate) mod actors;
pub(crate) mod deadline;
pub(crate) mod http;
pub(crate) mod in_process;
pub(crate) mod open_metrics;
pub(crate) mod p2pd;
pub(crate) mod peers;
pub(crate) mod petald;
pub(crate) mod process;
pub(crate) mod python;
pub(crate) mod reader;
pub(crate) mod swarm;

use std::io::Write;

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Tests that measure time hold it for writing, all others for reading.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// For a test that may run beside others.
pub(crate) async fn shared() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().await
}

/// For a test that measures: it has the machine to itself.
pub(crate) async fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().await
}

/// Prints a figure past libtest's capture: a benchmark that passes must still be seen.
pub(crate) fn report(figure: &str) {
    let mut out = std::io::stderr().lock();
    // Nobody to tell if stderr is closed.
    let _ = writeln!(out, "\nfigure: {figure}");
}
