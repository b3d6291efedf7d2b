//! Chaos: petald among hivemind peers, each in a network namespace of its own, and everything fails in turn.
//!
//! `cargo test` runs a short form. `cargo test --test chaos -- --minutes 10 --panics 500` prints the figures; a name
//! runs the scenarios that contain it. `--seed`, or `PETALD_CHAOS_SEED`, runs the schedule of a seed again, and
//! `--keep` prints what petald said. Where no network namespaces can be made, all of it is counted as ignored.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and explains itself by printing"
)]

mod figures;
mod kills;
mod log_disk;
mod losses;
mod names;
mod net;
mod node;
mod outposts;
mod panics;
mod schedule;
#[allow(dead_code, reason = "shared with other tests, which use the rest of it")]
#[path = "../support/mod.rs"]
mod support;
mod weather;
mod world;

use std::{panic::AssertUnwindSafe, process::ExitCode, time::Duration};

use futures::{FutureExt, future::LocalBoxFuture};
use tokio::time::Instant;

use net::Way;
use world::World;

/// What the command line asks for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) seed: u64,
    /// Of the weather: no gust begins later.
    pub(crate) weather: Duration,
    pub(crate) panics: usize,
    pub(crate) kills: usize,
    /// Prints what petald said, even if all went well.
    pub(crate) keep: bool,
    names: Vec<String>,
}

type Run = for<'a> fn(&'a mut World, &'a Options) -> LocalBoxFuture<'a, Result<(), String>>;

const SCENARIOS: [(&str, Run); 11] = [
    ("kill", |world, options| kills::run(world, options).boxed_local()),
    ("bootstrap_away", |world, options| losses::bootstrap_away(world, options).boxed_local()),
    ("bootstraps_replaced", |world, options| losses::bootstraps_replaced(world, options).boxed_local()),
    ("start_without_bootstraps", |world, options| {
        losses::start_without_bootstraps(world, options).boxed_local()
    }),
    ("start_with_remembered_peers", |world, options| {
        losses::start_with_remembered_peers(world, options).boxed_local()
    }),
    ("all_peers_restarted", |world, options| losses::all_peers_restarted(world, options).boxed_local()),
    ("bootstraps_move", |world, options| names::bootstraps_move(world, options).boxed_local()),
    ("cut_off", |world, options| losses::cut_off(world, options).boxed_local()),
    ("log_disk", |world, options| log_disk::run(world, options).boxed_local()),
    ("panics", |world, options| panics::run(world, options).boxed_local()),
    ("weather", |world, options| weather::run(world, options).boxed_local()),
];

impl Options {
    /// The short form, changed by the environment and then by arguments.
    fn read() -> Result<Options, String> {
        let mut options = Options {
            seed: number("PETALD_CHAOS_SEED", std::env::var("PETALD_CHAOS_SEED").ok())?.unwrap_or(1),
            weather: Duration::from_secs(
                number("PETALD_CHAOS_SECONDS", std::env::var("PETALD_CHAOS_SECONDS").ok())?.unwrap_or(10),
            ),
            panics: 4,
            kills: 1,
            keep: false,
            names: Vec::new(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value =
                || number(&argument, arguments.next())?.ok_or(format!("{argument} needs a number"));
            match argument.as_str() {
                "--seed" => options.seed = value()?,
                "--minutes" => options.weather = Duration::from_secs(60 * value()?),
                "--seconds" => options.weather = Duration::from_secs(value()?),
                "--panics" => options.panics = value()? as usize,
                "--kills" => options.kills = value()?.max(1) as usize,
                "--keep" => options.keep = true,
                // Whatever else cargo and its users hand to every test binary, such as --nocapture.
                other if other.starts_with('-') => {}
                name => options.names.push(name.to_owned()),
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|part| name.contains(part.as_str()))
    }
}

fn number(name: &str, text: Option<String>) -> Result<Option<u64>, String> {
    text.map(|text| text.parse().map_err(|e| format!("{name}: {e}: {text:?}"))).transpose()
}

// The children are told by the kernel when the thread that started them ends: this one.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(error) => {
            println!("{error}");
            return ExitCode::FAILURE;
        }
    };
    // A second interrupt ends the process at once; after the first, everything is dropped, and so ended.
    tokio::select! {
        failed = run(&options) => if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE },
        _ = tokio::signal::ctrl_c() => ExitCode::FAILURE,
    }
}

/// How many scenarios failed.
async fn run(options: &Options) -> usize {
    let wanted: Vec<_> = SCENARIOS.iter().filter(|(name, _)| options.wants(name)).collect();
    println!("\nrunning {} scenarios of chaos", wanted.len());
    if wanted.is_empty() {
        return 0;
    }
    let way = match Way::find().await {
        Ok(way) => way,
        Err(missing) => {
            println!("{missing}\nchaos result: ok. 0 passed; 0 failed; {} ignored", wanted.len());
            return 0;
        }
    };
    let folder = tempfile::tempdir().unwrap();
    let program = node::keep_program(folder.path());
    let (mut passed, mut failed) = (0, Vec::new());
    let mut world = None;
    for (name, scenario) in wanted {
        let mut stage = match world.take() {
            Some(world) => world,
            None => World::new(way, options.seed, program.clone()).await,
        };
        let began = Instant::now();
        let outcome = AssertUnwindSafe(scenario(&mut stage, options)).catch_unwind().await;
        let took = began.elapsed();
        match outcome {
            Ok(Ok(())) => {
                println!("chaos {name} ... ok ({took:.1?})");
                passed += 1;
                stage.clear().await;
                world = Some(stage);
            }
            Ok(Err(fault)) => {
                println!("chaos {name} ... FAILED ({took:.1?}): {fault}");
                failed.push(*name);
            }
            Err(_) => {
                println!("chaos {name} ... FAILED ({took:.1?}): it panicked, see above");
                failed.push(*name);
            }
        }
    }
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "chaos result: {result}. {passed} passed; {} failed; 0 ignored {}",
        failed.len(),
        failed.join(" ")
    );
    failed.len()
}
