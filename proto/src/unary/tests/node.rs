//! Two real swarms on loopback, with nothing but unary calls.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, channel::oneshot, future::BoxFuture};
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identity::Keypair,
    noise,
    swarm::{self, SwarmEvent, dial_opts::DialOpts},
    tcp, yamux,
};
use tokio::sync::mpsc;

use super::super::{Behaviour, CallError, Muxer, OutboundCall, Registry, Settings};
use crate::bare_name::HandlerName;

/// Long enough for every call that is meant to succeed, on a machine under load.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) const ECHO: &str = "Test.rpc_echo";

pub(super) fn name(name: &str) -> HandlerName {
    HandlerName::new(name).unwrap()
}

/// With `served`, one that serves; without, one whose streams are as they are on the wire.
pub(super) fn transport(
    key: &Keypair,
    served: Option<(Settings, Registry)>,
) -> Boxed<(PeerId, StreamMuxerBox)> {
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(4096);
    tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(key).unwrap())
        .multiplex(muxer)
        .map(move |(peer, muxer), _| {
            let muxer = match served.clone() {
                Some((settings, registry)) => {
                    StreamMuxerBox::new(Muxer::new(muxer, peer, settings, registry))
                }
                None => StreamMuxerBox::new(muxer),
            };
            (peer, muxer)
        })
        .boxed()
}

type Job = Box<dyn FnOnce(&mut Swarm<Behaviour>) + Send>;

/// A node whose swarm runs in a task of its own, until it is dropped.
pub(super) struct Node {
    pub(super) peer: PeerId,
    pub(super) address: Multiaddr,
    pub(super) registry: Registry,
    jobs: mpsc::Sender<Job>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Node {
    pub(super) async fn start(version: Version, settings: Settings) -> Self {
        Self::start_with(version, settings, Registry::new()).await
    }

    pub(super) async fn start_with(version: Version, settings: Settings, registry: Registry) -> Self {
        let key = Keypair::generate_ed25519();
        let peer = key.public().to_peer_id();
        let config = swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(PATIENCE)
            .with_substream_upgrade_protocol_override(version);
        let transport = transport(&key, Some((settings.clone(), registry.clone())));
        let behaviour = Behaviour::new(settings, registry.clone());
        let mut swarm = Swarm::new(transport, behaviour, peer, config);
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        let (jobs, mut queue) = mpsc::channel::<Job>(2048);
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    job = queue.recv() => match job { Some(job) => job(&mut swarm), None => return },
                    _ = swarm.select_next_some() => {}
                }
            }
        });
        Self { peer, address, registry, jobs, task }
    }

    pub(super) async fn with<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Swarm<Behaviour>) -> T + Send + 'static,
    ) -> T {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |swarm| drop(sender.send(job(swarm))));
        assert!(self.jobs.send(job).await.is_ok(), "the swarm runs");
        receiver.await.unwrap()
    }

    pub(super) async fn connect(&self, other: &Node) {
        let dial = DialOpts::peer_id(other.peer).addresses(vec![other.address.clone()]).build();
        self.with(move |swarm| swarm.dial(dial)).await.unwrap();
        let (here, there) = (self.peer, other.peer);
        until(async || self.with(move |swarm| swarm.is_connected(&there)).await).await;
        until(async || other.with(move |swarm| swarm.is_connected(&here)).await).await;
    }

    /// Begins a call; its answer comes to the receiver.
    pub(super) async fn begin(
        &self,
        peer: PeerId,
        handler: &str,
        data: Vec<u8>,
        deadline: Duration,
    ) -> oneshot::Receiver<Result<Vec<u8>, CallError>> {
        let (reply, receiver) = oneshot::channel();
        let call = OutboundCall { handler: name(handler), data, deadline, reply };
        self.with(move |swarm| swarm.behaviour_mut().call(peer, call)).await;
        receiver
    }

    pub(super) async fn call(
        &self,
        peer: PeerId,
        handler: &str,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, CallError> {
        self.begin(peer, handler, data, PATIENCE).await.await.unwrap()
    }

    /// Answers each call of `handler` in a task of its own.
    pub(super) fn serve<F>(&self, handler: &str, answer: F)
    where
        F: Fn(Vec<u8>) -> BoxFuture<'static, Result<Vec<u8>, String>> + Send + Sync + 'static,
    {
        let mailbox = self.registry.serve(&[name(handler)], 1024);
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok(mut call) = mailbox.recv().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let data = std::mem::take(&mut call.data);
                    let result = answer(data).await;
                    call.answer(result);
                });
            }
        });
    }

    pub(super) fn serve_echo(&self) {
        self.serve(ECHO, |data| async { Ok(data) }.boxed());
    }
}

/// Two connected nodes, the second of which serves an echo.
pub(super) async fn pair(version: Version) -> (Node, Node) {
    let (caller, callee) =
        (Node::start(version, Settings::default()).await, Node::start(version, Settings::default()).await);
    callee.serve_echo();
    caller.connect(&callee).await;
    (caller, callee)
}

/// Waits for a state that must come, and fails if it does not.
pub(super) async fn until(mut state: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !state().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the state never came");
}
