//! Each actor panics once: the process lives, and a stranger finds the node again.

use std::time::Duration;

use serde_json::Value;

use super::lifecycle::newest_expiration;
use crate::support::{
    actors::ACTORS,
    deadline::eventually,
    petald::{Config, Home, Petald},
    reader::Reader,
    shared,
    swarm::{RpcInfo, Swarm},
};

/// A restart takes half a second, a renewal two; a stranger's p2pd may still hold an old address.
const RECOVERY_LIMIT: Duration = Duration::from_secs(30);

/// The actor's entry in `GET /api/v1/node`.
async fn actor(petald: &Petald, name: &str) -> Result<Value, String> {
    let node = petald.node().await?;
    let actors = node["actors"].as_array().ok_or(format!("no actors in {node}"))?;
    actors.iter().find(|actor| actor["name"] == name).cloned().ok_or(format!("no {name} in {node}"))
}

#[tokio::test]
async fn every_actor_may_panic() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b", "c"], &[]).await;
    // Renewed every two seconds, so that "visible again" can be told from records that simply live on.
    let config = Config {
        initial_peers: nodes[0].addresses.clone(),
        period: "2s".into(),
        ttl: "30s".into(),
        ..Config::default()
    };
    let home = Home::new(&config);
    let mut petald = home.run().await;
    let process_id = petald.process_id();
    let reader = Reader::client(&nodes[2].addresses).await;
    swarm.start_client("caller", &nodes[1].addresses).await;
    assert_visible(&swarm, &reader, &config, &petald, "the start").await;

    for name in ACTORS {
        let before = actor(&petald, name).await.unwrap();
        let answer = petald.post(&format!("/debug/crash/{name}")).await.unwrap();
        assert_eq!(answer.status, 202, "{name}: {}", answer.body);
        let restarts = before["restarts"].as_u64().unwrap_or_else(|| panic!("no restarts in {before}"));
        let (after, _) = eventually(RECOVERY_LIMIT, &format!("{name} is restarted"), async || {
            let now = actor(&petald, name).await?;
            match now["restarts"].as_u64() > Some(restarts) && now["state"] == before["state"] {
                true => Ok(now),
                false => Err(now.to_string()),
            }
        })
        .await;
        assert!(after["last_error"].is_string(), "{after}");
        assert!(petald.is_running(), "the process lives after {name}");
        assert_eq!(petald.process_id(), process_id);
        assert_visible(&swarm, &reader, &config, &petald, name).await;
    }
}

/// New records reach the swarm, they are ONLINE for a stranger, and rpc_info is answered.
async fn assert_visible(swarm: &Swarm, reader: &Reader, config: &Config, petald: &Petald, after: &str) {
    let stored = newest_expiration(swarm, &petald.peer_id).await;
    eventually(RECOVERY_LIMIT, &format!("visible after {after}"), async || {
        let newest = newest_expiration(swarm, &petald.peer_id).await;
        if newest <= stored {
            return Err(format!("no new record since the one that expires at {stored}"));
        }
        let servers = reader.servers(&config.dht_prefix, config.num_blocks).await;
        let states = servers.states(&petald.peer_id, 0..config.num_blocks as usize);
        if states != ["ONLINE"] {
            return Err(format!("{states:?}"));
        }
        match swarm.rpc_info("caller", &petald.peer_id, &[""]).await.remove(0) {
            RpcInfo::Answer { .. } => Ok(()),
            RpcInfo::Raised { error, .. } => Err(format!("rpc_info: {error}")),
        }
    })
    .await;
}
