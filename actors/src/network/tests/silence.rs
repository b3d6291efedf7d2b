//! A link that is cut without a word: nothing comes any more, and nobody says that it is closed.

use std::time::Duration;

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport,
    core::upgrade::Version,
    identity::Keypair,
    multiaddr::Protocol,
    noise,
    swarm::{self, SwarmEvent, dummy},
    tcp, yamux,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use super::{
    super::Limits,
    node::{Node, settings},
};

/// Carries one connection to `target` until it is cut: from then on it keeps both ends open, and moves nothing.
async fn cable(target: Multiaddr) -> (Multiaddr, oneshot::Sender<()>) {
    let mut parts = target.iter();
    let (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) = (parts.next(), parts.next()) else {
        panic!("not IPv4 and TCP: {target}")
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = format!("/ip4/127.0.0.1/tcp/{}", listener.local_addr().unwrap().port()).parse().unwrap();
    let (cut, is_cut) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect((ip, port)).await.unwrap();
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            _ = is_cut => std::future::pending().await,
        }
    });
    (here, cut)
}

#[tokio::test]
async fn a_connection_that_has_fallen_silent_is_closed() {
    let limits = Limits {
        ping_interval: Duration::from_millis(100),
        ping_deadline: Duration::from_millis(500),
        ..Limits::default()
    };
    let (near, far) =
        (Node::start_with(super::super::Settings { limits, ..settings() }).await, Node::start().await);
    let (address, cut) = cable(far.address().await).await;
    near.handle.connect(far.peer(), vec![address], super::node::PATIENCE).await.unwrap();
    assert_eq!(near.echo(far.peer()).await.unwrap(), b"hello");
    // Pings alone do not end it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(near.status().await.connected_peers, 1);
    cut.send(()).unwrap();
    near.until("the dead connection is closed", |status| status.connected_peers == 0).await;
    // And the peer is reached again, where it said that it is.
    assert_eq!(near.echo(far.peer()).await.unwrap(), b"hello");
}

/// A peer that serves nothing, not even pings.
async fn mute() -> (PeerId, Multiaddr) {
    let key = Keypair::generate_ed25519();
    let transport = tcp::tokio::Transport::default()
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(&key).unwrap())
        .multiplex(yamux::Config::default())
        .boxed();
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(super::node::PATIENCE);
    let mut swarm = Swarm::new(transport, dummy::Behaviour, key.public().to_peer_id(), config);
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            break address;
        }
    };
    let peer = *swarm.local_peer_id();
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    (peer, address)
}

#[tokio::test]
async fn a_peer_without_pings_keeps_its_connection() {
    let limits = Limits {
        ping_interval: Duration::from_millis(50),
        ping_deadline: Duration::from_secs(5),
        ..Limits::default()
    };
    let node = Node::start_with(super::super::Settings { limits, ..settings() }).await;
    let (peer, address) = mute().await;
    node.handle.connect(peer, vec![address], super::node::PATIENCE).await.unwrap();
    // Some twenty pings, all of them refused: the second refusal in a row is told.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(node.status().await.connected_peers, 1);
}
