//! A model of 126 blocks and twenty hivemind peers: how soon a stranger sees all of it, and how many calls it took, beside
//! what hivemind takes for the same records.

use std::time::{Duration, Instant};

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
    let (mut times, mut calls) = (Vec::new(), Vec::new());
    for run in 0..RUNS * options.longer {
        let config = Config {
            initial_peers: nodes[0].addresses.clone(),
            dht_prefix: format!("model-{run}"),
            num_blocks: BLOCKS,
            blocks: format!("0:{BLOCKS}"),
            ..Config::default()
        };
        let home = Home::new(&config);
        let begun = Instant::now();
        let starting = home.spawn();
        eventually(LIMIT, "a stranger sees all blocks ONLINE", async || {
            let servers = reader.servers(&config.dht_prefix, BLOCKS).await;
            match servers.blocks.iter().filter(|block| block.values().any(|s| s.state == "ONLINE")).count() {
                online if online == BLOCKS as usize => Ok(()),
                online => Err(format!("{online} of {BLOCKS}")),
            }
        })
        .await;
        times.push(begun.elapsed());
        let petald = starting.listening().await;
        let stores = swarm.store_calls_from(&petald.peer_id).await;
        calls.push(stores.iter().filter(|call| !call.in_cache).count());
        petald.kill().await;
    }
    times.sort_unstable();
    calls.sort_unstable();
    let median = times[times.len() / 2];
    let late = if median <= VISIBLE_WITHIN { "" } else { "  <-- NOT REACHED" };
    println!(
        "figure: start to visible to a stranger, {BLOCKS} blocks, {PEERS} peers: median {median:.2?} of {times:.2?} (at most {VISIBLE_WITHIN:?}){late}"
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
