//! A network without its actor: a driver on the test's runtime.

use std::time::Duration;

use hivemind_proto::{bare_name::HandlerName, unary};
use libp2p::{Multiaddr, PeerId, identity::Keypair};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use super::super::{
    Commands, Handle, Limits, NetworkError, NetworkStatus, ReachSettings, Settings,
    driver::{Driver, Pulse},
};

/// Long enough for whatever must come, on a machine under load.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const ECHO: &str = "Test.rpc_echo";

pub(super) fn name(name: &str) -> HandlerName {
    HandlerName::new(name).unwrap()
}

/// A node of its own on loopback.
pub(crate) fn settings() -> Settings {
    Settings {
        keypair: Keypair::generate_ed25519(),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        announce: Vec::new(),
        private_addresses: true,
        agent_version: "petald/test".to_owned(),
        reach: ReachSettings::default(),
        limits: Limits::default(),
        unary: unary::Settings::default(),
        pool: tokio::runtime::Handle::current(),
    }
}

pub(super) struct Node {
    pub(super) settings: Settings,
    pub(super) handle: Handle,
    commands: Commands,
    driver: Option<JoinHandle<Result<(), NetworkError>>>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.driver.take().inspect(JoinHandle::abort);
    }
}

impl Node {
    pub(super) async fn start() -> Self {
        Self::start_with(settings()).await
    }

    pub(super) async fn start_with(settings: Settings) -> Self {
        let (handle, commands) = Handle::channel(settings.keypair.public().to_peer_id(), 1024);
        let mut node = Self { settings, handle, commands, driver: None };
        node.revive().await;
        node.serve_echo();
        node
    }

    pub(super) fn peer(&self) -> PeerId {
        self.handle.local_peer_id()
    }

    /// Ends the driver as a crash would.
    pub(super) async fn kill(&mut self) {
        let driver = self.driver.take().unwrap();
        driver.abort();
        let _ = driver.await;
    }

    pub(super) async fn revive(&mut self) {
        let (pulse, mut watched) = watch::channel(Pulse::default());
        let driver = Driver::start(self.settings.clone(), self.handle.clone(), pulse).await.unwrap();
        self.driver = Some(tokio::spawn(driver.run(self.commands.clone())));
        watched.wait_for(|pulse| pulse.bound).await.unwrap();
    }

    fn serve_echo(&self) {
        let mailbox = self.handle.serve(&[name(ECHO)], 1024);
        tokio::spawn(async move {
            while let Ok(mut call) = mailbox.recv().await {
                let data = std::mem::take(&mut call.data);
                call.answer(Ok(data));
            }
        });
    }

    pub(super) async fn status(&self) -> NetworkStatus {
        self.handle.status().await.expect("the driver answers")
    }

    pub(super) async fn address(&self) -> Multiaddr {
        self.status().await.listening[0].parse().unwrap()
    }

    pub(super) async fn connect(&self, other: &Node) {
        let address = other.address().await;
        self.handle.connect(other.peer(), vec![address], PATIENCE).await.unwrap();
    }

    pub(super) async fn echo(&self, peer: PeerId) -> Result<Vec<u8>, unary::CallError> {
        self.handle.call(peer, &name(ECHO), b"hello".to_vec(), PATIENCE).await
    }

    /// Waits for a state that must come.
    pub(super) async fn until(&self, what: &str, state: impl Fn(&NetworkStatus) -> bool) -> NetworkStatus {
        let wait = async {
            loop {
                let status = self.status().await;
                if state(&status) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        match timeout(PATIENCE, wait).await {
            Ok(status) => status,
            Err(_) => panic!("never: {what}; now: {:#?}", self.status().await),
        }
    }

    /// Waits until `other` has said to this node where it is.
    pub(super) async fn until_told(&self, other: &Node) {
        let (peer, address) = (other.peer(), other.address().await);
        let wait = async {
            while !self
                .handle
                .addresses(vec![peer])
                .await
                .get(&peer)
                .is_some_and(|all| all.contains(&address))
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("it says where it is");
    }
}
