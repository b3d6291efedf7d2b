//! Calls between two networks.

use std::time::Duration;

use futures::future::join_all;
use hivemind_proto::unary::CallError;
use tokio::time::{Instant, timeout};

use super::{
    super::{ConnectError, Limits, NetworkEvent, Settings},
    node::{ECHO, Node, PATIENCE, name, settings},
};

/// What a failure without any waiting may take, on a machine under load.
const FAST: Duration = Duration::from_secs(2);

#[tokio::test]
async fn two_networks_call_each_other() {
    let (a, b) = (Node::start().await, Node::start().await);
    a.connect(&b).await;
    assert_eq!(a.echo(b.peer()).await.unwrap(), b"hello");
    assert_eq!(b.echo(a.peer()).await.unwrap(), b"hello");
    let error = a.handle.call(b.peer(), &name("Test.rpc_none"), vec![], PATIENCE).await;
    assert_eq!(error, Err(CallError::UnknownHandler));
    let status = b.until("two calls are counted", |status| status.calls.answered == 1).await;
    assert_eq!((status.connected_peers, status.calls.calls_ok), (1, 1));
}

#[tokio::test]
async fn a_dial_that_fails_is_told_fast() {
    let (a, mut b) = (Node::start().await, Node::start().await);
    let (peer, address) = (b.peer(), b.address().await);
    b.kill().await;
    let begun = Instant::now();
    let error = a.handle.connect(peer, vec![address], PATIENCE).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Unreachable(text) if text.contains("/tcp/")), "{error}");
    let error = a.echo(libp2p::PeerId::random()).await.unwrap_err();
    assert_eq!(error, CallError::Unreachable("no address is known".to_owned()));
    let error = a.echo(a.peer()).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable(_)), "{error}");
    assert!(begun.elapsed() < FAST, "{:?}", begun.elapsed());
    assert_eq!(a.status().await.waiting, 0);
}

#[tokio::test]
async fn a_lost_connection_is_dialled_again_at_the_next_call() {
    let (a, mut b) = (Node::start().await, Node::start().await);
    a.connect(&b).await;
    a.until("b is known", |status| status.kad_peers == 1).await;
    let address = b.address().await;
    b.kill().await;
    a.until("the loss is seen", |status| status.connected_peers == 0).await;
    b.revive().await;
    assert_eq!(b.address().await, address, "a port that was bound for 0 is bound again");
    assert_eq!(a.echo(b.peer()).await.unwrap(), b"hello");
}

#[tokio::test]
async fn many_calls_share_one_dial() {
    let (a, b) = (Node::start().await, Node::start().await);
    a.connect(&b).await;
    a.until("b is known", |status| status.kad_peers == 1).await;
    // Both have told all of themselves: what b tells from now on is about c.
    b.until("a is known", |status| status.kad_peers == 1).await;
    let mut events = b.handle.events();
    // The other way round: b has no connection of its own making to c, which knows b.
    let c = Node::start().await;
    c.connect(&b).await;
    b.until("c is known", |status| status.kad_peers == 2).await;
    let calls = join_all((0..200).map(|_| a.echo(c.peer()))).await;
    assert!(calls.iter().all(|answer| answer.as_deref() == Ok(b"hello")));
    let status = c.status().await;
    assert_eq!((status.connected_peers, status.connections), (2, 2));
    assert_eq!(events.recv().await.unwrap(), NetworkEvent::Connected(c.peer()));
}

#[tokio::test]
async fn commands_wait_while_the_network_is_restarted() {
    let (mut a, b) = (Node::start().await, Node::start().await);
    let address = b.address().await;
    a.kill().await;
    let handle = a.handle.clone();
    let peer = b.peer();
    let early = tokio::spawn(async move { handle.connect(peer, vec![address], PATIENCE).await });
    a.revive().await;
    early.await.unwrap().unwrap();
    assert_eq!(a.echo(peer).await.unwrap(), b"hello");
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_whatever_happens() {
    let (mut a, b) = (Node::start().await, Node::start().await);
    let mailbox = b.handle.serve(&[name("Test.rpc_wait")], 4);
    a.connect(&b).await;
    let short = Duration::from_millis(50);
    let error = a.handle.call(b.peer(), &name("Test.rpc_wait"), vec![], short).await;
    assert_eq!(error, Err(CallError::Deadline));
    let mut call = mailbox.recv().await.unwrap();
    timeout(PATIENCE, call.cancelled()).await.expect("the callee sees that nobody waits");
    a.kill().await;
    assert_eq!(a.handle.call(b.peer(), &name(ECHO), vec![], short).await, Err(CallError::Deadline));
    assert_eq!(a.handle.connect(b.peer(), vec![], short).await, Err(ConnectError::Deadline));
}

#[tokio::test]
async fn connections_over_the_limit_are_refused_and_the_others_live() {
    let limits = Limits { established_incoming: 2, ..Limits::default() };
    let b = Node::start_with(Settings { limits, ..settings() }).await;
    let callers = [Node::start().await, Node::start().await];
    for caller in &callers {
        caller.connect(&b).await;
    }
    b.until("two are connected", |status| status.connected_peers == 2).await;
    let third = Node::start().await;
    let error = third.handle.connect(b.peer(), vec![b.address().await], PATIENCE).await;
    // The refusal may come after the handshake, so the connection may be seen for a moment.
    if error.is_ok() {
        third.until("it is refused", |status| status.connected_peers == 0).await;
    }
    for caller in &callers {
        assert_eq!(caller.echo(b.peer()).await.unwrap(), b"hello");
    }
    assert_eq!(b.status().await.connected_peers, 2);
}

#[tokio::test]
async fn events_and_status_tell_what_is() {
    let (a, b) = (Node::start().await, Node::start().await);
    let mut events = a.handle.events();
    a.connect(&b).await;
    assert_eq!(events.recv().await.unwrap(), NetworkEvent::Connected(b.peer()));
    let identified = NetworkEvent::Identified { peer: b.peer(), agent: "petald/test".to_owned(), kad: true };
    assert_eq!(events.recv().await.unwrap(), identified);
    let status = a.status().await;
    assert_eq!(status.peer_id, a.peer().to_string());
    assert_eq!(status.announced, status.listening);
    assert_eq!((status.connections, status.peers.len(), status.kad_peers), (1, 1, 1));
    assert_eq!(status.peers[0].peer_id, b.peer().to_string());
    assert_eq!(status.peers[0].agent.as_deref(), Some("petald/test"));
    drop(b);
    let gone = timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
    assert!(matches!(gone, NetworkEvent::Disconnected(_)), "{gone:?}");
}
