//! libp2p's Kademlia, as p2pd asks it: who is where, and who provides a model.

use std::time::Duration;

use hivemind_proto::records::{DhtPrefix, provider_cid};
use libp2p::{Multiaddr, PeerId};

use crate::support::{
    deadline::eventually,
    p2pd::P2pd,
    petald::{Config, Home},
    shared,
};

const FOUND_LIMIT: Duration = Duration::from_secs(30);

/// An address with its `/p2p/` part, taken apart.
fn split(address: &str) -> (PeerId, Multiaddr) {
    let mut address: Multiaddr = address.parse().unwrap();
    match address.pop() {
        Some(libp2p::multiaddr::Protocol::P2p(peer)) => (peer, address),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2pd_finds_petald_and_who_is_connected_to_it() {
    let _machine = shared().await;
    let (asker, client, hub) = (P2pd::start().await, P2pd::start_client().await, P2pd::start().await);
    let hub_address: Vec<String> =
        hub.addresses.iter().map(|address| format!("{address}/p2p/{}", hub.peer_id)).collect();
    let home = Home::new(&Config { initial_peers: hub_address, ..Config::default() });
    let petald = home.run().await;
    let (peer, address) = split(&petald.addresses[0]);

    // Over the hub, which knows petald because petald has come to it.
    asker.connect(hub.peer_id, &hub.addresses).await.unwrap();
    let found = eventually(FOUND_LIMIT, "petald is found by FIND_PEER", async || asker.find_peer(peer).await);
    assert_eq!(found.await.0, std::slice::from_ref(&address));
    let prefix: DhtPrefix = Config::default().dht_prefix.parse().unwrap();
    let found = eventually(FOUND_LIMIT, "petald is found by FIND_PROVIDERS", async || {
        let providers = asker.find_providers(provider_cid(&prefix)).await?;
        providers.into_iter().find(|(provider, _)| *provider == peer).ok_or("not among them".to_owned())
    });
    assert_eq!(found.await.0.1, std::slice::from_ref(&address));

    // A client of Kademlia is in nobody's table: petald tells of it because it is connected.
    client.connect(peer, std::slice::from_ref(&address)).await.unwrap();
    let seeker = P2pd::start().await;
    seeker.connect(peer, std::slice::from_ref(&address)).await.unwrap();
    let found = eventually(FOUND_LIMIT, "a client is found through petald", async || {
        seeker.find_peer(client.peer_id).await
    });
    let found = found.await.0;
    assert!(client.addresses.iter().all(|address| found.contains(address)), "{found:?}");
}
