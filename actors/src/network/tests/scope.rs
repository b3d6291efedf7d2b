//! Without private addresses, nothing private is announced, handed on or dialled.

use super::{
    super::{ConnectError, Settings},
    node::{Node, PATIENCE, settings},
};

#[tokio::test]
async fn private_addresses_stay_out_of_everything() {
    let announce =
        vec!["/ip4/10.1.2.3/tcp/31337".parse().unwrap(), "/ip4/8.8.4.4/tcp/31337".parse().unwrap()];
    let public = Settings { private_addresses: false, announce, ..settings() };
    let a = Node::start_with(public).await;
    let b = Node::start().await;
    assert_eq!(a.status().await.announced, ["/ip4/8.8.4.4/tcp/31337"]);
    let error = a.handle.connect(b.peer(), vec![b.address().await], PATIENCE).await;
    assert!(matches!(error, Err(ConnectError::Unreachable(_))), "{error:?}");
    // Others may come, but their private addresses do not enter the table.
    b.connect(&a).await;
    let status =
        a.until("b is identified", |status| status.peers.iter().any(|peer| peer.agent.is_some())).await;
    assert!(status.peers[0].kad);
    assert_eq!(status.kad_peers, 0);
    let seen = b.until("a is identified", |status| status.kad_peers == 1).await;
    assert_eq!(seen.connected_peers, 1);
}

#[tokio::test]
async fn a_node_with_nothing_to_announce_announces_nothing() {
    let a = Node::start_with(Settings { private_addresses: false, ..settings() }).await;
    let b = Node::start().await;
    b.connect(&a).await;
    assert!(a.status().await.announced.is_empty());
    let status =
        b.until("a is identified", |status| status.peers.iter().any(|peer| peer.agent.is_some())).await;
    assert!(!status.peers[0].kad, "it cannot be found, so it does not serve Kademlia");
    assert_eq!(status.kad_peers, 0);
}

#[tokio::test]
async fn an_unspecified_listen_address_is_announced_as_what_it_stands_for() {
    let listen = vec!["/ip4/0.0.0.0/tcp/0".parse().unwrap()];
    let a = Node::start_with(Settings { listen, ..settings() }).await;
    let status = a.until("it listens on loopback", |status| !status.announced.is_empty()).await;
    assert!(status.announced.iter().any(|address| address.starts_with("/ip4/127.0.0.1/tcp/")));
    assert!(!status.announced.iter().any(|address| address.contains("/0.0.0.0/")));
}
