//! Drives the swarm, in a task of its own.

use std::{collections::HashMap, io, time::Duration};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm,
    core::{ConnectedPoint, transport::ListenerId},
    identify,
    kad::{self, store::MemoryStore},
    ping,
    swarm::{
        DialError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    Commands, Handle, NetworkError, Settings,
    dial_failure::describe,
    dialer::{Dialer, DialerLimits, Next, Waiter},
    listening::{port, wait_until_free, with_port},
    messages::{Command, NetworkEvent, NetworkStatus},
    peers::Peers,
    reach::Edge,
    swarm::{Behaviour, BehaviourEvent, build},
};

/// How often the driver looks after what no event tells it: callers that have gone, its own status.
const TICK: Duration = Duration::from_secs(1);

/// Addresses of one peer that enter the table. A peer on many interfaces has some ten.
const ADDRESSES_A_PEER: usize = 16;

/// What the driver tells its actor.
#[derive(Debug, Clone, Default)]
pub(super) struct Pulse {
    pub(super) status: NetworkStatus,
    /// When it was taken; `None` before the first time.
    pub(super) at: Option<Instant>,
    /// Whether all listen addresses are bound.
    pub(super) bound: bool,
}

impl Pulse {
    /// How long the driver has not shown itself; not at all before its first time, since whether it
    /// starts is seen by its readiness.
    pub(super) fn silence(&self) -> Duration {
        self.at.map_or(Duration::ZERO, |at| at.elapsed())
    }
}

pub(super) struct Driver {
    swarm: Swarm<Behaviour>,
    settings: Settings,
    handle: Handle,
    dialer: Dialer,
    peers: Peers,
    edge: Edge,
    /// Listeners without an address yet, and their place in the settings.
    unbound: HashMap<ListenerId, usize>,
    kad_peers: usize,
    pulse: watch::Sender<Pulse>,
}

impl Driver {
    /// Builds the swarm and begins to listen.
    pub(super) async fn start(
        settings: Settings,
        handle: Handle,
        pulse: watch::Sender<Pulse>,
    ) -> Result<Self, NetworkError> {
        let swarm = build(&settings, handle.registry().clone())?;
        let limits = &settings.limits;
        let dialer = Dialer::new(DialerLimits {
            attempts: limits.pending as usize,
            waiters: limits.waiting,
            lookups: limits.lookups,
        });
        let (peers, unbound) = (Peers::default(), HashMap::new());
        let edge = Edge::new(&settings, rand::random());
        let mut driver = Self { swarm, settings, handle, dialer, peers, edge, unbound, kad_peers: 0, pulse };
        driver.edge.settle(&mut driver.swarm);
        driver.handle.reached(driver.edge.reach().clone());
        driver.listen().await?;
        Ok(driver)
    }

    async fn listen(&mut self) -> Result<(), NetworkError> {
        for (index, address) in self.settings.listen.clone().into_iter().enumerate() {
            let address = with_port(address, self.handle.bound_port(index));
            let failed = |cause: String| NetworkError::Listen { address: address.clone(), cause };
            wait_until_free(&address).await.map_err(|e| failed(e.to_string()))?;
            let id = self.swarm.listen_on(address.clone()).map_err(|e| failed(e.to_string()))?;
            self.unbound.insert(id, index);
        }
        self.pulse.send_modify(|pulse| pulse.bound = self.unbound.is_empty());
        Ok(())
    }

