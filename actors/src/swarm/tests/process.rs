//! petald as a process: the whole branch under a root, which can be killed at any instant, stopped, and started again.

use std::time::Duration;

use hivemind_proto::{
    dht::{self, DhtId},
    records::ServerState,
};
use libp2p::PeerId;
use tokio::{
    sync::oneshot,
    task::{AbortHandle, LocalSet},
    time::{Instant, timeout},
};

use super::super::{Settings, branch};
use crate::{
    announcer,
    bootstrap::{self, InitialPeer, PeerMemory},
    clock::SharedClock,
    network, pinger, reachability, rpc_info,
    server_info::{self, Offer, tests::offer},
    simulated::{Link, SimulatedNetwork},
    supervisor::{
        Backoff, ChildSettings, Handle, Intensity, Outcome, Slot, Strategy, Tree, TreeStatus, actor,
        supervisor,
    },
};

/// Of the announcements, as Petals servers have it.
pub(super) const PERIOD: Duration = Duration::from_secs(120);
pub(super) const TTL: Duration = Duration::from_secs(600);

/// The actors of the branch, from top to bottom.
pub(super) const ACTORS: [&str; 8] =
    ["network", "dht", "bootstrap", "server_info", "rpc_info", "announcer", "pinger", "reachability"];

/// One life of the node. Dropping it is `kill -9`.
pub(super) struct Process {
    network: SimulatedNetwork,
    peer: PeerId,
    tree: Handle,
    longest_stop: Duration,
    outcome: Option<oneshot::Receiver<Outcome>>,
    task: AbortHandle,
}

/// What is offered: ONLINE, so that a reader can tell it from a farewell.
pub(super) fn served() -> Offer {
    let mut offer = offer();
    offer.server.state = ServerState::Online;
    offer
}

/// Nobody asks about others here.
fn nobody() -> network::Departures {
    let error = || network::NetworkError::Identity("no strangers".into());
    network::Departures::by(move || Box::pin(async move { Err(error()) }))
}

impl Process {
    /// Starts with a data folder in which the node id `id` is kept.
    pub(super) fn start(
        network: &SimulatedNetwork,
        clock: &SharedClock,
        peer: PeerId,
        id: DhtId,
        initial: &[PeerId],
        seed: u64,
    ) -> Self {
        let (handle, commands) = network.enter(peer);
        let (storage, cache) = (dht::storage::Limits::default(), dht::storage::Limits::of_cache());
        let retry = Backoff {
            first: Duration::from_millis(500),
            cap: Duration::from_secs(30),
            reset_after: Duration::from_secs(30),
            ..Backoff::default()
        };
        let settings = Settings {
            dht: crate::dht::Settings {
                node: dht::Settings {
                    id,
                    client_mode: false,
                    storage,
                    cache,
                    acceptance: dht::Acceptance::default(),
                    caching: dht::Caching::default(),
                    seed,
                },
                call_deadline: Duration::from_secs(3),
            },
            bootstrap: bootstrap::Settings {
                initial_peers: initial
                    .iter()
                    .map(|peer| InitialPeer { peer: *peer, addresses: vec![] })
                    .collect(),
                retry,
                memory: PeerMemory::volatile(),
                seed,
            },
            server_info: server_info::Settings::volatile(Some(served())),
            backend: None,
            rpc_info: rpc_info::Settings { dht_client_mode: false },
            announcer: announcer::Settings {
                own_peer: peer,
                period: PERIOD,
                ttl: TTL,
                retry,
                may_be_alone: false,
                seed,
            },
            pinger: pinger::Settings { own_peer: peer, period: PERIOD, seed },
            reachability: reachability::Settings { departures: nobody() },
            observer: None,
        };
        // Once in a while is enough to see how much the actors hold.
        let patience = ChildSettings { probe_period: Duration::from_secs(30), ..ChildSettings::default() };
        let link = {
            let (network, commands) = (network.clone(), commands);
            let build = move |birth| Link::new(network.clone(), peer, commands.clone(), birth);
            actor("network", &Slot::new(), patience, build)
        };
        let (swarm, _) = branch(settings, link, &handle, clock, |_| patience);
        let intensity = Intensity { restarts: 5, within: Duration::from_secs(1800) };
        let tree = Tree::new(supervisor("root", Strategy::OneForOne, intensity, vec![swarm])).unwrap();
        let longest_stop = tree.longest_stop();

        // All that the tree spawns lives in a set of its own, and is gone at once when the set is dropped.
        let (tell, outcome) = oneshot::channel();
        let (give, mut given) = oneshot::channel();
        let inside = LocalSet::new();
        inside.spawn_local(async move {
            let (tree, outcome) = tree.start();
            let _ = give.send(tree);
            let _ = tell.send(outcome.await);
        });
        let mut inside = Box::pin(inside);
        // One turn of it, so that the tree is there.
        let waker = futures::task::noop_waker();
        let _ = inside.as_mut().poll(&mut std::task::Context::from_waker(&waker));
        let tree = given.try_recv().expect("the tree is started in the first turn");
        let task = actix_rt::spawn(inside).abort_handle();
        Self { network: network.clone(), peer, tree, longest_stop, outcome: Some(outcome), task }
    }

    /// What SIGTERM does. Panics if it does not end in time, and tells how long it took.
    pub(super) async fn stop(mut self) -> Duration {
        let begun = Instant::now();
        self.tree.stop();
        let outcome = self.outcome.take().expect("a process is stopped once");
        let outcome = timeout(self.longest_stop, outcome).await;
        assert_eq!(outcome, Ok(Ok(Outcome::Drained)), "a stop ends in time");
        begun.elapsed()
    }

    /// The supervisor has given up, or died.
    pub(super) fn ended(&mut self) -> Option<Outcome> {
        self.outcome.as_mut().and_then(|outcome| outcome.try_recv().ok())
    }

    /// Panics an actor; one that is not running now cannot be.
    pub(super) async fn crash(&self, name: &str) {
        let _ = self.tree.crash(name).await;
    }

    pub(super) async fn status(&self) -> TreeStatus {
        self.tree.status().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.task.abort();
        self.network.leave(self.peer);
    }
}
