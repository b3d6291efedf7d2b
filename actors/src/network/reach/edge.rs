//! Turns the swarm's events into facts, and findings into what the swarm announces.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, Swarm, autonat, core::transport::ListenerId, identify, kad::RecordKey,
    multiaddr::Protocol, relay, swarm::SwarmEvent,
};
use tokio::time::Instant;

use super::{
    Counters, Reach, ReachStatus, Settings, Verdict,
    facts::{Ways, without_peer},
    port_mapping::PortMapping,
    providing::Providing,
    relays::Relays,
    standing::{Fact, Standing},
};
use crate::network::{
    Settings as NetworkSettings,
    addresses::Scope,
    swarm::{Behaviour, BehaviourEvent},
};

/// The protocol of a peer that serves as a relay (`relay/circuit-v2.md`, hop).
const HOP: &str = "/libp2p/circuit/relay/0.2.0/hop";

/// How long it may be unknown whether we can be dialled, before relays are asked for all the same.
const UNKNOWN_PATIENCE: Duration = Duration::from_secs(10);

/// How long it is not said that nobody can dial us, while a relay is asked for a place.
const RESERVE_PATIENCE: Duration = Duration::from_secs(10);

/// Addresses of one relay that are announced. Each is dialled by everybody who looks for us.
const ADDRESSES_A_RELAY: usize = 4;

/// How others reach us, beside the swarm that it is about.
pub(in crate::network) struct Edge {
    settings: Settings,
    scope: Scope,
    /// Nobody can dial who does not listen.
    listens: bool,
    begun: Instant,
    ways: Ways,
    standing: Standing,
    port_mapping: Option<PortMapping>,
    relays: Relays,
    /// The listeners that stand for reservations.
    listeners: HashMap<ListenerId, PeerId>,
    /// Where each relay lets others dial us.
    circuits: BTreeMap<PeerId, BTreeSet<Multiaddr>>,
    /// Since when nobody can dial us directly.
    private_since: Option<Duration>,
    /// When each peer was asked to dial us that has not answered yet. libp2p's AutoNAT hears of the end of each.
    asked: HashMap<PeerId, Duration>,
    announced: BTreeSet<Multiaddr>,
    counters: Counters,
    reach: Reach,
    providing: Providing,
}

impl Edge {
    pub(in crate::network) fn new(settings: &NetworkSettings, seed: u64) -> Self {
        let announce = settings.announce.iter().filter(|address| {
            let allowed = settings.scope().allows(address);
            if !allowed {
                tracing::warn!(%address, "not announced: it is a private address");
            }
            allowed
        });
        Self {
            scope: settings.scope(),
            listens: !settings.listen.is_empty(),
            begun: Instant::now(),
            ways: Ways::default(),
            standing: Standing::new(settings.scope(), announce.cloned()),
            port_mapping: settings.reach.upnp.then(|| PortMapping::start(settings.scope(), &settings.pool)),
            relays: Relays::new(settings.reach.relays.clone(), seed),
            listeners: HashMap::new(),
            circuits: BTreeMap::new(),
            private_since: None,
            asked: HashMap::new(),
            announced: BTreeSet::new(),
            counters: Counters::default(),
            reach: Reach::default(),
            providing: Providing::default(),
            settings: settings.reach.clone(),
        }
    }

    /// How others reach us now.
    pub(in crate::network) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Whether the listener is a reservation at a relay, whose end is not the end of the network.
    pub(in crate::network) fn is_relay(&self, listener: &ListenerId) -> bool {
        self.listeners.contains_key(listener)
    }

    pub(in crate::network) fn status(&self) -> ReachStatus {
        ReachStatus {
            verdict: self.reach.verdict,
            relays: self.relays.holding().map(|relay| relay.to_base58()).collect(),
            relays_known: self.relays.known(),
            counters: self.counters.clone(),
        }
    }

