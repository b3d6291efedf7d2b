//! petald joins three hivemind nodes; a stranger who knows only another of them reads its records as Petals does.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    deadline::eventually,
    petald::{CACHE_TOKENS_LEFT, Config, Home, PUBLIC_NAME, QUANT_TYPE, REPOSITORY, THROUGHPUT, TORCH_DTYPE},
    reader::{Reader, Span},
    shared,
    swarm::{Swarm, field},
};

/// Start-up has a test of its own; here it only must come.
const VISIBLE_LIMIT: Duration = Duration::from_secs(20);
/// `announce.ttl` of these tests, in seconds.
const TTL: f64 = 180.0;

/// Every time to live is below the configured one, by no more than the test took.
fn assert_alive(ttl: &Value) {
    let seconds = ttl.as_f64().unwrap();
    assert!((TTL - 60.0..=TTL).contains(&seconds), "time to live {seconds}");
}

#[tokio::test]
async fn petals_own_functions_accept_its_records() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b", "c"], &[]).await;
    let reader = Reader::client(&nodes[2].addresses).await;

    let config = Config { initial_peers: nodes[0].addresses.clone(), ..Config::default() };
    let home = Home::new(&config);
    let petald = home.run().await;
    let (servers, _) = eventually(VISIBLE_LIMIT, "all blocks are ONLINE for a stranger", async || {
        let servers = reader.servers(&config.dht_prefix, config.num_blocks).await;
        match servers.states(&petald.peer_id, 0..8).as_slice() {
            [only] if only == "ONLINE" => Ok(servers),
            states => Err(format!("{states:?}")),
        }
    })
    .await;

    // ServerInfo.from_tuple and compute_spans.
    assert_eq!(servers.spans[&petald.peer_id], Span { start: 0, end: 8 });
    for block in &servers.blocks {
        let server = &block[&petald.peer_id];
        assert_eq!((server.start_block, server.end_block), (Some(0), Some(8)));
        assert_eq!(server.throughput, THROUGHPUT);
        assert_eq!(server.public_name.as_deref(), Some(PUBLIC_NAME));
        assert_eq!(server.torch_dtype.as_deref(), Some(TORCH_DTYPE));
        assert_eq!(server.quant_type.as_deref(), Some(QUANT_TYPE));
        assert_eq!(server.cache_tokens_left, Some(CACHE_TOKENS_LEFT));
        assert_eq!(server.using_relay, Some(false));
        assert_eq!(server.next_pings, json!({"dict": []}), "nobody serves what comes after");
        assert!(
            server.version.as_ref().is_some_and(|v| !v.is_empty() && !v.starts_with("kwaai-")),
            "{server:?}"
        );
    }

    // ModelInfo.from_dict.
    let (model, _) = eventually(VISIBLE_LIMIT, "the model is listed", async || {
        reader.models().await.remove(&config.dht_prefix).ok_or("not listed".to_owned())
    })
    .await;
    assert_eq!((model.num_blocks, model.repository.as_deref()), (8, Some(REPOSITORY)));
    assert!(model.raw["value"]["dict"].is_array(), "a map, not an array: {}", model.raw);
    assert_alive(&model.raw["ttl"]);

    // The types as they are stored: a tuple of int, float and map under a subkey that is a str.
    for block in 0..8 {
        let record = reader.raw(&format!("{}.{block}", config.dht_prefix)).await;
        let entry = field(&record["value"], &petald.peer_id);
        assert_alive(&entry["ttl"]);
        let parts = &entry["value"]["tuple"];
        assert_eq!(parts[0], json!(2), "{entry}");
        assert!(parts[1].is_f64(), "throughput is a float: {entry}");
        assert_eq!(*field(&parts[2], "start_block"), json!(0));
        assert_eq!(*field(&parts[2], "end_block"), json!(8));
        // As petals itself writes the absence of adapters.
        assert_eq!(*field(&parts[2], "adapters"), json!({ "tuple": [] }), "{entry}");
    }

    // With four nodes and five replicas, every other node holds every record.
    let (_, _) = eventually(VISIBLE_LIMIT, "every node was given records", async || {
        let calls = swarm.store_calls_from(&petald.peer_id).await;
        let callees: BTreeSet<_> = calls.into_iter().map(|call| call.callee).collect();
        match nodes.iter().all(|node| callees.contains(&node.peer_id)) {
            true => Ok(()),
            false => Err(format!("{callees:?}")),
        }
    })
    .await;
    for node in &nodes {
        assert!(
            swarm.routing_table(&node.name).await.contains(&petald.peer_id),
            "{} has us in its table",
            node.name
        );
    }
}
