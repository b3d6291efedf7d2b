//! The page as a person meets it: in a browser without a window, over swarms that are simulated and real.
//!
//! Needs Debian's chromium and its driver, and installs them where it may; elsewhere everything is counted as ignored.
//! Pictures of the page are kept in `target/tmp/page`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and explains itself by printing"
)]

mod browser;
mod hostile;
mod large;
mod lively;
mod looks;
mod node;
mod real;
#[allow(dead_code, reason = "shared with other tests, which use the rest of it")]
#[path = "../support/mod.rs"]
mod support;
mod swarms;

use std::{panic::AssertUnwindSafe, process::ExitCode};

use browser::Driver;
use futures::{FutureExt, future::LocalBoxFuture};

type Scenario = for<'d> fn(&'d Driver) -> LocalBoxFuture<'d, ()>;

const SCENARIOS: &[(&str, Scenario)] = &[
    ("rows_and_details", |driver| Box::pin(looks::rows_and_details(driver))),
    ("first_paint", |driver| Box::pin(looks::first_paint(driver))),
    ("pictures", |driver| Box::pin(looks::pictures(driver))),
    ("a_screen_reader", |driver| Box::pin(looks::a_screen_reader(driver))),
    ("live_updates", |driver| Box::pin(lively::updates(driver))),
    ("search", |driver| Box::pin(lively::search(driver))),
    ("hostile_names", |driver| Box::pin(hostile::names(driver))),
    ("a_server_dies", |driver| Box::pin(real::a_server_dies(driver))),
    ("five_thousand_servers", |driver| Box::pin(large::five_thousand_servers(driver))),
];

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part.as_str()));
    let scenarios: Vec<_> = SCENARIOS.iter().filter(|(name, _)| wanted(name)).collect();
    println!();
    if let Err(why) = browser::found_or_installed() {
        scenarios.iter().for_each(|(name, _)| println!("page {name} ... ignored: {why}"));
        println!("page result: ok. 0 passed; 0 failed; {} ignored", scenarios.len());
        return ExitCode::SUCCESS;
    }
    let (passed, failed) = actix::System::new().block_on(run(&scenarios));
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("page result: {result}. {passed} passed; {failed} failed; 0 ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn run(scenarios: &[&(&str, Scenario)]) -> (usize, usize) {
    let (mut passed, mut failed) = (0, 0);
    let driver = Driver::start().await;
    for (name, scenario) in scenarios {
        match AssertUnwindSafe(scenario(&driver)).catch_unwind().await {
            Ok(()) => {
                println!("page {name} ... ok");
                passed += 1;
            }
            // The panic has told why.
            Err(_) => {
                println!("page {name} ... FAILED");
                failed += 1;
            }
        }
    }
    (passed, failed)
}
