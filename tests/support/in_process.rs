//! petald's network actor in the test's own process, so that the handlers behind it are the test's.

use std::time::Duration;

use actix::{Actor, System};
use hivemind_proto::{bare_name::HandlerName, unary};
use libp2p::{Multiaddr, PeerId, identity::Keypair};
use petald_actors::{
    network::{Handle, Limits, Network, ReachSettings, Settings},
    supervisor::Birth,
};
use tokio::sync::oneshot;

use super::deadline::within;

/// Commands under way at once: more than any test makes calls.
const COMMANDS: usize = 2048;
/// Until the network listens.
const READY_LIMIT: Duration = Duration::from_secs(10);

pub(crate) fn name(name: &str) -> HandlerName {
    HandlerName::new(name).unwrap()
}

/// A network of its own, with a key of its own, that meets others on loopback.
pub(crate) fn settings(listen: Vec<Multiaddr>) -> Settings {
    Settings {
        keypair: Keypair::generate_ed25519(),
        listen,
        announce: Vec::new(),
        private_addresses: true,
        agent_version: "petald/test".into(),
        reach: ReachSettings::default(),
        limits: Limits::default(),
        unary: unary::Settings::default(),
        pool: tokio::runtime::Handle::current(),
    }
}

pub(crate) struct Node {
    pub(crate) peer_id: PeerId,
    pub(crate) addresses: Vec<Multiaddr>,
    pub(crate) handle: Handle,
    /// The actor's thread ends when this is dropped.
    _alive: oneshot::Sender<()>,
}

impl Node {
    pub(crate) async fn start() -> Node {
        let settings = settings(vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()]);
        let peer_id = settings.keypair.public().to_peer_id();
        let (handle, commands) = Handle::channel(peer_id, COMMANDS);
        let (birth, mut ready) = Birth::detached();
        let (alive, ended) = oneshot::channel::<()>();
        let served = handle.clone();
        // An actor needs an arbiter, which is a thread's.
        std::thread::spawn(move || {
            System::new().block_on(async {
                let _network = Network::new(settings, served, commands, birth).start();
                let _ = ended.await;
            });
        });
        within(READY_LIMIT, "the network listens", ready.wait_for(|ready| *ready)).await.unwrap();
        let status = handle.status().await.expect("a status");
        let addresses = status.listening.iter().map(|address| address.parse().unwrap()).collect();
        Node { peer_id, addresses, handle, _alive: alive }
    }
}
