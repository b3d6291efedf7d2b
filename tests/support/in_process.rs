//! A node in the test's own process, whose handlers are the test's: stock transports, the bare-name wrapper and the
//! unary calls, put together as the network actor puts them.

use std::time::Duration;

use futures::{StreamExt, channel::oneshot};
use hivemind_proto::{
    bare_name::{BareMuxer, HandlerName},
    unary::{Behaviour, CallError, Mailbox, OutboundCall, Registry, Settings},
};
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport,
    core::{muxing::StreamMuxerBox, upgrade::Version},
    identity::Keypair,
    noise,
    swarm::{self, SwarmEvent, dial_opts::DialOpts},
    tcp, yamux,
};
use tokio::sync::mpsc;

pub(crate) fn name(name: &str) -> HandlerName {
    HandlerName::new(name).unwrap()
}

type Job = Box<dyn FnOnce(&mut Swarm<Behaviour>) + Send>;

pub(crate) struct Handle {
    registry: Registry,
    jobs: mpsc::Sender<Job>,
}

impl Handle {
    async fn with<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Swarm<Behaviour>) -> T + Send + 'static,
    ) -> T {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |swarm| drop(sender.send(job(swarm))));
        assert!(self.jobs.send(job).await.is_ok(), "the swarm runs");
        receiver.await.unwrap()
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn serve(&self, names: &[HandlerName], capacity: usize) -> Mailbox {
        self.registry.serve(names, capacity)
    }

    pub(crate) async fn connect(
        &self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        _: Duration,
    ) -> Result<(), String> {
        let dial = DialOpts::peer_id(peer).addresses(addresses).build();
        self.with(move |swarm| swarm.dial(dial)).await.unwrap();
        while !self.with(move |swarm| swarm.is_connected(&peer)).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    pub(crate) async fn call(
        &self,
        peer: PeerId,
        handler: &HandlerName,
        data: Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, CallError> {
        let (reply, receiver) = oneshot::channel();
        let call = OutboundCall { handler: handler.clone(), data, deadline, reply };
        self.with(move |swarm| swarm.behaviour_mut().call(peer, call)).await;
        receiver.await.unwrap()
    }
}

pub(crate) struct Node {
    pub(crate) peer_id: PeerId,
    pub(crate) addresses: Vec<Multiaddr>,
    pub(crate) handle: Handle,
}

impl Node {
    pub(crate) async fn start() -> Node {
        let key = Keypair::generate_ed25519();
        let peer_id = key.public().to_peer_id();
        let mut muxer = yamux::Config::default();
        muxer.set_max_num_streams(4096);
        let transport = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
            .upgrade(Version::V1Lazy)
            .authenticate(noise::Config::new(&key).unwrap())
            .multiplex(muxer)
            .map(move |(peer, muxer), _| (peer, StreamMuxerBox::new(BareMuxer::new(muxer))))
            .boxed();
        let config = swarm::Config::with_tokio_executor()
            .with_idle_connection_timeout(Duration::from_secs(60))
            .with_max_negotiating_inbound_streams(1024)
            .with_substream_upgrade_protocol_override(Version::V1Lazy);
        let registry = Registry::new();
        let mut swarm =
            Swarm::new(transport, Behaviour::new(Settings::default(), registry.clone()), peer_id, config);
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        let (jobs, mut queue) = mpsc::channel::<Job>(2048);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    job = queue.recv() => match job { Some(job) => job(&mut swarm), None => return },
                    _ = swarm.select_next_some() => {}
                }
            }
        });
        Node { peer_id, addresses: vec![address], handle: Handle { registry, jobs } }
    }
}
