//! The swarm's side of unary calls: it knows the connections, and hands calls to one of them.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished,
    },
};

use super::{CallError, Handler, OutboundCall, Registry, Settings, outbound::QueuedCall};

/// Calls that wait for the swarm to take them to their connection. It takes them one by one, and stops
/// while a connection's task is behind.
const QUEUED_CALLS: usize = 4096;

/// Unary calls over all connections of a swarm.
///
/// It never dials: a call to a peer without a connection fails with [`CallError::NotConnected`].
pub struct Behaviour {
    settings: Settings,
    registry: Registry,
    /// The connections of each peer, the latest last.
    connections: HashMap<PeerId, Vec<ConnectionId>>,
    calls: VecDeque<(PeerId, ConnectionId, QueuedCall)>,
}

impl Behaviour {
    /// Calls within `settings`. What `registry` serves is served by the [`Muxer`](super::Muxer) of each connection, which
    /// must have the same registry.
    pub fn new(settings: Settings, registry: Registry) -> Self {
        Self { settings, registry, connections: HashMap::new(), calls: VecDeque::new() }
    }

    fn handler(&self, peer: PeerId) -> Handler {
        Handler::new(self.registry.callers.get(peer), self.settings.outbound_per_connection)
    }

    /// Whether a call to `peer` would find a connection.
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        self.connections.contains_key(peer)
    }

    /// Calls `peer` over its latest connection: an older one may be dead without anybody knowing. The
    /// swarm must be polled afterwards, within a tokio runtime.
    pub fn call(&mut self, peer: PeerId, call: OutboundCall) {
        let connection = self.connections.get(&peer).and_then(|connections| connections.last());
        let error = match connection {
            _ if call.reply.is_canceled() => return,
            None => CallError::NotConnected,
            Some(_) if self.calls.len() >= QUEUED_CALLS => CallError::Busy,
            Some(connection) => {
                let limit = self.settings.max_message_bytes;
                let call = QueuedCall::new(&peer, call, limit, &self.registry);
                self.calls.extend(call.map(|call| (peer, *connection, call)));
                return;
            }
        };
        super::counters::count(&self.registry.cells.calls_failed);
        let _ = call.reply.send(Err(error));
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler(peer))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, .. }) => {
                self.connections.entry(peer_id).or_default().push(connection_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                if let Some(connections) = self.connections.get_mut(&peer_id) {
                    connections.retain(|id| *id != connection_id);
                    if connections.is_empty() {
                        self.connections.remove(&peer_id);
                    }
                }
                // What was not handed over yet can still go over another connection.
                let latest = self.connections.get(&peer_id).and_then(|connections| connections.last());
                match latest {
                    Some(latest) => {
                        for call in self.calls.iter_mut().filter(|call| call.1 == connection_id) {
                            call.1 = *latest;
                        }
                    }
                    None => self.calls.retain(|call| call.1 != connection_id),
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        match self.calls.pop_front() {
            Some((peer_id, connection, event)) => Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::One(connection),
                event,
            }),
            // `call` needs the swarm, and whoever has it polls it afterwards.
            None => Poll::Pending,
        }
    }
}
