//! `/readyz` tells what a stranger sees among real peers, and which layer fails.

use std::{net::TcpListener, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    deadline::eventually,
    petald::{Config, Home, Petald},
    report, shared,
    swarm::Swarm,
};

/// A look takes some tenths of a second, and the first begins two seconds after the start.
const SEEN_LIMIT: Duration = Duration::from_secs(15);
/// Peers that are gone cost the time-outs of those who ask for them; new ones have to be joined.
const CHANGE_LIMIT: Duration = Duration::from_secs(60);
/// Beyond what the announcer would outlive.
const TWO_DAYS: f64 = 48.0 * 3600.0;

const OFTEN: (&str, &str) = ("observer.interval", "1s");

/// What `/readyz?verbose` says, whatever its status, and the status.
pub(crate) async fn word(petald: &Petald) -> Result<(u16, Value), String> {
    let answer = petald.get("/readyz?verbose").await?;
    let word = serde_json::from_str(&answer.body).map_err(|e| format!("{e} in {}", answer.body))?;
    Ok((answer.status, word))
}

/// Waits for this verdict and layer.
async fn until(petald: &Petald, limit: Duration, verdict: &str, layer: Value) -> (Value, Duration) {
    let status = if verdict == "visible" { 200 } else { 503 };
    eventually(limit, &format!("{verdict}, {layer}"), async || match word(petald).await? {
        (at, word) if word["verdict"] == verdict && word["layer"] == layer && !word["look"].is_null() => {
            assert_eq!(at, status, "{word}");
            assert_eq!(word["ready"], status == 200, "{word}");
            Ok(word)
        }
        (_, word) => Err(word.to_string()),
    })
    .await
}

fn each<'a>(word: &'a Value, field: &'a str) -> Vec<&'a Value> {
    word["look"]["blocks"].as_array().unwrap().iter().map(|block| &block[field]).collect()
}

#[tokio::test]
async fn it_is_seen_lost_and_seen_again() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b", "c"], &[]).await;
    let config = Config { initial_peers: nodes[0].addresses.clone(), ..Config::default() };
    let home = Home::new(&config);
    let petald = home.run_with(&[OFTEN]).await;

    let (word, took) = until(&petald, SEEN_LIMIT, "visible", Value::Null).await;
    report(&format!("listening to visible at /readyz: {took:.2?}; one look: {} s", word["look"]["seconds"]));
    assert_eq!(word["look"]["through"], "others", "{word}");
    assert_eq!(each(&word, "state"), vec!["online"; 8], "{word}");
    assert_eq!(each(&word, "replicas"), vec![&json!(3); 8], "{word}");
    for left in each(&word, "seconds_to_live") {
        assert!((100.0..=180.0).contains(&left.as_f64().unwrap()), "{word}");
    }
    assert_eq!(word["look"]["listed"], true, "{word}");
    assert!(word["look"]["answer_seconds"].as_f64().unwrap() < 5.0, "{word}");
    assert!(word["look"]["clock_offset_seconds"].as_f64().unwrap().abs() < 1.0, "{word}");

    for node in &nodes {
        swarm.stop(&node.name).await;
    }
    let (word, took) = until(&petald, CHANGE_LIMIT, "unknown", json!("bootstraps")).await;
    report(&format!("all peers stopped to told: {took:.2?}"));
    assert_eq!(word["look"]["through"], "nobody", "{word}");

    // Others come, through us; the initial peer stays away.
    swarm.start(&["d", "e"], &petald.addresses).await;
    let (word, took) = until(&petald, CHANGE_LIMIT, "visible", Value::Null).await;
    report(&format!("new peers to visible again: {took:.2?}"));
    let doors = word["look"]["doors"].as_array().unwrap();
    let dead = doors.iter().find(|door| door["initial"] == true).unwrap();
    assert!(dead["error"].as_str().unwrap().starts_with("unreachable"), "{word}");
}

#[tokio::test]
async fn records_that_cannot_be_stored_are_named() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b", "c"], &[]).await;
    let config = Config { initial_peers: nodes[0].addresses.clone(), ..Config::default() };
    // A plain value in the place of the dictionary, which outlives whatever we store.
    for block in [3, 4] {
        assert!(swarm.store("a", &format!("{}.{block}", config.dht_prefix), json!("mine"), TWO_DAYS).await);
    }
    let home = Home::new(&config);
    let petald = home.run_with(&[OFTEN]).await;
    let (word, _) = until(&petald, SEEN_LIMIT, "partly_visible", json!("record")).await;
    assert!(word["cause"].as_str().unwrap().starts_with("blocks 3:5: "), "{word}");
    let found = [true, true, true, false, false, true, true, true];
    assert_eq!(each(&word, "found"), found.map(|found| json!(found)).iter().collect::<Vec<_>>(), "{word}");
}

#[tokio::test]
async fn a_wrong_announced_address_is_our_address() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b", "c"], &[]).await;
    let config = Config { initial_peers: nodes[0].addresses.clone(), ..Config::default() };
    let home = Home::new(&config);
    // A port that was free a moment ago, and that nobody listens on.
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dead = format!("/ip4/127.0.0.1/tcp/{dead}");
    let petald = home.run_with(&[OFTEN, ("network.announce", &dead)]).await;
    let (word, _) = until(&petald, SEEN_LIMIT, "invisible", json!("our_address")).await;
    // The cause names where a stranger looked for us.
    assert!(word["cause"].as_str().unwrap().contains(&dead), "{word}");
}

#[tokio::test]
async fn joining_is_visible() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b"], &[]).await;
    let config = Config { initial_peers: nodes[0].addresses.clone(), ..Config::default() };
    let home = Home::new(&config);
    let petald = home.run_with(&[OFTEN, ("server.state", "joining")]).await;
    let (word, _) = until(&petald, SEEN_LIMIT, "visible", Value::Null).await;
    assert_eq!(
        (&word["look"]["claimed"], each(&word, "state")),
        (&json!("joining"), vec![&json!("joining"); 8])
    );
}

#[tokio::test]
async fn a_seed_without_others_says_that_it_saw_only_itself() {
    let _machine = shared().await;
    let home = Home::new(&Config::default());
    let petald = home.run_with(&[OFTEN]).await;
    let (word, _) = until(&petald, SEEN_LIMIT, "visible", Value::Null).await;
    assert_eq!(word["look"]["through"], "ourselves", "{word}");
}
