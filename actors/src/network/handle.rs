//! How other actors, on any thread, use the network.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_channel::{Receiver, Sender};
use futures::channel::oneshot;
use hivemind_proto::{
    bare_name::HandlerName,
    unary::{CallError, Mailbox, OutboundCall, Registry, Stopwatch},
};
use libp2p::{Multiaddr, PeerId};
use tokio::{
    sync::{broadcast, watch},
    time::{Instant, timeout},
};

use super::messages::{Command, ConnectError, NetworkEvent, NetworkStatus, PeerAddresses};
use super::reach::Reach;

/// Events that a slow listener may be behind. A burst of connections is tens of events.
const EVENT_QUEUE: usize = 256;

/// How long a status may take, since nobody waits for it longer.
const STATUS_DEADLINE: Duration = Duration::from_secs(2);

/// Where commands arrive: the real driver sits here, or a simulated network. It outlives a driver, so
/// that commands wait while the network is being restarted.
pub type Commands = Receiver<Command>;

struct Shared {
    local: PeerId,
    commands: Sender<Command>,
    registry: Registry,
    events: broadcast::Sender<NetworkEvent>,
    /// The ports that were bound for listen addresses with port 0, in the order of the settings: a
    /// restarted network takes them again, since others know them.
    ports: Mutex<Vec<Option<u16>>>,
    /// `None` until a driver has said something.
    reach: watch::Sender<Option<Arc<Reach>>>,
}

/// Calls peers, serves handlers and hears of events. Clones share one network, and stay valid when it
/// is restarted.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "network::Handle({})", self.0.local)
    }
}

impl Handle {
    /// A handle for the node `local`, and the other end. At most `capacity` commands wait between.
    pub fn channel(local: PeerId, capacity: usize) -> (Self, Commands) {
        let (commands, other_end) = async_channel::bounded(capacity.max(1));
        let (events, _) = broadcast::channel(EVENT_QUEUE);
        let ports = Mutex::default();
        let origin = Instant::now();
        let stopwatch: Stopwatch = Arc::new(move || origin.elapsed());
        let registry = Registry::timed(&stopwatch);
        let reach = watch::Sender::new(None);
        let shared = Shared { local, commands, registry, events, ports, reach };
        (Self(Arc::new(shared)), other_end)
    }

    /// Who we are.
    pub fn local_peer_id(&self) -> PeerId {
        self.0.local
    }

    /// The handlers that we serve.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Serves `names` with one queue of `capacity` calls: see [`Registry::serve`].
    pub fn serve(&self, names: &[HandlerName], capacity: usize) -> Mailbox {
        self.0.registry.serve(names, capacity)
    }

    /// Calls a handler of `peer`. Without a connection, one is made: over the addresses that are
    /// known, then over those that Kademlia finds. All of it takes at most `deadline`. Dropping the
    /// future cancels the call.
    pub async fn call(
        &self,
        peer: PeerId,
        handler: &HandlerName,
        data: Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, CallError> {
        let (reply, answer) = oneshot::channel();
        let call = OutboundCall { handler: handler.clone(), data, deadline, reply };
        let exchange = async {
            if self.0.commands.send(Command::Call { peer, call }).await.is_err() {
                return Err(CallError::Unreachable(GONE.to_owned()));
            }
            // The reply is dropped when the network fails: its connections are gone then.
            answer.await.unwrap_or(Err(CallError::ConnectionLost))
        };
        timeout(deadline, exchange).await.unwrap_or(Err(CallError::Deadline))
    }

    /// Connects to `peer`, over `addresses` and what is known besides.
    pub async fn connect(
        &self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        deadline: Duration,
    ) -> Result<(), ConnectError> {
        let (reply, outcome) = oneshot::channel();
        let exchange = async {
            let command = Command::Connect { peer, addresses, deadline, reply };
            let gone = || ConnectError::Unreachable(GONE.to_owned());
            self.0.commands.send(command).await.map_err(|_| gone())?;
            outcome.await.unwrap_or_else(|_| Err(gone()))
        };
        timeout(deadline, exchange).await.unwrap_or(Err(ConnectError::Deadline))
    }

    /// Closes the connections to `peer`, whose calls end with them.
    pub async fn hang_up(&self, peer: PeerId) {
        // A network that is gone has no connections.
        let _ = timeout(STATUS_DEADLINE, self.0.commands.send(Command::HangUp { peer })).await;
    }

    /// How the network is; `None` if it does not answer.
    pub async fn status(&self) -> Option<NetworkStatus> {
        let (reply, status) = oneshot::channel();
        let exchange = async {
            self.0.commands.send(Command::Status { reply }).await.ok()?;
            status.await.ok()
        };
        timeout(STATUS_DEADLINE, exchange).await.ok().flatten()
    }

    /// Where those of `peers` are that are connected; empty if the network does not answer.
    pub async fn addresses(&self, peers: Vec<PeerId>) -> PeerAddresses {
        let (reply, addresses) = oneshot::channel();
        let exchange = async {
            self.0.commands.send(Command::Addresses { peers, reply }).await.ok()?;
            addresses.await.ok()
        };
        timeout(STATUS_DEADLINE, exchange).await.ok().flatten().unwrap_or_default()
    }

    /// What happens from now on.
    pub fn events(&self) -> broadcast::Receiver<NetworkEvent> {
        self.0.events.subscribe()
    }

    /// Tells all listeners: what a driver does, or a simulated network.
    pub fn publish(&self, event: NetworkEvent) {
        // Nobody listens: nobody is told.
        let _ = self.0.events.send(event);
    }

    /// How others reach us, now and whenever it changes; `None` as long as nobody has found out anything.
    pub fn reach(&self) -> watch::Receiver<Option<Arc<Reach>>> {
        self.0.reach.subscribe()
    }

    /// Tells how others reach us: what a driver does, or a simulated network.
    pub fn reached(&self, reach: Reach) {
        self.0.reach.send_replace(Some(Arc::new(reach)));
    }

    /// The port that was bound last for the listen address at `index`.
    pub(super) fn bound_port(&self, index: usize) -> Option<u16> {
        self.ports().get(index).copied().flatten()
    }

    pub(super) fn note_port(&self, index: usize, port: u16) {
        let mut ports = self.ports();
        if ports.len() <= index {
            ports.resize(index + 1, None);
        }
        ports[index] = Some(port);
    }

    fn ports(&self) -> std::sync::MutexGuard<'_, Vec<Option<u16>>> {
        self.0.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const GONE: &str = "the network is gone";
