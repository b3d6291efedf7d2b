//! Many panics, one a second, spread over all actors: the process lives, and the node stays visible.

use std::time::Duration;

use rand::{SeedableRng, rngs::SmallRng, seq::SliceRandom};
use tokio::time::{Instant, sleep_until};

use super::{
    Options,
    figures::Figures,
    node::ACTORS,
    world::{BOOTSTRAPS, PEERS, World, unix_now},
};
use crate::support::{deadline::eventually, report};

/// A supervisor gives up an actor that fails more than 25 times within 120 s: with seven in turn, 18 times.
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
    let (mut due, mut panics, mut refused) = (Instant::now(), 0, 0);
    let mut order = Vec::new();
    while panics < options.panics {
        if order.is_empty() {
            order = ACTORS.to_vec();
            order.shuffle(&mut rng);
        }
        sleep_until(due).await;
        due += APART;
        let actor = order.pop().unwrap_or(ACTORS[0]);
        match petald.crash(actor).await {
            Ok(()) => panics += 1,
            // It is being rebuilt; admin may be the one that is not there to ask.
            Err(_) => refused += 1,
        }
        if let Some(status) = petald.ended() {
            return Err(format!("petald ended after {panics} panics: {status}\n{}", home.output()));
        }
        if refused > options.panics {
            return Err(format!("{refused} panics were refused"));
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
        "{panics} actor panics, one a second, survived by process {process_id} (the same: {same}), {restarts} restarts, \
         {refused} refused; {figures}; stored anew {after:.1} s after the last"
    ));
    let status = petald.stop().await;
    match (same, restarts >= panics as u64, figures.missed.is_empty(), status.code()) {
        (true, true, true, Some(0)) => Ok(()),
        _ => Err(format!("same process: {same}, restarts {restarts}, missed {:?}, {status}", figures.missed)),
    }
}