    /// Runs until nobody can send commands any more, or listening fails.
    pub(super) async fn run(mut self, commands: Commands) -> Result<(), NetworkError> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Ok(command) => self.on_command(command),
                    Err(_) => return Ok(()),
                },
                event = self.swarm.select_next_some() => self.on_event(event)?,
                _ = tick.tick() => self.on_tick(),
            }
            self.begin_lookups();
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Call { peer, call } => {
                if self.swarm.behaviour().unary.is_connected(&peer) {
                    self.swarm.behaviour_mut().unary.call(peer, call);
                } else {
                    self.wait(peer, Vec::new(), Waiter::Call(call));
                }
            }
            Command::Connect { peer, addresses, reply, .. } => {
                self.swarm.behaviour_mut().limits.want(peer);
                if self.swarm.is_connected(&peer) {
                    let _ = reply.send(Ok(()));
                } else {
                    self.wait(peer, addresses, Waiter::Connect(reply));
                }
            }
            // Whoever is not connected needs no more.
            Command::HangUp { peer } => drop(self.swarm.disconnect_peer_id(peer)),
            Command::Addresses { peers, reply } => drop(reply.send(self.peers.addresses(peers))),
            Command::Status { reply } => drop(reply.send(self.status())),
        }
    }

    fn wait(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, waiter: Waiter) {
        let next = self.dialer.wait(peer, waiter);
        if next == Next::Dial || !addresses.is_empty() {
            self.dial(peer, addresses);
        }
    }

    /// Dials `peer` at `addresses` and wherever else it is known to be.
    fn dial(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        if peer == *self.swarm.local_peer_id() {
            return self.dialer.fail(&peer, "it is ourselves");
        }
        // Addresses that we are given may be better than those that are being dialled already.
        let condition = match addresses.is_empty() {
            true => PeerCondition::DisconnectedAndNotDialing,
            false => PeerCondition::Disconnected,
        };
        let dial = DialOpts::peer_id(peer).condition(condition).addresses(addresses);
        let dial = dial.extend_addresses_through_behaviour().build();
        match self.swarm.dial(dial) {
            // Another dial of this peer is under way, and its end will be told as well.
            Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {}
            Err(DialError::NoAddresses) => self.dialer.dial_failed(&peer, "no address is known".to_owned()),
            Err(error) => self.dialer.fail(&peer, &describe(&error)),
        }
    }

    fn begin_lookups(&mut self) {
        // A peer that has just been connected to is in the table only when identify is through.
        if self.kad_peers == 0 && self.peers.any_is_new() {
            return;
        }
        while let Some(peer) = self.dialer.next_lookup() {
            let id = self.swarm.behaviour_mut().kad.get_closest_peers(peer);
            self.dialer.lookup_begun(peer, id);
        }
    }

    /// A lookup has asked the nearest peers. Kademlia dials the peer itself if any of them knows it,
    /// so there is a connection by now unless the peer is gone, or was slow.
    fn on_lookup_over(&mut self, id: kad::QueryId, found: &[kad::PeerInfo]) {
        let Some(peer) = self.dialer.lookup_over(id) else { return };
        let found = found.iter().find(|found| found.peer_id == peer).map(|found| found.addrs.clone());
        match found {
            Some(addresses) if !addresses.is_empty() => self.dial(peer, addresses),
            _ => self.dialer.fail(&peer, ""),
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) -> Result<(), NetworkError> {
        let of_relay = match &event {
            SwarmEvent::NewListenAddr { listener_id, .. }
            | SwarmEvent::ExpiredListenAddr { listener_id, .. }
            | SwarmEvent::ListenerClosed { listener_id, .. } => self.edge.is_relay(listener_id),
            _ => false,
        };
        if self.edge.on_event(&mut self.swarm, &event) {
            self.handle.reached(self.edge.reach().clone());
        }
        match event {
            _ if of_relay => {}
            SwarmEvent::ConnectionEstablished { peer_id, num_established, endpoint, .. } => {
                let dialled = match endpoint {
                    ConnectedPoint::Dialer { address, .. } => Some(address),
                    ConnectedPoint::Listener { .. } => None,
                };
                self.peers.connected(peer_id, dialled);
                if num_established.get() == 1 {
                    self.handle.publish(NetworkEvent::Connected(peer_id));
                }
                self.on_connected(peer_id);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.peers.gone(&peer_id);
                self.handle.publish(NetworkEvent::Disconnected(peer_id));
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                self.on_dial_failed(peer, &error);
            }
            SwarmEvent::NewListenAddr { listener_id, address } => self.on_listening(listener_id, address),
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.handle.publish(NetworkEvent::ListenAddrGone(address));
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                let cause = reason.err().map_or_else(|| "closed".to_owned(), |e| e.to_string());
                let address = addresses.into_iter().next().unwrap_or_else(Multiaddr::empty);
                return Err(NetworkError::Listen { address, cause });
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => self.on_identified(peer_id, &info),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event {
                peer,
                connection,
                result: Err(error),
            })) if is_silence(&error) => {
                tracing::debug!(%peer, %error, "connection is dead, closed");
                self.swarm.close_connection(connection);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Kad(kad::Event::OutboundQueryProgressed {
                id,
                result: kad::QueryResult::GetClosestPeers(result),
                step,
                ..
            })) if step.last => match result {
                Ok(kad::GetClosestPeersOk { peers, .. })
                | Err(kad::GetClosestPeersError::Timeout { peers, .. }) => self.on_lookup_over(id, &peers),
            },
            _ => {}
        }
        Ok(())
    }

    fn on_connected(&mut self, peer: PeerId) {
        let (waiters, lookup) = self.dialer.connected(&peer);
        self.finish(lookup);
        for waiter in waiters {
            match waiter {
                Waiter::Call(call) => self.swarm.behaviour_mut().unary.call(peer, call),
                Waiter::Connect(reply) => drop(reply.send(Ok(()))),
            }
        }
    }

    fn on_dial_failed(&mut self, peer: PeerId, error: &DialError) {
        if self.swarm.is_connected(&peer) || matches!(error, DialError::DialPeerConditionFalse(_)) {
            return;
        }
        if matches!(error, DialError::Transport(_) | DialError::WrongPeerId { .. }) {
            // It is not where it was: nobody shall be sent there by us.
            self.swarm.behaviour_mut().kad.remove_peer(&peer);
            self.count_kad_peers();
        }
        self.dialer.dial_failed(&peer, describe(error));
    }

    fn on_listening(&mut self, listener: ListenerId, address: Multiaddr) {
        if let Some(index) = self.unbound.remove(&listener) {
            if let Some(port) = port(&address) {
                self.handle.note_port(index, port);
            }
            let bound = self.unbound.is_empty();
            self.pulse.send_modify(|pulse| pulse.bound = bound);
        }
        tracing::info!(%address, "listening");
        self.handle.publish(NetworkEvent::ListenAddr(address));
    }

    fn on_identified(&mut self, peer: PeerId, info: &identify::Info) {
        let kad = info.protocols.contains(&self.settings.reach.kad);
        let scope = self.settings.scope();
        let allowed = info.listen_addrs.iter().filter(|address| scope.allows(address));
        let allowed: Vec<Multiaddr> = allowed.take(ADDRESSES_A_PEER).cloned().collect();
        let agent = self.peers.identified(&peer, &info.agent_version, kad, &allowed);
        let table = &mut self.swarm.behaviour_mut().kad;
        table.tell(peer, allowed.clone());
        if kad {
            // What it says now replaces what it said before, so that it cannot fill the table with addresses.
            let told: Vec<Multiaddr> =
                allowed.into_iter().filter_map(|address| address.with_p2p(peer).ok()).collect();
            for address in &told {
                table.add_address(&peer, address.clone());
            }
            for address in known_addresses(table, peer).into_iter().filter(|known| !told.contains(known)) {
                table.remove_address(&peer, &address);
            }
        } else {
            table.remove_peer(&peer);
        }
        self.count_kad_peers();
        self.handle.publish(NetworkEvent::Identified { peer, agent, kad });
    }

    fn on_tick(&mut self) {
        for id in self.dialer.forget_cancelled() {
            self.finish(Some(id));
        }
        self.count_kad_peers();
        if self.edge.on_tick(&mut self.swarm, self.kad_peers) {
            self.handle.reached(self.edge.reach().clone());
        }
        let status = self.status();
        self.pulse.send_modify(|pulse| {
            pulse.status = status;
            pulse.at = Some(Instant::now());
        });
    }

    fn finish(&mut self, lookup: Option<kad::QueryId>) {
        if let Some(mut query) = lookup.and_then(|id| self.swarm.behaviour_mut().kad.query_mut(&id)) {
            query.finish();
        }
    }

    fn count_kad_peers(&mut self) {
        self.kad_peers = self.swarm.behaviour_mut().kad.kbuckets().map(|bucket| bucket.num_entries()).sum();
    }

    fn status(&self) -> NetworkStatus {
        let text =
            |addresses: &mut dyn Iterator<Item = &Multiaddr>| addresses.map(Multiaddr::to_string).collect();
        let network = self.swarm.network_info();
        let connections = network.connection_counters();
        NetworkStatus {
            peer_id: self.swarm.local_peer_id().to_string(),
            listening: text(&mut self.swarm.listeners()),
            announced: text(&mut self.swarm.external_addresses()),
            reach: self.edge.status(),
            connected_peers: self.peers.len(),
            connections: connections.num_established(),
            connections_inbound: connections.num_established_incoming(),
            connections_outbound: connections.num_established_outgoing(),
            refusals: self.swarm.behaviour().limits.refusals(),
            programs: self.peers.programs(),
            peers: self.peers.listed(),
            kad_peers: self.kad_peers,
            connecting: self.dialer.attempts(),
            waiting: self.dialer.waiting(),
            lookups: self.dialer.lookups(),
            calls: self.handle.registry().counters(),
            inbound: self.handle.registry().inbound_latencies(),
            outbound: self.handle.registry().outbound_latencies(),
        }
    }
}

/// Whether nothing came back. Whoever does not serve pings says so, sooner or later in the handshake, or ends the stream:
/// that says nothing about the connection.
fn is_silence(failure: &ping::Failure) -> bool {
    match failure {
        ping::Failure::Timeout => true,
        ping::Failure::Unsupported => false,
        ping::Failure::Other { error } => {
            let error = error.downcast_ref::<io::Error>();
            error.is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
        }
    }
}

/// The addresses of `peer` in the table.
fn known_addresses(table: &mut kad::Behaviour<MemoryStore>, peer: PeerId) -> Vec<Multiaddr> {
    let Some(bucket) = table.kbucket(peer) else { return Vec::new() };
    let entry = bucket.iter().find(|entry| *entry.node.key.preimage() == peer);
    entry.map(|entry| entry.node.value.iter().cloned().collect()).unwrap_or_default()
}
