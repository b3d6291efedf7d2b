//! Many panics, up to one a second, spread over all actors: the process lives, and the node stays visible.

use std::time::Duration;

use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use tokio::time::{Instant, sleep_until};

use super::{
    Options,
    figures::Figures,
    world::{BOOTSTRAPS, PEERS, World, unix_now},
};
use crate::support::{actors::ACTORS, deadline::eventually, report};

/// A supervisor gives up an actor that fails more than 25 times within 120 s: with fourteen in turn, nine times.
const APART: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(20);
const TTL: f64 = 50.0;

pub(crate) async fn run(world: &mut World, options: &Options) -> Result<(), String> {
    world.populate(&PEERS).await;
    let home = world.home(&BOOTSTRAPS, "10s", "50s");
    let mut petald = home.run(&world.net).await;
    let process_id = petald.process_id();
    world.watch(&petald, Duration::from_secs(1)).await;
    world.visible(0.0, LIMIT).await?;
    world.looks.clear();

    let mut rng = SmallRng::seed_from_u64(options.seed);
    let began = Instant::now();
    let (mut due, mut panics, mut refused) = (began, 0, 0);
    let mut order = Vec::new();
    while panics < options.panics {
        if order.is_empty() {
            order = ACTORS.to_vec();
            order.shuffle(&mut rng);
        }
        sleep_until(due).await;
        let actor = order.pop().unwrap_or(ACTORS[0]);
        match petald.crash(actor).await {
            Ok(()) => {
                panics += 1;
                due += APART;
            }
            // It waits for its backoff, or for one above it, or it is admin that is not there to ask: the next one
            // is tried soon.
            Err(_) => {
                refused += 1;
                due = Instant::now() + APART / 4;
            }
        }
        if let Some(status) = petald.ended() {
            return Err(format!("petald ended after {panics} panics: {status}\n{}", home.output()));
        }
        if refused > 20 * options.panics {
            return Err(format!("{refused} panics were refused, {panics} were not"));
        }
    }
    let after = world.renewed(unix_now(), TTL, LIMIT).await?;
    let figures = Figures::of(&world.looks, &[]);
    let (node, _) = eventually(LIMIT, "all actors run", async || {
        let node = petald.node().await?;
        let actors = node["actors"].as_array().cloned().unwrap_or_default();
        match actors.iter().all(|actor| actor["state"] == "running") {
            true => Ok(actors),
            false => Err(node.to_string()),
        }
    })
    .await;
    let restarts: u64 = node.iter().filter_map(|actor| actor["restarts"].as_u64()).sum();
    let same = petald.process_id() == process_id && petald.ended().is_none();
    report(&format!(
        "{panics} actor panics within {:.0} s survived by process {process_id} (the same: {same}), {restarts} restarts, \
         {refused} refused because the actor was not running; {figures}; stored anew {after:.1} s after the last",
        began.elapsed().as_secs_f64()
    ));
    let status = petald.stop().await;
    match (same, restarts >= panics as u64, figures.missed.is_empty(), status.code()) {
        (true, true, true, Some(0)) => Ok(()),
        _ => Err(format!("same process: {same}, restarts {restarts}, missed {:?}, {status}", figures.missed)),
    }
}
