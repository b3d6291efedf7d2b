//! The admin API of a node among real peers: its figures, and what it changes while it runs.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    deadline::eventually,
    open_metrics,
    petald::{Config, Home, PUBLIC_NAME, Petald},
    reader::Reader,
    shared,
    swarm::{RpcInfo, Swarm},
};

const LIMIT: Duration = Duration::from_secs(30);

/// Families that need not have a line on a healthy young node: a correction of the clock needs more peers than are here.
const MAY_BE_EMPTY: [&str; 5] = [
    "petald_clock_offset_seconds",
    // Of a node that crawls, and of one that has somebody to tell: tests/page asks those.
    "petald_history_file_bytes",
    "petald_alerts",
    "petald_alert_attempts_failed",
    "petald_alerts_waiting",
];

/// What a node among others is asked and asks.
const METHODS: [(&str, &str); 5] = [
    ("petald_outbound_call_duration_seconds", "DHTProtocol.rpc_store"),
    ("petald_outbound_call_duration_seconds", "DHTProtocol.rpc_find"),
    ("petald_inbound_call_duration_seconds", "DHTProtocol.rpc_ping"),
    ("petald_inbound_call_duration_seconds", "DHTProtocol.rpc_find"),
    ("petald_inbound_call_duration_seconds", "TransformerConnectionHandler.rpc_info"),
];

/// How many calls of a method were measured.
fn calls(families: &BTreeMap<String, open_metrics::Family>, family: &str, method: &str) -> f64 {
    let samples = families.get(family).into_iter().flat_map(|family| &family.samples);
    let mut counts = samples.filter(|(name, labels, _)| {
        name.ends_with("_count") && labels.get("method").is_some_and(|of| of == method)
    });
    counts.next().map_or(0.0, |(.., calls)| *calls)
}

async fn ready(petald: &Petald) {
    eventually(LIMIT, "strangers find it", async || match petald.get("/readyz").await?.status {
        200 => Ok(()),
        status => Err(format!("status {status}")),
    })
    .await;
}

#[tokio::test]
async fn every_metric_is_well_formed_and_told() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b", "c"], &[]).await;
    let config = Config { initial_peers: nodes[0].addresses.clone(), ..Config::default() };
    let home = Home::new(&config);
    let petald = home.run().await;
    ready(&petald).await;
    swarm.start_client("caller", &nodes[1].addresses).await;
    assert!(matches!(swarm.rpc_info("caller", &petald.peer_id, &[""]).await[0], RpcInfo::Answer { .. }));
    // One that knows nobody else must ask us.
    let reader = Reader::client(&petald.addresses).await;
    reader.servers(&config.dht_prefix, config.num_blocks).await;
    let complete = async || {
        let answer = petald.get("/metrics").await?;
        let families = open_metrics::read(&answer.body)
            .unwrap_or_else(|wrong| panic!("no OpenMetrics: {wrong}\n{}", answer.body));
        let silent = families
            .iter()
            .filter(|(name, family)| family.samples.is_empty() && !MAY_BE_EMPTY.contains(&name.as_str()));
        let silent: Vec<_> = silent.map(|(name, _)| name.clone()).collect();
        let unmeasured: Vec<_> =
            METHODS.iter().filter(|(family, method)| calls(&families, family, method) < 1.0).collect();
        match silent.is_empty() && unmeasured.is_empty() {
            true => Ok((answer, families)),
            false => Err(format!("nothing told of {silent:?}, no calls of {unmeasured:?}")),
        }
    };
    // What actors tell of themselves is up to a second old.
    let ((answer, families), _) = eventually(LIMIT, "every metric is told", complete).await;
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(answer.head.to_lowercase().contains(kind), "{}", answer.head);

    for (name, family) in &families {
        assert!(name.starts_with("petald_"), "{name}");
        assert!(
            family.help.ends_with('.') && family.help.contains(' '),
            "{name}: {:?} is no sentence",
            family.help
        );
    }
    let value = |family: &str, label: &str, of: &str| {
        let samples = families[family].samples.iter();
        let mut of_it =
            samples.filter(|(_, labels, _)| label.is_empty() || labels.get(label).is_some_and(|l| l == of));
        of_it.next().unwrap_or_else(|| panic!("{family} of {of}")).2
    };
    assert_eq!(value("petald_visible", "", ""), 1.0);
    assert_eq!(value("petald_visibility", "verdict", "visible"), 1.0);
    assert_eq!(value("petald_records_confirmed", "", ""), value("petald_records", "", ""));
    for block in 0..config.num_blocks {
        assert!(value("petald_block_replicas", "block", &block.to_string()) >= 1.0);
        assert!(value("petald_block_expiry_seconds", "block", &block.to_string()) > 60.0);
    }
    assert!(value("petald_record_expiry_seconds", "", "") > 60.0);
    assert!(value("petald_peers", "program", "p2pd") >= 3.0, "{:?}", families["petald_peers"]);
    assert!(value("petald_process_resident_memory_bytes", "", "") > 1e6);
    assert!(value("petald_process_cpu_seconds", "", "") > 0.0);
    petald.terminate();
    assert_eq!(petald.exit().await.code(), Some(0));
}

