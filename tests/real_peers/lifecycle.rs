//! Ends: a drain says OFFLINE before it exits; a kill costs no identity.

use std::time::Duration;

use crate::support::{
    deadline::eventually,
    petald::{Config, Home},
    reader::Reader,
    shared,
    swarm::{Node, RpcInfo, Swarm},
};

/// What an operator may expect of SIGTERM.
const OFFLINE_LIMIT: Duration = Duration::from_secs(5);
const VISIBLE_LIMIT: Duration = Duration::from_secs(20);

async fn seen_in_state(
    reader: &Reader,
    config: &Config,
    peer_id: &str,
    state: &str,
    limit: Duration,
) -> Duration {
    let what = format!("all blocks are {state} for a stranger");
    let (_, took) = eventually(limit, &what, async || {
        let servers = reader.servers(&config.dht_prefix, config.num_blocks).await;
        match servers.states(peer_id, 0..config.num_blocks as usize).as_slice() {
            [only] if only == state => Ok(()),
            states => Err(format!("{states:?}")),
        }
    })
    .await;
    took
}

async fn swarm_and_config() -> (Swarm, Vec<Node>, Config) {
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b", "c"], &[]).await;
    let config = Config { initial_peers: nodes[0].addresses.clone(), ..Config::default() };
    (swarm, nodes, config)
}

#[tokio::test]
async fn sigterm_announces_offline_and_exits_with_zero() {
    let _machine = shared().await;
    let (_swarm, nodes, config) = swarm_and_config().await;
    let reader = Reader::client(&nodes[2].addresses).await;
    let home = Home::new(&config);
    let petald = home.run().await;
    let peer_id = petald.peer_id.clone();
    seen_in_state(&reader, &config, &peer_id, "ONLINE", VISIBLE_LIMIT).await;

    petald.terminate();
    seen_in_state(&reader, &config, &peer_id, "OFFLINE", OFFLINE_LIMIT).await;
    let status = petald.exit().await;
    assert_eq!(status.code(), Some(0), "{status}");
}

#[tokio::test]
async fn a_killed_node_comes_back_as_itself() {
    let _machine = shared().await;
    let (swarm, nodes, config) = swarm_and_config().await;
    let home = Home::new(&config);
    let petald = home.run().await;
    let peer_id = petald.peer_id.clone();
    let reader = Reader::client(&nodes[2].addresses).await;
    seen_in_state(&reader, &config, &peer_id, "ONLINE", VISIBLE_LIMIT).await;

    petald.kill().await;
    // The records of the dead node live on for a while: only new ones, and an answer, show that it is back.
    let newest = newest_expiration(&swarm, &peer_id).await;
    let petald = home.run().await;
    assert_eq!(petald.peer_id, peer_id);
    eventually(VISIBLE_LIMIT, "new records are stored", async || {
        match newest_expiration(&swarm, &peer_id).await {
            now if now > newest => Ok(()),
            now => Err(format!("the newest expires at {now}")),
        }
    })
    .await;
    seen_in_state(&reader, &config, &peer_id, "ONLINE", VISIBLE_LIMIT).await;
    swarm.start_client("caller", &nodes[1].addresses).await;
    eventually(VISIBLE_LIMIT, "rpc_info is answered", async || {
        match swarm.rpc_info("caller", &peer_id, &[""]).await.remove(0) {
            RpcInfo::Answer { .. } => Ok(()),
            RpcInfo::Raised { error, .. } => Err(error),
        }
    })
    .await;
}

/// The latest expiration of any record that `peer_id` has stored, as Unix time in seconds.
pub(crate) async fn newest_expiration(swarm: &Swarm, peer_id: &str) -> f64 {
    let calls = swarm.store_calls_from(peer_id).await;
    calls.iter().flat_map(|call| &call.expirations).copied().fold(0.0, f64::max)
}
