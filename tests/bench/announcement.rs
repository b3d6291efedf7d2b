//! A model of 126 blocks and twenty hivemind peers: how soon a stranger sees all of it, and how many calls it took, beside
//! what hivemind takes for the same records.
//!
//! A stranger's look at all blocks takes the Python peers, which share one process here, longer than petald takes to announce
//! them, and as long as it goes on they answer petald more slowly. So the stranger first asks for three of the blocks,
//! again and again, and looks at all of them once these are there. What is told is when the last record came to a peer,
//! when that look began and when it ended, and how long a look takes when
//! nothing else goes on.

use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use super::{
    Options,
    support::{
        deadline::eventually,
        petald::{Config, Home},
        reader::Reader,
        swarm::Swarm,
    },
};

const BLOCKS: u32 = 126;
const PEERS: usize = 20;
const RUNS: usize = 3;
const VISIBLE_WITHIN: Duration = Duration::from_secs(1);
const FEWER_CALLS: f64 = 10.0;
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) async fn run(options: &Options) -> bool {
    let swarm = Swarm::new().await;
    let names: Vec<_> = (0..PEERS).map(|number| format!("peer-{number}")).collect();
    let nodes = swarm.start_many(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let reader = Reader::client(&nodes[2].addresses).await;
    let (mut since, mut times, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..RUNS * options.longer {
        let config = Config {
            initial_peers: nodes[0].addresses.clone(),
            dht_prefix: format!("model-{run}"),
            num_blocks: BLOCKS,
            blocks: format!("0:{BLOCKS}"),
            ..Config::default()
        };
        let home = Home::new(&config);
        let (begun, began) = (Instant::now(), SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64());
        let starting = home.spawn();
        let (begins, ends) = seen(&reader, &config.dht_prefix, begun).await;
        let alone = Instant::now();
        reader.servers(&config.dht_prefix, BLOCKS).await;
        let alone = alone.elapsed();
        let petald = starting.listening().await;
        let stores = swarm.store_calls_from(&petald.peer_id).await;
        let stores: Vec<f64> =
            stores.iter().filter(|call| !call.in_cache).map(|call| call.at - began).collect();
        let (first, last) =
            (stores.iter().copied().fold(f64::MAX, f64::min), stores.iter().copied().fold(0.0, f64::max));
        println!(
            "start {run}: records come to the peers from {first:.2} to {last:.2} s; a look that begins at {begins:.2?} ends at \
             {ends:.2?}; a look when nothing else goes on takes {alone:.2?}"
        );
        since.push(begins);
        times.push(ends);
        calls.push(stores.len());
        petald.kill().await;
    }
    since.sort_unstable();
    times.sort_unstable();
    calls.sort_unstable();
    println!(
        "figure: start to the look that found all: median {:.2?} of {since:.2?}",
        since[since.len() / 2]
    );
    let median = times[times.len() / 2];
    let late = if median <= VISIBLE_WITHIN { "" } else { "  <-- NOT REACHED" };
    println!(
        "figure: start to seen by a stranger, {BLOCKS} blocks, {PEERS} peers: median {median:.2?} of {times:.2?} (at most {VISIBLE_WITHIN:?}){late}"
    );
    // The same records from one of the hivemind nodes, as petals announces them: block by block.
    let node = &nodes[1];
    let before = swarm.store_calls_from(&node.peer_id).await.len();
    for block in 0..BLOCKS {
        let key = format!("of-hivemind.{block}");
        swarm.store_entry(&node.name, &key, &json!(node.peer_id), json!([2, 12.5]), 120.0).await;
    }
    let hivemind = swarm.store_calls_from(&node.peer_id).await.len() - before;
    let petald = calls[calls.len() / 2];
    let ratio = hivemind as f64 / petald as f64;
    let many = if ratio >= FEWER_CALLS { "" } else { "  <-- NOT REACHED" };
    println!(
        "figure: rpc_store calls of that announcement: petald {petald}, hivemind {hivemind}: {ratio:.1} times fewer (at least {FEWER_CALLS}){many}"
    );
    true
}

/// When the stranger's first look that found all blocks ONLINE began, and when it ended.
async fn seen(reader: &Reader, prefix: &str, begun: Instant) -> (Duration, Duration) {
    let look = async || {
        for block in [0, BLOCKS / 2, BLOCKS - 1] {
            if reader.raw(&format!("{prefix}.{block}")).await.is_null() {
                return Err(format!("block {block} is not there"));
            }
        }
        let begins = begun.elapsed();
        let servers = reader.servers(prefix, BLOCKS).await;
        match servers.blocks.iter().filter(|block| block.values().any(|s| s.state == "ONLINE")).count() {
            online if online == BLOCKS as usize => Ok((begins, begun.elapsed())),
            online => Err(format!("{online} of {BLOCKS}")),
        }
    };
    eventually(LIMIT, "a stranger sees all blocks ONLINE", look).await.0
}
