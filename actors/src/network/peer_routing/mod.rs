//! libp2p's Kademlia: asks by the stock behaviour, and answers by itself.
//!
//! The stock behaviour answers FIND_NODE from its routing table alone, where only servers of Kademlia are. go-libp2p adds the
//! peer that is looked for whenever it knows where that is (`go-libp2p-kad-dht`, handlers.go, handleFindPeer), and
//! hivemind's p2pd depends on it: who is behind a relay is a client, in nobody's table, and found through the peers that
//! it is connected to. So the stock behaviour stays a client, and the requests of others are served here, from its
//! table, its store of providers and what connected peers tell of themselves. Values are not kept: Petals has no use for
//! them.

mod handler;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    collections::{HashMap, VecDeque},
    ops::{Deref, DerefMut},
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::{Endpoint, transport::PortUse},
    kad::{
        self, KBucketKey, Mode, ProviderRecord, RecordKey,
        store::{MemoryStore, RecordStore},
    },
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerSelect, ConnectionId, ExternalAddresses,
        FromSwarm, NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
        behaviour::{ConnectionClosed, ConnectionEstablished},
        derive_prelude::Either,
    },
};
use tokio::time::Instant;

use super::addresses::Scope;
use handler::{Asked, Handler, Serve};
use wire::{Connection, Kind, Message, Peer};

/// Peers in one answer: Kademlia's k.
const CLOSEST: usize = 20;

/// Addresses of one peer in an answer.
const ADDRESSES_A_PEER: usize = 16;

/// Of a key, in bytes: a multihash or a peer id has some forty.
const LONGEST_KEY: usize = 128;

/// How long a provider is believed: it says so again every half of it (`specs/kad-dht`, content provider advertisement).
const PROVIDER_TTL: Duration = Duration::from_secs(24 * 3600);

type Stock = kad::Behaviour<MemoryStore>;

/// The behaviour.
pub(super) struct PeerRouting {
    stock: Stock,
    us: PeerId,
    protocol: StreamProtocol,
    scope: Scope,
    serves: bool,
    connections: HashMap<ConnectionId, PeerId>,
    /// Where connected peers say that they are.
    told: HashMap<PeerId, Vec<Multiaddr>>,
    external: ExternalAddresses,
    news: VecDeque<(ConnectionId, PeerId)>,
}

impl PeerRouting {
    /// Asks by `stock`, and serves nobody yet.
    pub(super) fn new(us: PeerId, mut stock: Stock, protocol: StreamProtocol, scope: Scope) -> Self {
        stock.set_mode(Some(Mode::Client));
        Self {
            stock,
            us,
            protocol,
            scope,
            serves: false,
            connections: HashMap::new(),
            told: HashMap::new(),
            external: ExternalAddresses::default(),
            news: VecDeque::new(),
        }
    }

    /// Whether others are answered from now on.
    pub(super) fn serve(&mut self, serves: bool) {
        if std::mem::replace(&mut self.serves, serves) != serves {
            self.news = self.connections.iter().map(|(id, peer)| (*id, *peer)).collect();
        }
    }

    /// A connected peer says that it is there: addresses in scope.
    pub(super) fn tell(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        if self.connections.values().any(|connected| *connected == peer) {
            self.told.insert(peer, addresses);
        }
    }

    /// The answer to a request; `None` for one that is not answered, an error for one that nobody should make.
    fn answer(&mut self, from: PeerId, request: Message) -> Result<Option<Message>, Unanswerable> {
        if request.key.len() > LONGEST_KEY {
            return Err(Unanswerable);
        }
        let mut answer = Message { kind: request.kind, key: request.key.clone(), ..Message::default() };
        match Kind::try_from(request.kind).map_err(|_| Unanswerable)? {
            Kind::FindNode => answer.closer_peers = self.find(from, &request.key),
            Kind::GetProviders => {
                answer.provider_peers = self.providers(&request.key);
                answer.closer_peers = self.closest(from, &request.key);
            }
            Kind::GetValue => answer.closer_peers = self.closest(from, &request.key),
            Kind::AddProvider => {
                self.add_provider(from, request);
                return Ok(None);
            }
            Kind::Ping => {}
            Kind::PutValue => return Err(Unanswerable),
        }
        Ok(Some(answer))
    }

