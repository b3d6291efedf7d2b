//! petald behind each kind of NAT that a kernel can be made to be, found and called by hivemind nodes outside.
//!
//! The cases are pytest's, in this folder, and print their figures; all of them share one Internet of network namespaces.
//! `cargo test --test nat -- NAME…` runs those whose name contains one of these. Without root, iproute2 and nftables they
//! are counted as ignored, and without miniupnpd those of UPnP are.
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

use std::{path::Path, process::ExitCode, process::Stdio};

use tokio::process::Command;

/// What pytest ends with when no case was selected.
const NOTHING_SELECTED: i32 = 5;

/// Cases that are not run where namespaces or NAT cannot be had: one program.
const PROGRAMS: usize = 1;

/// What keeps a small Internet from being made here, if anything does.
async fn missing(cases: &Path) -> Option<String> {
    let trial = Command::new("python3")
        .arg("-B")
        .arg(cases.join("internet.py"))
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| format!("python3: {error}"));
    match trial {
        Ok(trial) if trial.status.success() => None,
        Ok(trial) => {
            let said = String::from_utf8_lossy(&trial.stderr);
            Some(said.lines().last().unwrap_or("the trial failed").to_owned())
        }
        Err(error) => Some(error),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nat");
    if let Some(missing) = missing(&cases).await {
        println!(
            "no NAT can be made here: {missing}\nnat result: ok. 0 passed; 0 failed; {PROGRAMS} ignored"
        );
        return ExitCode::SUCCESS;
    }
    // Whatever else cargo and its users hand to every test binary, such as --nocapture, is not for pytest.
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let python = peers::peers().await.hivemind;
    let sockets = tempfile::tempdir().unwrap();
    let mut pytest = Command::new(python);
    pytest
        .args(["-B", "-m", "pytest", "--verbose", "--color=no", "--tb=short"])
        .arg("--basetemp")
        .arg(sockets.path().join("nodes"))
        .args(names.iter().flat_map(|name| ["--name", name]))
        .current_dir(cases)
        .env("PETALD", env!("CARGO_BIN_EXE_petald"))
        .env("PEER_SOCKETS", sockets.path())
        .env("PYTHONWARNINGS", "ignore");
    // Where this process is killed, pytest notices that its parent is gone.
    match foreground::run(pytest).await {
        Some(0) => ExitCode::SUCCESS,
        Some(NOTHING_SELECTED) if !names.is_empty() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
