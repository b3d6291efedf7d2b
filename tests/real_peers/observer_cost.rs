//! What the looks of a stranger cost the node, in CPU and in what stays behind.

use std::{path::PathBuf, time::Duration};

use tokio::time::{Instant, sleep};

use super::observer::word;
use crate::support::{
    alone,
    deadline::eventually,
    petald::{Config, Home, Petald},
    report,
    swarm::Swarm,
};

const SEEN_LIMIT: Duration = Duration::from_secs(15);
/// How long each of the two runs is watched.
const WATCHED: Duration = Duration::from_secs(20);
/// The interval that is the default.
const DEFAULT_INTERVAL: f64 = 60.0;
/// Of one core, in the long run.
const PROMISE: f64 = 0.002;
/// An unoptimized build takes some times longer for everything, its cryptography most of all.
const MARGIN: f64 = if cfg!(debug_assertions) { 10.0 } else { 1.0 };
/// A look under way has a few connections of its own.
const DESCRIPTORS_OF_A_LOOK: usize = 16;

/// CPU time of all its threads.
fn cpu(petald: &Petald) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{}/task", petald.process_id())).unwrap();
    let used = |path: PathBuf| -> Option<u64> {
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        text.split(' ').next()?.parse().ok()
    };
    Duration::from_nanos(threads.filter_map(|thread| used(thread.unwrap().path())).sum())
}

fn descriptors(petald: &Petald) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", petald.process_id())).unwrap().count()
}

async fn looks(petald: &Petald) -> u64 {
    petald.node().await.unwrap()["reports"]["observer"]["looks"].as_u64().unwrap()
}

/// CPU time, looks and descriptors before and after, while it is visible.
async fn watch(petald: &Petald) -> (Duration, u64, usize, usize) {
    eventually(SEEN_LIMIT, "visible", async || match word(petald).await? {
        (200, _) => Ok(()),
        (_, word) => Err(word.to_string()),
    })
    .await;
    sleep(Duration::from_secs(3)).await;
    let (cpu_before, looks_before, started) = (cpu(petald), looks(petald).await, Instant::now());
    let descriptors_before = descriptors(petald);
    sleep(WATCHED).await;
    let used = (cpu(petald) - cpu_before).div_f64(started.elapsed().as_secs_f64() / WATCHED.as_secs_f64());
    (used, looks(petald).await - looks_before, descriptors_before, descriptors(petald))
}

#[tokio::test]
async fn a_look_a_minute_is_hardly_seen() {
    let _machine = alone().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b", "c"], &[]).await;
    let config = Config { initial_peers: nodes[0].addresses.clone(), ..Config::default() };
    let mut measured = Vec::new();
    for interval in ["1h", "1s"] {
        let home = Home::new(&config);
        let petald = home.run_with(&[("observer.interval", interval)]).await;
        measured.push(watch(&petald).await);
    }
    let [(idle, none, ..), (busy, looks, before, after)] = measured[..] else { unreachable!() };
    assert_eq!(none, 0, "the first node was to rest");
    assert!(looks >= 10, "{looks} looks");
    let one = busy.saturating_sub(idle).div_f64(looks as f64);
    let share = one.as_secs_f64() / DEFAULT_INTERVAL;
    report(&format!(
        "one look among 3 peers: {one:.1?} of CPU, {:.3} % of a core at one a minute; without looks the node takes {:.3} %",
        share * 100.0,
        idle.as_secs_f64() / WATCHED.as_secs_f64() * 100.0,
    ));
    assert!(share < PROMISE * MARGIN, "{share}");
    assert!(after <= before + DESCRIPTORS_OF_A_LOOK, "{before} descriptors became {after} in {looks} looks");
}
