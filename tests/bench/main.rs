//! Benchmarks beside the original and beside a bare libp2p echo, on one machine and in one run.
//!
//! `cargo test --release --test bench -- NAME` prints the figures of those whose name contains it, and fails where a call
//! failed, or a figure that does not depend on the machine is not what it should be. A debug build says nothing about
//! them: without `--release` all but the soak's short form are counted as ignored. `--longer 5` takes five times as many turns,
//! `--minutes 30` is the length of the soak. RESULTS.md keeps what came of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and explains itself by printing figures of real time"
)]

mod announcement;
mod bare_echo;
mod callees;
mod caller;
mod calls;
#[path = "../support/foreground.rs"]
mod foreground;
mod instructions;
mod start;
#[allow(dead_code, reason = "shared with other tests, which use the rest of it")]
#[path = "../support/mod.rs"]
mod support;
mod usage;

use std::{path::Path, process::ExitCode};

use futures::future::{FutureExt, LocalBoxFuture};
use tokio::process::Command;

/// What the command line asks for.
pub(crate) struct Options {
    /// How many times as many turns as usual.
    pub(crate) longer: usize,
    minutes: Option<String>,
    names: Vec<String>,
}

impl Options {
    fn read() -> Self {
        let mut options = Self { longer: 1, minutes: None, names: Vec::new() };
        let mut given = std::env::args().skip(1);
        while let Some(argument) = given.next() {
            match argument.as_str() {
                "--longer" => options.longer = given.next().and_then(|n| n.parse().ok()).expect("a number"),
                "--minutes" => options.minutes = given.next(),
                // Of the other test programs.
                option if option.starts_with('-') => {}
                name => options.names.push(name.to_owned()),
            }
        }
        options
    }

    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|part| name.contains(&**part))
    }
}

/// Whether it is well.
type Run = for<'a> fn(&'a Options) -> LocalBoxFuture<'a, bool>;

const BENCHMARKS: [(&str, Run); 8] = [
    ("callees", |options| callees::run(options).boxed_local()),
    ("calls", |options| calls::run(options).boxed_local()),
    ("instructions", |options| instructions::run(options).boxed_local()),
    ("start", |options| start::run(options).boxed_local()),
    ("announcement", |options| announcement::run(options).boxed_local()),
    ("dht_cost", |options| python("dht_cost", options).boxed_local()),
    ("idle", |options| python("idle", options).boxed_local()),
    ("soak", |options| python("soak", options).boxed_local()),
];

/// Has a short form that says something in a debug build too.
const SHORT_FORM: &str = "soak";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--serve-echo") {
        match bare_echo::serve().await {}
    }
    let options = Options::read();
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    for (name, run) in BENCHMARKS.iter().filter(|(name, _)| options.wants(name)) {
        if cfg!(debug_assertions) && *name != SHORT_FORM {
            println!("bench {name} ... ignored, since its figures need --release");
            ignored += 1;
            continue;
        }
        match run(&options).await {
            true => passed += 1,
            false => failed += 1,
        }
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("bench result: {result}. {passed} passed; {failed} failed; {ignored} ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A program in this folder, run by the Python that has hivemind.
async fn python(name: &str, options: &Options) -> bool {
    let python = support::peers::peers().await.hivemind;
    let sockets = tempfile::tempdir().unwrap();
    let mut program = Command::new(python);
    program
        .arg("-B")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench").join(name).with_extension("py"))
        .env("PETALD", env!("CARGO_BIN_EXE_petald"))
        .env("PEER_SOCKETS", sockets.path())
        .env("PYTHONWARNINGS", "ignore");
    if let Some(minutes) = &options.minutes {
        program.args(["--minutes", minutes]);
    }
    foreground::run(program).await == Some(0)
}
