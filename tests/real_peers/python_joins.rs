//! A Python node whose only initial peer is petald: it is called back, stores through us, and leaves.

use serde_json::{Value, json};

use crate::support::{
    petald::{Config, Home},
    shared,
    swarm::Swarm,
};

/// Longer than the test, in seconds.
const TTL: f64 = 120.0;

/// One subkey of each kind that Python peers use, as `json_lines.py` writes them.
fn subkeys() -> [Value; 4] {
    [json!("text"), json!({"bytes": "00ff"}), json!(7), json!({"tuple": ["expert", 3]})]
}

#[tokio::test]
async fn what_it_stored_through_petald_outlives_it() {
    let _machine = shared().await;
    let home = Home::new(&Config::default());
    let petald = home.run().await;
    let swarm = Swarm::new().await;

    // With its defaults a node refuses to start unless we call back and our clocks agree.
    swarm.start(&["first"], &petald.addresses).await;
    let node_id = swarm.ping("first", &petald.peer_id).await.expect("a validated ping");
    assert_eq!(node_id.as_str().map(str::len), Some(40), "a DHT id of 20 bytes: {node_id}");
    assert!(swarm.routing_table("first").await.contains(&petald.peer_id));

    let plain = json!({"tuple": [1, 2.5, null, {"bytes": "00"}, [true]]});
    assert!(swarm.store("first", "plain", plain.clone(), TTL).await);
    for (number, subkey) in subkeys().iter().enumerate() {
        assert!(swarm.store_entry("first", "dictionary", subkey, json!(number), TTL).await, "{subkey}");
    }
    swarm.stop("first").await;

    swarm.start(&["second"], &petald.addresses).await;
    let found = swarm.get("second", "plain").await;
    assert_eq!(found["value"], plain);
    let ttl = found["ttl"].as_f64().unwrap();
    assert!((TTL - 60.0..=TTL).contains(&ttl), "the expiration is handed on as it was: {ttl}");

    let found = swarm.get("second", "dictionary").await;
    let entries = found["value"]["dict"].as_array().unwrap_or_else(|| panic!("no dictionary: {found}"));
    for (number, subkey) in subkeys().iter().enumerate() {
        let entry = entries
            .iter()
            .find(|entry| entry[0] == *subkey)
            .unwrap_or_else(|| panic!("no {subkey}: {found}"));
        assert_eq!(entry[1]["value"], json!(number), "{subkey}");
    }
    assert_eq!(entries.len(), subkeys().len(), "{found}");
    assert!(swarm.get("second", "never stored").await.is_null());
}