    /// Hears what happened. True if others reach us in another way from now on.
    pub(in crate::network) fn on_event(
        &mut self,
        swarm: &mut Swarm<Behaviour>,
        event: &SwarmEvent<BehaviourEvent>,
    ) -> bool {
        match event {
            SwarmEvent::NewListenAddr { listener_id, address } => match self.listeners.get(listener_id) {
                Some(relay) => self.on_circuit(*relay, address),
                None => {
                    if let Some(ports) = &self.port_mapping {
                        ports.listens(address);
                    }
                    self.learn(Fact::Listening(address.clone()));
                }
            },
            SwarmEvent::ExpiredListenAddr { listener_id, address } if !self.is_relay(listener_id) => {
                if let Some(ports) = &self.port_mapping {
                    ports.listens_no_more(address);
                }
                self.hang_up(swarm, address);
                self.learn(Fact::NotListening(address.clone()));
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                let Some(relay) = self.listeners.remove(listener_id) else { return false };
                let cause = reason.as_ref().err().map_or_else(|| "closed".to_owned(), ToString::to_string);
                self.on_relay_lost(relay, &cause);
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.ways.opened(*connection_id, *peer_id, endpoint);
                return false;
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, .. } => {
                self.ways.closed(connection_id);
                if *num_established > 0 {
                    return false;
                }
                self.relays.undiscovered(peer_id);
                self.learn(Fact::Gone { by: *peer_id });
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                connection_id,
                peer_id,
                info,
            })) => {
                self.on_relay_service(*peer_id, info);
                let listening: Vec<Multiaddr> = swarm.listeners().cloned().collect();
                let own_port = self.scope == Scope::Public;
                let fact = self.ways.seen(connection_id, &info.observed_addr, &listening, own_port);
                let Some(fact) = fact else { return false };
                self.learn(fact);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Autonat(autonat::v1::Event::OutboundProbe(probe))) => {
                self.on_probe(probe);
            }
            SwarmEvent::Behaviour(BehaviourEvent::RelayClient(event)) => self.on_relay_client(event),
            SwarmEvent::Behaviour(BehaviourEvent::Relay(event)) => {
                self.on_relayed(event);
                return false;
            }
            SwarmEvent::Behaviour(BehaviourEvent::Dcutr(event)) => {
                match &event.result {
                    Ok(_) => self.counters.holes_punched += 1,
                    Err(_) => self.counters.holes_failed += 1,
                }
                tracing::debug!(peer = %event.remote_peer_id, result = ?event.result, "hole punching ended");
                return false;
            }
            _ => return false,
        }
        self.settle(swarm)
    }

    /// Looks after what time brings. True if others reach us in another way from now on.
    pub(in crate::network) fn on_tick(&mut self, swarm: &mut Swarm<Behaviour>, kad_peers: usize) -> bool {
        for fact in self.port_mapping.as_mut().map(PortMapping::news).unwrap_or_default() {
            self.learn(fact);
        }
        let changed = self.settle(swarm);
        if kad_peers > 0 {
            self.provide(swarm);
        }
        if self.needs_relays() {
            for (relay, at) in self.relays.ask(self.now()) {
                self.reserve(swarm, relay, at);
            }
        }
        changed
    }

    /// Says again to those who are nearest to the key that we provide it, and where we are.
    fn provide(&mut self, swarm: &mut Swarm<Behaviour>) {
        let Some(key) = self.settings.provides.as_ref().filter(|_| self.reach.is_dialable()) else { return };
        if self.providing.is_due(self.begun.elapsed())
            && let Err(error) = swarm.behaviour_mut().kad.start_providing(RecordKey::new(key))
        {
            tracing::warn!(%error, "our model key is not provided");
        }
    }

    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    fn learn(&mut self, fact: Fact) {
        self.standing.learn(fact, self.now());
    }

    fn needs_relays(&self) -> bool {
        let unsure = self.standing.finding().verdict == Verdict::Unknown && self.now() >= UNKNOWN_PATIENCE;
        let private = self.standing.finding().verdict == Verdict::Private;
        self.settings.use_relays && self.listens && (private || unsure)
    }

    fn reserve(&mut self, swarm: &mut Swarm<Behaviour>, relay: PeerId, at: Multiaddr) {
        let circuit = at.clone().with(Protocol::P2p(relay)).with(Protocol::P2pCircuit);
        match swarm.listen_on(circuit) {
            Ok(listener) => {
                tracing::debug!(%relay, %at, "asking a relay for a reservation");
                self.listeners.insert(listener, relay);
            }
            Err(error) => self.on_relay_lost(relay, &error.to_string()),
        }
    }

    /// A relay tells an address at which others can dial us through it.
    fn on_circuit(&mut self, relay: PeerId, address: &Multiaddr) {
        let through = address.iter().take_while(|part| *part != Protocol::P2pCircuit).collect::<Vec<_>>();
        let names_relay = through.contains(&Protocol::P2p(relay));
        let circuits = self.circuits.entry(relay).or_default();
        if names_relay && self.scope.allows(address) && circuits.len() < ADDRESSES_A_RELAY {
            circuits.insert(without_peer(address.clone()));
        }
    }

    /// An address of ours is gone, and connections over it are dead: whom we need is dialled anew when they are closed.
    fn hang_up(&self, swarm: &mut Swarm<Behaviour>, address: &Multiaddr) {
        let dead = self.ways.over(address, self.announced.contains(address));
        if !dead.is_empty() {
            tracing::info!(%address, connections = dead.len(), "address is gone, and the connections over it");
        }
        for connection in dead {
            swarm.close_connection(connection);
        }
    }

    fn on_relay_client(&mut self, event: &relay::client::Event) {
        match event {
            relay::client::Event::ReservationReqAccepted { relay_peer_id, renewal, .. } => {
                let relay = *relay_peer_id;
                if self.relays.held(relay, self.now()) {
                    self.counters.reservations += 1;
                    tracing::info!(%relay, renewal, "relay holds a place for us");
                }
                if let Some(at) = self.ways.dialled(&relay).filter(|at| self.scope.allows(at)) {
                    let circuit = at.with(Protocol::P2p(relay)).with(Protocol::P2pCircuit);
                    self.circuits.entry(relay).or_default().insert(circuit);
                }
            }
            relay::client::Event::InboundCircuitEstablished { .. } => self.counters.relayed_in += 1,
            relay::client::Event::OutboundCircuitEstablished { .. } => {}
        }
    }

    fn on_relay_lost(&mut self, relay: PeerId, cause: &str) {
        self.circuits.remove(&relay);
        if let Some(rest) = self.relays.lost(&relay, self.now()) {
            self.counters.reservations_lost += 1;
            tracing::info!(%relay, cause, rest_seconds = rest.as_secs(), "no place at this relay, others are tried");
        }
    }

    /// A peer tells whether it serves as a relay. Only one that we dialled can be dialled by others, as far as we know.
    fn on_relay_service(&mut self, peer: PeerId, info: &identify::Info) {
        let serves = info.protocols.iter().any(|protocol| protocol.as_ref() == HOP);
        match self.ways.dialled(&peer).filter(|_| serves) {
            Some(at) if self.scope.allows(&at) => self.relays.discovered(peer, at),
            _ => self.relays.undiscovered(&peer),
        }
    }

    fn on_probe(&mut self, probe: &autonat::v1::OutboundProbeEvent) {
        use autonat::v1::{OutboundProbeError, OutboundProbeEvent, ResponseError};
        match probe {
            OutboundProbeEvent::Response { peer, address, .. } => {
                self.counters.probes_reached += 1;
                self.asked.remove(peer);
                tracing::debug!(by = %peer, %address, "dialled back");
                self.learn(Fact::Reached { by: *peer, at: without_peer(address.clone()) });
            }
            OutboundProbeEvent::Error {
                peer: Some(peer),
                error: OutboundProbeError::Response(ResponseError::DialError),
                ..
            } => {
                self.counters.probes_failed += 1;
                tracing::debug!(by = %peer, "not dialled back");
                let (family, asked) = (self.ways.family_of(peer), self.asked.remove(peer));
                let asked = asked.unwrap_or_else(|| self.now());
                self.learn(Fact::NotReached { by: *peer, family, asked });
            }
            OutboundProbeEvent::Error { peer, error, .. } => {
                tracing::debug!(?peer, ?error, "nobody tried to dial back");
                peer.and_then(|peer| self.asked.remove(&peer));
            }
            OutboundProbeEvent::Request { peer, .. } => drop(self.asked.insert(*peer, self.now())),
        }
    }

    fn on_relayed(&mut self, event: &relay::Event) {
        match event {
            relay::Event::ReservationReqAccepted { renewed: false, .. } => {
                self.counters.reservations_given += 1
            }
            relay::Event::CircuitReqAccepted { .. } => self.counters.circuits_relayed += 1,
            relay::Event::ReservationReqDenied { .. } | relay::Event::CircuitReqDenied { .. } => {
                self.counters.relay_refusals += 1;
            }
            _ => {}
        }
    }

    /// Announces what the facts come to, if that is something else than before.
    pub(in crate::network) fn settle(&mut self, swarm: &mut Swarm<Behaviour>) -> bool {
        self.standing.settle(self.now());
        let finding = self.standing.finding();
        let relayed: Vec<Multiaddr> = match finding.verdict {
            Verdict::Public => Vec::new(),
            Verdict::Unknown | Verdict::Private => {
                let held: BTreeSet<_> = self.relays.holding().copied().collect();
                let held = self.circuits.iter().filter(|(relay, _)| held.contains(relay));
                held.flat_map(|(_, circuits)| circuits).cloned().collect()
            }
        };
        match finding.verdict {
            Verdict::Private => drop(self.private_since.get_or_insert(self.begun.elapsed())),
            Verdict::Public | Verdict::Unknown => self.private_since = None,
        }
        let asked_lately =
            self.private_since.is_some_and(|since| self.begun.elapsed() - since < RESERVE_PATIENCE);
        if asked_lately && relayed.is_empty() && self.needs_relays() && self.relays.known() > 0 {
            return false;
        }
        let direct = finding.addresses.iter().cloned().collect();
        let reach = Reach { verdict: finding.verdict, direct, relayed };
        if reach == self.reach {
            return false;
        }
        if reach.verdict == Verdict::Public {
            self.release_relays(swarm);
        }
        self.announce(swarm, &reach);
        self.reach = reach;
        true
    }

    /// libp2p's relay client panics when a listener is closed while its reservation is being asked for or renewed;
    /// the end of the connection it takes.
    fn release_relays(&mut self, swarm: &mut Swarm<Behaviour>) {
        for relay in self.relays.release() {
            tracing::info!(%relay, "relay is not needed any more");
            self.circuits.remove(&relay);
            // It is gone already, if it fails.
            let _ = swarm.disconnect_peer_id(relay);
        }
    }

    fn announce(&mut self, swarm: &mut Swarm<Behaviour>, reach: &Reach) {
        let us = *swarm.local_peer_id();
        let with_us = |circuit: &Multiaddr| circuit.clone().with(Protocol::P2p(us));
        let wanted: BTreeSet<Multiaddr> =
            reach.direct.iter().cloned().chain(reach.relayed.iter().map(with_us)).collect();
        if wanted != self.announced {
            for address in self.announced.difference(&wanted) {
                swarm.remove_external_address(address);
            }
            for address in wanted.difference(&self.announced) {
                swarm.add_external_address(address.clone());
            }
            self.announced = wanted;
            self.providing = Providing::default();
            self.counters.address_changes += 1;
            let connected: Vec<PeerId> = swarm.connected_peers().copied().collect();
            swarm.behaviour_mut().identify.push(connected);
        }
        swarm.behaviour_mut().kad.serve(!reach.direct.is_empty());
    }
}
