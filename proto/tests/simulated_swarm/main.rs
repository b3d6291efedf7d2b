//! A swarm of the real DHT nodes, in one thread and in virtual time: what lookups and announcements take, and what they
//! still find while nodes come and go.
//!
//! `cargo test` runs a short form of it. The figures come from
//! `cargo test --release -p hivemind-proto --test simulated_swarm -- --nodes 100,1000,10000 --plots FOLDER`, which takes
//! an hour and 4 GiB: churn, load and recovery are measured in the last of the swarms. `--shares 0.1` measures churn of a
//! tenth alone, `--no-load` leaves load and recovery out, `--seed` makes another swarm, `--lookups` makes each figure out of
//! more of them. Plots are drawn of what more than one point was measured of.
//!
//! What is not simulated: the resolution of a peer's addresses, bandwidth, and the time that a call takes a callee.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test fails by panicking and explains itself by printing, also how long it took"
)]

mod churn;
mod figures;
mod fleet;
mod growth;
mod internet;
mod load;
mod plot;
mod plots;
mod records;
mod swarm;
mod trace;
mod work;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use churn::Churn;
use growth::Growth;
use load::{Load, Step};
use swarm::Swarm;

/// No lookup may take more rounds.
const ROUNDS_AT_MOST: f64 = 5.0;

/// At least so many of a hundred lookups find what they look for, and this much of the swarm may have been replaced.
const FOUND_AT_LEAST: f64 = 0.999;
const CHURN: f64 = 0.1;

const SHARES: [f64; 5] = [0.0, 0.1, 0.2, 0.35, 0.5];

/// What the command line asks for.
pub(crate) struct Options {
    /// The sizes of the swarms; churn and load are measured in the last.
    nodes: Vec<usize>,
    pub(crate) lookups: usize,
    shares: Vec<f64>,
    pub(crate) recovery_seconds: u64,
    /// Whether load and recovery are measured.
    load: bool,
    seed: u64,
    plots: Option<PathBuf>,
}

impl Options {
    fn read() -> Self {
        let mut arguments = std::env::args().skip(1);
        let mut options = Self {
            nodes: vec![100],
            lookups: 100,
            shares: vec![CHURN],
            recovery_seconds: 30,
            load: false,
            seed: 1,
            plots: None,
        };
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--nodes" => {
                    let sizes = arguments.next().expect("sizes, such as 100,1000");
                    options.nodes = sizes.split(',').map(|size| size.parse().expect("a number")).collect();
                    (options.lookups, options.recovery_seconds) = (1000, 240);
                    options.load = true;
                    options.shares = SHARES.to_vec();
                }
                "--shares" => {
                    let shares = arguments.next().expect("shares, such as 0,0.1");
                    options.shares =
                        shares.split(',').map(|share| share.parse().expect("a number")).collect();
                }
                "--no-load" => options.load = false,
                "--lookups" => {
                    options.lookups = arguments.next().and_then(|it| it.parse().ok()).expect("a number")
                }
                "--seed" => options.seed = arguments.next().and_then(|it| it.parse().ok()).expect("a number"),
                // Seen from the repository, wherever cargo has us run.
                "--plots" => {
                    let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
                    options.plots = arguments.next().map(|folder| Path::new(repository).join(folder));
                }
                // Of the other test programs.
                _ => {}
            }
        }
        options
    }

    /// It takes more of them where one in a thousand is to be told.
    pub(crate) fn lookups_under_churn(&self, share: f64) -> usize {
        if share == CHURN { 5 * self.lookups } else { self.lookups }
    }
}

/// Everything that was measured.
pub(crate) struct Measured {
    pub(crate) growth: Vec<Growth>,
    pub(crate) churn: Vec<Churn>,
    pub(crate) load: Option<Load>,
    pub(crate) recovery: Vec<Step>,
}

fn main() -> ExitCode {
    let options = Options::read();
    println!("seed {}", options.seed);
    let begun = Instant::now();
    let mut growth = Vec::new();
    let mut largest = None;
    for nodes in &options.nodes {
        let mut swarm = Swarm::of(*nodes, options.seed);
        growth.push(growth::measure(&mut swarm, &options));
        println!("  {:.0} s of real time so far", begun.elapsed().as_secs_f64());
        largest = Some(swarm);
    }
    let mut swarm = largest.expect("a size");
    let churn: Vec<Churn> =
        options.shares.iter().map(|share| churn::measure(&mut swarm, *share, &options)).collect();
    println!("  {:.0} s of real time so far", begun.elapsed().as_secs_f64());
    let (mut load, mut recovery) = (None, Vec::new());
    if options.load {
        let (mut fleet, measured) = load::measure(&mut swarm);
        load = Some(measured);
        recovery = load::recovery(&mut swarm, &mut fleet, &options);
    }
    println!("  {:.0} s of real time in all", begun.elapsed().as_secs_f64());
    let measured = Measured { growth, churn, load, recovery };
    if let Some(folder) = &options.plots {
        plots::write(&measured, folder).expect("the folder can be written to");
    }
    let (mut passed, mut failed) = (0, 0);
    for (what, good) in verdicts(&measured) {
        println!("test {what} ... {}", if good { "ok" } else { "FAILED" });
        if good { passed += 1 } else { failed += 1 }
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {result}. {passed} passed; {failed} failed; 0 ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn verdicts(measured: &Measured) -> Vec<(String, bool)> {
    let mut verdicts = Vec::new();
    for growth in &measured.growth {
        let (nodes, rounds, found) = (growth.nodes, growth.lookup.rounds.max(), growth.lookup.success());
        verdicts.push((
            format!("{nodes} nodes: {rounds} rounds, at most {ROUNDS_AT_MOST}"),
            rounds <= ROUNDS_AT_MOST,
        ));
        verdicts.push((format!("{nodes} nodes: {found} of all lookups found it"), found >= FOUND_AT_LEAST));
    }
    for churn in measured.churn.iter().filter(|churn| churn.share <= CHURN) {
        for (how, costs) in [("replaced", &churn.replaced), ("vanished", &churn.vanished)] {
            let (share, found, rounds) = (100.0 * churn.share, costs.success(), costs.rounds.max());
            verdicts.push((
                format!(
                    "{share} % {how}: {found} of {} lookups found it, at least {FOUND_AT_LEAST}",
                    costs.asked
                ),
                found >= FOUND_AT_LEAST,
            ));
            verdicts.push((
                format!("{share} % {how}: {rounds} rounds, at most {ROUNDS_AT_MOST}"),
                rounds <= ROUNDS_AT_MOST,
            ));
        }
    }
    if let Some(last) = measured.recovery.last() {
        let found = last.lookups.success();
        verdicts.push((format!("{} s after half was lost: {found} found", last.at), found >= 0.99));
    }
    verdicts
}
