//! Peers known by nothing but their id.

use hivemind_proto::unary::CallError;
use tokio::time::Instant;

use super::{
    super::{Limits, NetworkStatus, Settings},
    node::{Node, settings},
};

#[tokio::test]
async fn a_peer_is_found_through_a_third() {
    let (a, b, hub) = (Node::start().await, Node::start().await, Node::start().await);
    b.connect(&hub).await;
    hub.until("the hub knows b", |status| status.kad_peers == 1).await;
    a.connect(&hub).await;
    // At once, while identify still runs.
    assert_eq!(a.echo(b.peer()).await.unwrap(), b"hello");
    assert_eq!(a.status().await.connecting, 0);
}

#[tokio::test]
async fn a_peer_that_moved_is_found_again() {
    let (a, mut b, hub) = (Node::start().await, Node::start().await, Node::start().await);
    b.connect(&hub).await;
    a.connect(&hub).await;
    a.connect(&b).await;
    a.until("a knows both", |status| status.kad_peers == 2).await;
    hub.until("the hub knows both", |status| status.kad_peers == 2).await;
    b.kill().await;
    a.until("the loss is seen", |status| status.connected_peers == 1).await;
    // Same identity, another port.
    let moved = Node::start_with(b.settings.clone()).await;
    moved.connect(&hub).await;
    let address = moved.address().await;
    // Until then the hub sends everybody where the peer was.
    hub.until_told(&moved).await;
    assert_eq!(a.echo(moved.peer()).await.unwrap(), b"hello", "at {address}");
}

#[tokio::test]
async fn a_peer_that_nobody_knows_is_unreachable() {
    let (a, hub) = (Node::start().await, Node::start().await);
    a.connect(&hub).await;
    let begun = Instant::now();
    let calls = (0..50).map(|_| a.echo(libp2p::PeerId::random()));
    for outcome in futures::future::join_all(calls).await {
        assert!(matches!(outcome, Err(CallError::Unreachable(_))), "{outcome:?}");
    }
    assert!(begun.elapsed() < super::node::PATIENCE / 2, "{:?}", begun.elapsed());
    let status = a.status().await;
    assert_eq!((status.connecting, status.waiting, status.lookups), (0, 0, 0));
}

#[tokio::test]
async fn a_peer_that_is_gone_leaves_the_table() {
    let (a, mut b) = (Node::start().await, Node::start().await);
    a.connect(&b).await;
    a.until("a knows b", |status| status.kad_peers == 1).await;
    b.kill().await;
    a.until("the loss is seen", |status| status.connected_peers == 0).await;
    assert!(matches!(a.echo(b.peer()).await, Err(CallError::Unreachable(_))));
    assert_eq!(a.status().await.kad_peers, 0);
}

#[tokio::test]
async fn too_many_who_wait_are_told_busy() {
    let limits = Limits { waiting: 0, ..Limits::default() };
    let a = Node::start_with(Settings { limits, ..settings() }).await;
    assert_eq!(a.echo(libp2p::PeerId::random()).await, Err(CallError::Busy));
}

#[tokio::test]
async fn addresses_are_those_that_were_dialled_and_those_that_were_told() {
    let (a, b) = (Node::start().await, Node::start().await);
    a.connect(&b).await;
    let identified = |status: &NetworkStatus| status.peers.iter().any(|peer| peer.agent.is_some());
    a.until("b is identified", identified).await;
    b.until("a is identified", identified).await;
    // a has dialled b; b knows of a what a told it.
    let seen = a.handle.addresses(vec![b.peer(), libp2p::PeerId::random()]).await;
    assert_eq!(seen, [(b.peer(), vec![b.address().await])].into());
    let seen = b.handle.addresses(vec![a.peer()]).await;
    assert_eq!(seen, [(a.peer(), vec![a.address().await])].into());
}
