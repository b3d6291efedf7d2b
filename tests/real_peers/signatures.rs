//! Records that an owner has signed, with hivemind's own validator on the other side.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    deadline::eventually,
    petald::{Config, Home, Petald},
    shared,
    swarm::Swarm,
};

/// Longer than the test, in seconds; what is forged would outlive it.
const TTL: f64 = 600.0;
const FORGED_TTL: f64 = 1200.0;
/// Until the next probe has told.
const COUNTED_LIMIT: Duration = Duration::from_secs(15);

/// How many rows petald refused because of their signatures.
async fn refused(petald: &Petald) -> Result<u64, String> {
    let report = petald.node().await?["reports"]["dht"].take();
    report["rows_refused"]["bad_signature"].as_u64().ok_or_else(|| format!("not told: {report}"))
}

/// The value of the entry under `subkey`.
fn entry(found: &Value, subkey: &str) -> Value {
    let entries = found["value"]["dict"].as_array();
    let entry = entries.into_iter().flatten().find(|entry| entry[0] == subkey);
    entry.map_or(Value::Null, |entry| entry[1]["value"].clone())
}

#[tokio::test]
async fn what_its_owner_signed_is_kept_and_handed_on_and_nothing_else() {
    let _machine = shared().await;
    let home = Home::new(&Config::default());
    let petald = home.run_with(&[("dht.signatures", "true")]).await;
    let swarm = Swarm::new().await;

    let owner = swarm.start_owner("owner", &petald.addresses).await;
    let subkey = format!("metrics{owner}");
    let value = json!({"tuple": [7, 0.25, "text"]});
    assert!(swarm.store_entry("owner", "training", &json!(subkey), value.clone(), TTL).await);
    assert!(swarm.store_entry("owner", "training", &json!("open"), json!(1), TTL).await);
    swarm.stop("owner").await;

    // A node without the validator stores what nobody signed. Its own copy goes with it.
    swarm.start(&["forger"], &petald.addresses).await;
    swarm.store_entry("forger", "training", &json!(subkey), json!("forged"), FORGED_TTL).await;
    eventually(COUNTED_LIMIT, "the forgery is counted", async || match refused(&petald).await? {
        0 => Err("not yet".to_owned()),
        _ => Ok(()),
    })
    .await;
    swarm.stop("forger").await;

    // The reader believes only what it has verified itself, after petald has held it and handed it on.
    swarm.start_owner("reader", &petald.addresses).await;
    let found = swarm.get("reader", "training").await;
    assert_eq!(entry(&found, &subkey), value, "{found}");
    assert_eq!(entry(&found, "open"), json!(1), "{found}");
}

#[tokio::test]
async fn without_the_validator_anything_is_kept_as_hivemind_keeps_it() {
    let _machine = shared().await;
    let home = Home::new(&Config::default());
    let petald = home.run().await;
    let swarm = Swarm::new().await;
    swarm.start(&["careless"], &petald.addresses).await;
    let subkey = "metrics[owner:ssh-rsa nobody]";
    assert!(swarm.store_entry("careless", "training", &json!(subkey), json!("anything"), TTL).await);
    swarm.stop("careless").await;
    swarm.start(&["reader"], &petald.addresses).await;
    let found = swarm.get("reader", "training").await;
    assert_eq!(entry(&found, subkey), json!("anything"), "{found}");
}
