//! What a healthy node says of itself while nothing happens: nothing.

use std::time::Duration;

use crate::support::{
    deadline::eventually,
    petald::{Config, Home},
    report, shared,
    swarm::Swarm,
};

const VISIBLE_LIMIT: Duration = Duration::from_secs(30);
/// Everything that is done each minute is done each second here.
const WATCHED: Duration = Duration::from_secs(30);
/// 200 lines a day, as many for each minute of it as for each second here.
const MOST_LINES: usize = 200 * 30 / (24 * 60);

#[tokio::test]
async fn a_quiet_day_is_under_two_hundred_lines() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b", "c"], &[]).await;
    let initial_peers = nodes.iter().flat_map(|node| node.addresses.clone()).collect();
    let config = Config { initial_peers, period: "1s".into(), ttl: "10s".into(), ..Config::default() };
    let home = Home::new(&config);
    home.edit(&[("[admin]", "[observer]\ninterval = \"1s\"\n[log]\nrotation = \"never\"\n[admin]")]);
    let petald = home.run().await;
    eventually(VISIBLE_LIMIT, "it is visible", async || match petald.get("/readyz").await?.status {
        200 => Ok(()),
        status => Err(status.to_string()),
    })
    .await;
    // What a start brings may end first.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let logged = || std::fs::read_to_string(home.log_file()).unwrap();
    let before = logged().lines().count();
    tokio::time::sleep(WATCHED).await;
    let after = logged();
    let news: Vec<_> = after.lines().skip(before).collect();
    report(&format!("{before} lines at the start, then {} in {} periods", news.len(), WATCHED.as_secs()));
    assert!(news.len() <= MOST_LINES, "{news:#?}");
    assert_eq!(petald.get("/readyz").await.unwrap().status, 200);
}
