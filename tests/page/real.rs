//! Three nodes, one of which dies: on the page of another, in its history, and told by its alert.

use std::time::Duration;

use serde_json::Value;

use crate::{
    browser::Driver,
    support::{
        deadline::eventually,
        petald::{Config, Home},
    },
};

/// From a death to its alert: a crawl every 5 s, calls that time out, and the time that it must last.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) async fn a_server_dies(driver: &Driver) {
    let first_home = Home::new(&Config { blocks: "0:4".into(), ..Config::default() });
    let first = first_home.run().await;
    let joins = |blocks: &str| Config {
        initial_peers: first.addresses.clone(),
        blocks: blocks.into(),
        ..Config::default()
    };
    let victim_home = Home::new(&joins("4:8"));
    let victim = victim_home.run().await;
    let home = Home::new(&joins("2:6"));
    let told = home.folder().join("told");
    let command = format!("tee,{}", told.display());
    let node = home
        .run_with(&[
            ("monitor.crawl", "always"),
            ("monitor.interval", "5s"),
            ("alerts.gone.peer", &victim.peer_id),
            ("alerts.gone.after", "5s"),
            ("alerts.gone.command", &command),
        ])
        .await;
    let address = std::fs::read_to_string(home.data().join("admin.addr")).unwrap();
    let browser = driver.browser().await;
    browser.client.goto(&format!("http://{}/", address.trim())).await.unwrap();
    let row = |peer: &str, state: &str| {
        format!(
            "return [...document.querySelectorAll('.servers tbody tr')].some(r => r.className === '{state}' && r.querySelector('code')?.title === '{peer}')"
        )
    };
    for peer in [&first.peer_id, &victim.peer_id, &node.peer_id] {
        browser.until("its row", &row(peer, "online")).await;
    }
    browser.picture("real-swarm").await;
    // What lasts is known before it ends.
    let known = async || {
        let account = node.get(&format!("/api/v1/history/{}", victim.peer_id)).await?.json()?;
        match account["seconds"]["1h"]["online"].as_u64() {
            Some(5..) => Ok(()),
            _ => Err(account.to_string()),
        }
    };
    eventually(LIMIT, "it is known to be online", known).await;

    let peer = victim.peer_id.clone();
    victim.kill().await;
    browser.until("it is not reachable", &row(&peer, "unreachable")).await;
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.close().await;
    let (notice, _) = eventually(LIMIT, "the alert is told", async || {
        let text = std::fs::read(&told).map_err(|error| error.to_string())?;
        serde_json::from_slice::<Value>(&text).map_err(|error| error.to_string())
    })
    .await;
    assert_eq!((&notice["alert"], &notice["peer_id"]), (&"gone".into(), &peer.clone().into()));
    assert_eq!((&notice["from"], &notice["to"]), (&"online".into(), &"unreachable".into()));
    let account = node.get(&format!("/api/v1/history/{peer}")).await.unwrap().json().unwrap();
    let states: Vec<_> =
        account["history"].as_array().unwrap().iter().map(|moment| &moment["state"]).collect();
    assert_eq!(states, ["online", "unreachable"]);
    // Metrics are as old as the last probe.
    eventually(LIMIT, "it is counted", async || {
        let metrics = node.get("/metrics").await?.body;
        let told = metrics.lines().any(|line| line == r#"petald_alerts_total{outcome="told"} 1"#);
        if told { Ok(()) } else { Err(metrics) }
    })
    .await;
}
