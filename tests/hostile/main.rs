//! Hostile peers: what they may cost those who are honest, and petald itself.
//!
//! `cargo test` runs a short form. `cargo test --release --test hostile -- --seconds 60` prints the table; a name runs
//! the loads that contain it, and `peers --peers 2000` what so many honest ones take. Each load runs in a process of
//! its own, at a lower priority, as it would on another machine, while honest peers poll.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and explains itself by printing"
)]

mod attack;
mod honest;
mod loads;
mod peers;
#[allow(dead_code, reason = "shared with other tests, which use the rest of it")]
#[path = "../support/mod.rs"]
mod support;
mod table;
mod target;
mod warm_up;
mod windows;
mod wire;

use std::process::ExitCode;

use table::Row;

/// What the command line asks for.
#[derive(Debug)]
struct Options {
    seconds: u64,
    /// Honest ones, connected at once.
    peers: usize,
    names: Vec<String>,
}

impl Options {
    fn read() -> Options {
        let mut options = Options { seconds: 1, peers: 100, names: Vec::new() };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--seconds" => {
                    let seconds = arguments.next().and_then(|text| text.parse().ok());
                    options.seconds = seconds.expect("--seconds needs a number");
                }
                "--peers" => {
                    let peers = arguments.next().and_then(|text| text.parse().ok());
                    options.peers = peers.expect("--peers needs a number");
                }
                // Whatever else cargo and its users hand to every test binary, such as --nocapture.
                other if other.starts_with('-') => {}
                name => options.names.push(name.to_owned()),
            }
        }
        options
    }
}

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match attack::asked_for() {
        Some(attack) => {
            runtime.block_on(attack);
            // Whatever still runs is of no use to anybody.
            runtime.shutdown_background();
            ExitCode::SUCCESS
        }
        None => runtime.block_on(defend(&Options::read())),
    }
}

async fn defend(options: &Options) -> ExitCode {
    let is_wanted =
        |name: &str| options.names.is_empty() || options.names.iter().any(|part| name.contains(&**part));
    let wanted: Vec<&str> =
        loads::LOADS.iter().map(|(name, _)| *name).filter(|name| is_wanted(name)).collect();
    println!("\nrunning {} loads of hostile peers, {} s each", wanted.len(), options.seconds);
    let (mut failed, mut stage) = (Vec::new(), None);
    println!("{}", Row::HEAD);
    for name in &wanted {
        // In a short form all loads share one; otherwise the memory of one begins where another's ended.
        let fresh = options.seconds >= table::LONG;
        let set = match stage.take().filter(|_| !fresh) {
            Some(stage) => stage,
            None => attack::Stage::set().await,
        };
        let row = attack::withstand(&set, name, options.seconds).await;
        stage = Some(set);
        let faults = row.faults(options.seconds);
        println!("{row}  {}", if faults.is_empty() { "ok" } else { "FAILED" });
        for fault in &faults {
            println!("    {fault}");
        }
        if !faults.is_empty() {
            failed.push(*name);
        }
    }
    let mut passed = wanted.len() - failed.len();
    if is_wanted(peers::PEERS) {
        let faults = peers::show(options.peers).await;
        println!("{} connected peers ... {}", options.peers, if faults.is_empty() { "ok" } else { "FAILED" });
        faults.iter().for_each(|fault| println!("    {fault}"));
        match faults.is_empty() {
            true => passed += 1,
            false => failed.push(peers::PEERS),
        }
    }
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "hostile result: {result}. {passed} passed; {} failed; 0 ignored {}",
        failed.len(),
        failed.join(" ")
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
