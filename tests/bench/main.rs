//! Benchmarks beside the original, on one machine and in one run.
//!
//! `cargo test --release --test bench -- dht_cost` prints the figures, and fails if one is not what it should be. A debug
//! build says nothing about them: without `--release` they are counted as ignored.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and explains itself by printing"
)]

#[allow(dead_code, reason = "shared with other tests, which use the rest of it")]
#[path = "../support/deadline.rs"]
mod deadline;
#[path = "../support/foreground.rs"]
mod foreground;
#[allow(dead_code, reason = "shared with other tests, which start other peers too")]
#[path = "../support/peers.rs"]
mod peers;

use std::{path::Path, process::ExitCode};

use tokio::process::Command;

/// Each is a Python program in this folder, run by the Python that has hivemind.
const BENCHMARKS: [&str; 1] = ["dht_cost"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let named: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted =
        BENCHMARKS.iter().filter(|name| named.is_empty() || named.iter().any(|part| name.contains(&**part)));
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    for name in wanted {
        if cfg!(debug_assertions) {
            println!("bench {name} ... ignored, since its figures need --release");
            ignored += 1;
            continue;
        }
        match run(name).await {
            Some(0) => passed += 1,
            _ => failed += 1,
        }
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("bench result: {result}. {passed} passed; {failed} failed; {ignored} ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(name: &str) -> Option<i32> {
    let python = peers::peers().await.hivemind;
    let sockets = tempfile::tempdir().unwrap();
    let mut program = Command::new(python);
    program
        .arg("-B")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench").join(name).with_extension("py"))
        .env("PETALD", env!("CARGO_BIN_EXE_petald"))
        .env("PEER_SOCKETS", sockets.path())
        .env("PYTHONWARNINGS", "ignore");
    foreground::run(program).await
}
