//! Two nodes with one key, by a copied data folder or a backup that was restored twice: the second one says so before it
//! listens, and the first one when a stranger who asks for it meets the other.

use std::time::Duration;

use crate::support::{
    deadline::eventually,
    petald::{Config, Home, Petald},
    shared,
    swarm::Swarm,
};

const NOTICED_LIMIT: Duration = Duration::from_secs(60);

async fn observer(petald: &Petald) -> Result<serde_json::Value, String> {
    let node = petald.node().await?;
    match &node["reports"]["observer"] {
        serde_json::Value::Null => Err(format!("no report of the observer yet: {node}")),
        report => Ok(report.clone()),
    }
}

#[tokio::test]
async fn both_nodes_notice() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b"], &[]).await;
    let config = Config { initial_peers: nodes[0].addresses.clone(), ..Config::default() };
    let (home, copy) = (Home::new(&config), Home::new(&config));
    let often = [("observer.interval", "2s")];

    // Alone, and started again: what others still know of the first life is no double.
    home.run().await.kill().await;
    let first = home.run_with(&often).await;
    eventually(NOTICED_LIMIT, "the first node is visible", async || {
        let status = observer(&first).await?;
        assert!(status["double_at_start"].is_null(), "{status:#}");
        match status["verdict"] == "visible" {
            true => Ok(()),
            false => Err(format!("{status:#}")),
        }
    })
    .await;

    let backup = home.config().with_file_name("backup");
    for (what, place) in [("export", &home), ("import", &copy)] {
        let config = place.config();
        let line = ["identity", what, backup.to_str().unwrap(), "--config", config.to_str().unwrap()];
        let output = crate::support::petald::petald().args(line).output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let second = copy.run_with(&often).await;
    assert_eq!(second.peer_id, first.peer_id);
    let (status, _) =
        eventually(NOTICED_LIMIT, "the observer reports", async || observer(&second).await).await;
    let first_address = first.addresses[0].split("/p2p/").next().unwrap();
    assert!(
        status["double_at_start"].as_str().is_some_and(|address| address.starts_with(first_address)),
        "the second node knows of the first one at {first_address}: {status:#}"
    );
    let told = second.output();
    assert!(
        told.contains("another process answers under our identity") && told.contains(first_address),
        "{told}"
    );

    // Peers keep the address of the latest connection: strangers who look for the first node meet the second.
    let second_address = second.addresses[0].split("/p2p/").next().unwrap();
    eventually(NOTICED_LIMIT, "the first node notices the second", async || {
        let status = observer(&first).await?;
        let cause = status["cause"].as_str().unwrap_or_default();
        match status["layer"] == "our_identity" && cause.contains(second_address) {
            true => Ok(()),
            false => Err(format!("{status:#}")),
        }
    })
    .await;
}