    fn find(&mut self, from: PeerId, key: &[u8]) -> Vec<Peer> {
        let wanted = PeerId::from_bytes(key).ok().filter(|wanted| *wanted != from);
        let mut found = self.closest(from, key);
        let Some(wanted) = wanted else { return found };
        let is_there = found.iter().any(|peer| peer.id == key);
        if wanted == self.us {
            let own = self.external.iter().cloned().collect();
            found.insert(0, self.peer(wanted, own));
        } else if !is_there && let Some(told) = self.told.get(&wanted).filter(|told| !told.is_empty()) {
            found.insert(0, self.peer(wanted, told.clone()));
        }
        found
    }

    fn closest(&mut self, from: PeerId, key: &[u8]) -> Vec<Peer> {
        let key = KBucketKey::new(key.to_vec());
        let closest: Vec<_> = self.stock.find_closest_local_peers(&key, &from).take(CLOSEST).collect();
        closest.into_iter().map(|peer| self.peer(peer.node_id, peer.multiaddrs)).collect()
    }

    fn providers(&mut self, key: &[u8]) -> Vec<Peer> {
        let (us, key, now) = (self.us, RecordKey::new(&key), Instant::now().into_std());
        let records = self.stock.store_mut().providers(&key).into_iter();
        let records: Vec<ProviderRecord> =
            records.filter(|record| !record.is_expired(now)).take(CLOSEST).collect();
        let of = |record: ProviderRecord| match record.provider {
            // Ours are kept without addresses, since those change.
            provider if provider == us => self.peer(us, self.external.iter().cloned().collect()),
            provider => self.peer(provider, record.addresses),
        };
        records.into_iter().map(of).collect()
    }

    /// A peer provides what it says itself, and for itself alone.
    fn add_provider(&mut self, from: PeerId, request: Message) {
        let Some(provider) = request.provider_peers.into_iter().find(|peer| peer.id == from.to_bytes())
        else {
            return;
        };
        let addresses = provider.addresses.into_iter().take(ADDRESSES_A_PEER);
        let addresses: Vec<Multiaddr> = addresses
            .filter_map(|address| Multiaddr::try_from(address).ok())
            .filter(|address| self.scope.allows(address))
            .collect();
        let mut record = ProviderRecord::new(RecordKey::new(&request.key), from, addresses);
        record.expires = Some((Instant::now() + PROVIDER_TTL).into_std());
        // A full store refuses it.
        let _ = self.stock.store_mut().add_provider(record);
    }

    fn peer(&self, peer: PeerId, addresses: Vec<Multiaddr>) -> Peer {
        let connected = self.told.contains_key(&peer);
        let connection = if connected { Connection::Connected } else { Connection::NotConnected };
        let allowed = addresses.into_iter().filter(|address| self.scope.allows(address));
        Peer {
            id: peer.to_bytes(),
            addresses: allowed.take(ADDRESSES_A_PEER).map(|address| address.to_vec()).collect(),
            connection: connection.into(),
        }
    }
}

/// A request of a kind that is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unanswerable;

impl Deref for PeerRouting {
    type Target = Stock;

    fn deref(&self) -> &Stock {
        &self.stock
    }
}

impl DerefMut for PeerRouting {
    fn deref_mut(&mut self) -> &mut Stock {
        &mut self.stock
    }
}

impl NetworkBehaviour for PeerRouting {
    type ConnectionHandler = ConnectionHandlerSelect<THandler<Stock>, Handler>;
    type ToSwarm = kad::Event;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.stock.handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let stock = self.stock.handle_established_inbound_connection(connection, peer, local, remote)?;
        Ok(stock.select(Handler::new(self.protocol.clone(), self.serves)))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.stock.handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let stock =
            self.stock.handle_established_outbound_connection(connection, peer, address, role, port_use)?;
        Ok(stock.select(Handler::new(self.protocol.clone(), self.serves)))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.external.on_swarm_event(&event);
        match &event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, .. }) => {
                self.connections.insert(*connection_id, *peer_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                remaining_established,
                ..
            }) => {
                self.connections.remove(connection_id);
                self.news.retain(|(id, _)| id != connection_id);
                if *remaining_established == 0 {
                    self.told.remove(peer_id);
                }
            }
            _ => {}
        }
        self.stock.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {
            Either::Left(event) => self.stock.on_connection_handler_event(peer, connection, event),
            Either::Right(Asked { request, reply }) => {
                if let Ok(answer) = self.answer(peer, request) {
                    // It may be gone by now.
                    let _ = reply.send(answer);
                }
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((connection, peer_id)) = self.news.pop_front() {
            let event = Either::Right(Serve(self.serves));
            return Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::One(connection),
                event,
            });
        }
        self.stock.poll(cx).map(|action| action.map_in(Either::Left))
    }
}
