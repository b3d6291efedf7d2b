//! Connections over which nothing goes.

use std::time::Duration;

use super::{
    super::{Limits, NetworkStatus},
    node::{Node, settings},
};

#[tokio::test]
async fn a_stranger_is_kept_for_a_shorter_time_than_who_called() {
    let limits = Limits { stranger_idle: Duration::from_millis(400), ..Limits::default() };
    let node = Node::start_with(super::super::Settings { limits, ..settings() }).await;
    let (stranger, caller) = (Node::start().await, Node::start().await);
    for peer in [&stranger, &caller] {
        peer.connect(&node).await;
    }
    caller.echo(node.peer()).await.unwrap();
    node.until("both are connected", |status| status.connected_peers == 2).await;
    // They find each other, too.
    let (here, knows) = (node.peer().to_string(), |status: &NetworkStatus, peer: &str| {
        status.peers.iter().any(|connected| connected.peer_id == peer)
    });
    stranger.until("the stranger is left", |status| !knows(status, &here)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(knows(&caller.status().await, &here));
    // It has lost nothing: a call connects again.
    assert_eq!(stranger.echo(node.peer()).await.unwrap(), b"hello");
}
