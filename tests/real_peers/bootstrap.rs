//! petald with `config/bootstrap.toml`: the root of a swarm of hivemind nodes, which announces nothing.

use std::time::Duration;

use serde_json::json;

use crate::support::{deadline::eventually, petald::Home, reader::Reader, shared, swarm::Swarm};

/// Longer than the test, in seconds.
const TTL: f64 = 600.0;
/// A look from outside begins two seconds after the start.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Fewer than the configured connections need.
const SOFT_LIMIT: u32 = 512;
const NEEDED: u64 = 3584;

/// The limits of open files of a process, soft and hard.
fn open_files(process: i32) -> (u64, u64) {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let mut words = line.split_whitespace().map(|word| word.parse().unwrap_or(u64::MAX));
    (words.next().unwrap(), words.next().unwrap())
}

#[tokio::test]
async fn hivemind_nodes_live_on_a_bootstrap_that_announces_nothing() {
    let _machine = shared().await;
    let home = Home::of_the_house("bootstrap.toml");
    let petald = home.spawn_limited(SOFT_LIMIT).listening().await;

    let (soft, hard) = open_files(petald.process_id());
    assert!(soft >= NEEDED.min(hard), "{soft} of {hard} file descriptors");

    // The first node stores, and leaves; whoever comes then reads from petald alone.
    let swarm = Swarm::new().await;
    swarm.start(&["first", "second"], &petald.addresses).await;
    assert!(swarm.routing_table("first").await.contains(&petald.peer_id));
    assert!(swarm.store("first", "plain", json!("value"), TTL).await);
    assert!(swarm.store_entry("second", "dictionary", &json!("subkey"), json!(1), TTL).await);
    assert_eq!(swarm.get("second", "plain").await["value"], "value");
    swarm.stop("first").await;
    swarm.stop("second").await;
    swarm.start(&["third"], &petald.addresses).await;
    assert_eq!(swarm.get("third", "plain").await["value"], "value");
    let found = swarm.get("third", "dictionary").await;
    assert_eq!(found["value"]["dict"][0][0], "subkey", "{found}");

    // A server announces itself there, and is all that there is.
    let server = Reader::server(&petald.addresses).await;
    let declared = server.declare("model", 4, 0..4, "ONLINE").await;
    let reader = Reader::client(&petald.addresses).await;
    let models = reader.models().await;
    assert_eq!(models.keys().collect::<Vec<_>>(), ["model"], "petald adds none");
    for block in reader.servers("model", 4).await.blocks {
        assert_eq!(block.keys().collect::<Vec<_>>(), [&declared]);
    }

    let node = petald.node().await.unwrap();
    let actors = node["actors"].as_array().unwrap();
    let names: Vec<&str> = actors.iter().filter_map(|actor| actor["name"].as_str()).collect();
    for idle in ["announcer", "pinger", "rpc_info", "backend"] {
        assert!(!names.contains(&idle), "{names:?}");
    }
    assert!(names.contains(&"reachability") && names.contains(&"observer"), "{names:?}");

    // It is ready: a stranger finds it and is answered.
    eventually(READY_LIMIT, "the bootstrap is ready", async || {
        let answer = petald.get("/readyz?verbose").await?;
        match answer.status {
            200 => Ok(()),
            _ => Err(answer.body),
        }
    })
    .await;
    let seen = petald.node().await.unwrap()["reports"]["observer"]["cause"].take();
    let seen = seen.as_str().unwrap();
    assert!(seen.starts_with("found and answered as a member of the DHT"), "{seen}");
}
