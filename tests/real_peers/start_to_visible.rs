//! From the start of the process until a Python reader finds all records of a 32-block model ONLINE.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::{
    alone,
    deadline::eventually,
    petald::{Config, Home},
    reader::Reader,
    report,
    swarm::Swarm,
};

const BLOCKS: u32 = 32;
const RUNS: usize = 3;
/// The promise, for the median run.
const PROMISE: Duration = Duration::from_secs(2);
const VISIBLE_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn thirty_two_blocks_within_two_seconds() {
    let _machine = alone().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b", "c"], &[]).await;
    let reader = Reader::client(&nodes[2].addresses).await;

    let mut times = Vec::new();
    for run in 0..RUNS {
        let dht_prefix = format!("model-{run}");
        let blocks = format!("0:{BLOCKS}");
        let initial_peers = nodes[0].addresses.clone();
        let config = Config { initial_peers, dht_prefix, num_blocks: BLOCKS, blocks, ..Config::default() };
        let home = Home::new(&config);
        let started = Instant::now();
        let starting = home.spawn();
        eventually(VISIBLE_LIMIT, "all blocks are ONLINE for a stranger", async || {
            let servers = reader.servers(&config.dht_prefix, BLOCKS).await;
            match servers.blocks.iter().filter(|block| block.values().any(|s| s.state == "ONLINE")).count() {
                online if online == BLOCKS as usize => Ok(()),
                online => Err(format!("{online} of {BLOCKS}")),
            }
        })
        .await;
        times.push(started.elapsed());
        drop(starting);
    }
    times.sort();
    let median = times[RUNS / 2];
    report(&format!("start to visible, {BLOCKS} blocks: median {median:.2?} of {times:.2?}"));
    assert!(median < PROMISE, "{times:?}");
}
