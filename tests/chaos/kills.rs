//! `kill -9`, a start at once, and the time until a stranger has found every record stored anew.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    Options,
    world::{BOOTSTRAPS, PEERS, World, unix_now},
};
use crate::support::report;

/// Short enough for a figure of seconds.
const LOOK: Duration = Duration::from_millis(100);
const TTL: f64 = 50.0;
const LIMIT: Duration = Duration::from_secs(20);
/// The promise, for the median.
const PROMISE: f64 = 3.0;

pub(crate) async fn run(world: &mut World, options: &Options) -> Result<(), String> {
    world.populate(&PEERS).await;
    let home = world.home(&BOOTSTRAPS, "10s", "50s");
    let mut petald = home.run(&world.net).await;
    world.watch(&petald, LOOK).await;
    world.visible(0.0, LIMIT).await?;
    let mut times = Vec::new();
    for _ in 0..options.kills {
        sleep(Duration::from_secs(2)).await;
        let at = unix_now();
        petald.kill().await;
        petald = home.run(&world.net).await;
        times.push(world.renewed(at, TTL, LIMIT).await?);
    }
    petald.stop().await;
    let listed: Vec<String> = times.iter().map(|seconds| format!("{seconds:.2}")).collect();
    times.sort_by(f64::total_cmp);
    let median = times[times.len() / 2];
    report(&format!("kill -9 to visible again: median {median:.2} s of {}", listed.join(" ")));
    if median < PROMISE { Ok(()) } else { Err(format!("{listed:?}")) }
}