#[tokio::test]
async fn what_an_operator_changes_reaches_the_swarm() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b", "c"], &[]).await;
    let config = Config { initial_peers: nodes[0].addresses.clone(), ..Config::default() };
    let home = Home::new(&config);
    let petald = home.run().await;
    ready(&petald).await;
    let before = petald.get("/api/v1/server-info").await.unwrap().json().unwrap();
    assert_eq!((&before["state"], &before["public_name"]), (&json!("online"), &json!(PUBLIC_NAME)));

    let change = json!({ "throughput": 99.5, "state": "joining", "public_name": "renamed" });
    let changed =
        petald.send("PATCH", "/api/v1/server-info", &change.to_string()).await.unwrap().json().unwrap();
    assert!(changed["version"].as_u64() > before["version"].as_u64(), "{changed}");
    assert_eq!(changed["saved"], true, "{changed}");
    let announced = petald.post("/api/v1/announce").await.unwrap().json().unwrap();
    assert_eq!(
        (&announced["confirmed"], &announced["verdict"], &announced["state"]),
        (&json!(true), &json!("confirmed"), &json!("joining")),
        "{announced}"
    );
    assert!(announced["least_replicas"].as_u64() >= Some(2), "{announced}");
    let reader = Reader::client(&nodes[2].addresses).await;
    let servers = reader.servers(&config.dht_prefix, config.num_blocks).await;
    assert_eq!(servers.states(&petald.peer_id, 0..config.num_blocks as usize), ["JOINING"]);

    let wrong = petald.send("PATCH", "/api/v1/server-info", "{\"throughput\": -1, \"x\": 1}").await.unwrap();
    let said: Value = serde_json::from_str(&wrong.body).unwrap();
    assert_eq!((wrong.status, said["errors"].as_array().unwrap().len()), (400, 2), "{said}");

    // What is logged from now on is told at the new level.
    let levels = petald
        .send("PUT", "/api/v1/log-level", "{\"files\": \"petald=debug,petald_actors=debug\"}")
        .await
        .unwrap();
    assert_eq!(levels.json().unwrap()["files"], "petald=debug,petald_actors=debug");
    petald.post("/api/v1/announce").await.unwrap().json().unwrap();
    eventually(LIMIT, "the log tells more", async || {
        let files = std::fs::read_dir(home.data().join("log")).map_err(|error| error.to_string())?;
        let texts = files.filter_map(|file| std::fs::read_to_string(file.ok()?.path()).ok());
        let lines: String = texts.collect();
        if lines.contains(" DEBUG ") { Ok(()) } else { Err("no DEBUG yet".to_owned()) }
    })
    .await;
    let refused = petald.send("PUT", "/api/v1/log-level", "{\"files\": \"loud\"}").await.unwrap();
    assert!(refused.status == 400 && refused.body.contains("is not a level"), "{}", refused.body);
    petald.terminate();
    assert_eq!(petald.exit().await.code(), Some(0));
}
