//! Conformance: hivemind's DHT behaviour among real hivemind nodes, with petald as first, middle, last and only peer.
//!
//! The cases are pytest's, in this folder; pytest reports each by its name. `cargo test` runs all of them, with short
//! forms of the long ones. `cargo test --test conformance -- NAME…` runs those whose name contains one of these;
//! `-- churn --churn 30+10 --churn-interval 10 --churn-seconds 300` and `-- mixed --mixed 30+20` print the figures.
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

/// Options of the cases, each with a value; `conftest.py` says what they mean.
const OPTIONS: [&str; 5] = ["--mixed", "--churn", "--churn-seconds", "--churn-interval", "--seed"];

/// What pytest ends with when no case was selected.
const NOTHING_SELECTED: i32 = 5;

/// What pytest is told of the command line: options with their values, and names.
fn arguments() -> Result<(Vec<String>, bool), String> {
    let (mut told, mut named) = (Vec::new(), false);
    let mut given = std::env::args().skip(1);
    while let Some(argument) = given.next() {
        match argument.as_str() {
            option if OPTIONS.contains(&option) => {
                let value = given.next().ok_or(format!("{option} needs a value"))?;
                told.extend([argument, value]);
            }
            // Whatever else cargo and its users hand to every test binary, such as --nocapture.
            other if other.starts_with('-') => {}
            _ => {
                told.extend(["--name".to_owned(), argument]);
                named = true;
            }
        }
    }
    Ok((told, named))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (told, named) = match arguments() {
        Ok(arguments) => arguments,
        Err(wrong) => {
            println!("{wrong}");
            return ExitCode::FAILURE;
        }
    };
    let python = peers::peers().await.hivemind;
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let sockets = tempfile::tempdir().unwrap();
    let mut pytest = Command::new(python);
    pytest
        .args(["-B", "-m", "pytest", "--verbose", "--color=no", "--tb=short"])
        .arg("--basetemp")
        .arg(sockets.path().join("nodes"))
        .args(told)
        .current_dir(cases)
        .env("PETALD", env!("CARGO_BIN_EXE_petald"))
        .env("PEER_SOCKETS", sockets.path())
        .env("PYTHONWARNINGS", "ignore");
    // Where this process is killed, pytest notices that its parent is gone.
    match foreground::run(pytest).await {
        Some(0) => ExitCode::SUCCESS,
        Some(NOTHING_SELECTED) if named => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}
