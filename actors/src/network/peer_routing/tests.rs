//! What is answered to whom.

use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    kad::{self, store::MemoryStore},
    swarm::{
        ConnectionId, FromSwarm, NetworkBehaviour,
        behaviour::{ConnectionEstablished, ExternalAddrConfirmed},
    },
};

use super::{
    super::{addresses::Scope, swarm::KAD},
    LONGEST_KEY, PeerRouting, Unanswerable,
    wire::{self, Connection, Kind, Message, Peer},
};

struct Lab {
    us: PeerId,
    routing: PeerRouting,
    connections: usize,
}

fn address(last: u8) -> Multiaddr {
    format!("/ip4/11.0.0.{last}/tcp/4001").parse().unwrap()
}

impl Lab {
    fn new() -> Self {
        let us = PeerId::random();
        let stock = kad::Behaviour::with_config(us, MemoryStore::new(us), kad::Config::new(KAD));
        Self { us, routing: PeerRouting::new(us, stock, KAD, Scope::Public), connections: 0 }
    }

    /// A peer that is connected, and says where it is.
    fn connect(&mut self, told: &[Multiaddr]) -> PeerId {
        let (peer, id) = (PeerId::random(), ConnectionId::new_unchecked(self.connections));
        self.connections += 1;
        let endpoint = ConnectedPoint::Dialer {
            address: address(250),
            role_override: Endpoint::Dialer,
            port_use: PortUse::New,
        };
        self.routing.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: id,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: 0,
        }));
        self.routing.tell(peer, told.to_vec());
        peer
    }

    fn ask(&mut self, from: PeerId, kind: Kind, key: &[u8]) -> Result<Option<Message>, Unanswerable> {
        self.routing.answer(from, Message { kind: kind.into(), key: key.to_vec(), ..Message::default() })
    }

    fn closer(&mut self, from: PeerId, kind: Kind, key: &[u8]) -> Vec<Peer> {
        self.ask(from, kind, key).unwrap().unwrap().closer_peers
    }
}

#[test]
fn a_client_of_kademlia_is_found_through_us_while_it_is_connected() {
    let mut lab = Lab::new();
    let (asker, client, server) =
        (PeerId::random(), lab.connect(&[address(1), address(2)]), PeerId::random());
    lab.routing.add_address(&server, address(3));
    let found = lab.closer(asker, Kind::FindNode, &client.to_bytes());
    let expected = Peer {
        id: client.to_bytes(),
        addresses: vec![address(1).to_vec(), address(2).to_vec()],
        connection: Connection::Connected.into(),
    };
    assert_eq!(found[0], expected);
    assert_eq!(found[1].id, server.to_bytes());
    // Not to itself, and not as somebody whom others could ask.
    let of_client = |found: &[Peer]| found.iter().any(|peer| peer.id == client.to_bytes());
    assert!(!of_client(&lab.closer(client, Kind::FindNode, &client.to_bytes())));
    assert!(!of_client(&lab.closer(asker, Kind::FindNode, &PeerId::random().to_bytes())));
    assert!(!of_client(&lab.closer(asker, Kind::GetValue, &client.to_bytes())));
}

#[test]
fn we_are_found_where_we_announce() {
    let mut lab = Lab::new();
    let asker = PeerId::random();
    let us = lab.us;
    lab.routing.on_swarm_event(FromSwarm::ExternalAddrConfirmed(ExternalAddrConfirmed { addr: &address(9) }));
    let found = lab.closer(asker, Kind::FindNode, &us.to_bytes());
    assert_eq!((found[0].id.clone(), found[0].addresses.clone()), (us.to_bytes(), vec![address(9).to_vec()]));
    lab.routing.start_providing(kad::RecordKey::new(b"model")).unwrap();
    let providers = lab.ask(asker, Kind::GetProviders, b"model").unwrap().unwrap().provider_peers;
    assert_eq!(providers, [Peer { id: us.to_bytes(), addresses: vec![address(9).to_vec()], connection: 0 }]);
}

#[test]
fn a_peer_provides_for_itself_alone_and_at_public_addresses() {
    let mut lab = Lab::new();
    let (provider, other) = (PeerId::random(), PeerId::random());
    let private: Multiaddr = "/ip4/192.168.1.1/tcp/1".parse().unwrap();
    let peer = |id: PeerId| Peer {
        id: id.to_bytes(),
        addresses: vec![address(1).to_vec(), private.to_vec(), vec![0xff]],
        connection: 0,
    };
    let request = Message {
        kind: Kind::AddProvider.into(),
        key: b"model".to_vec(),
        provider_peers: vec![peer(other), peer(provider)],
        ..Message::default()
    };
    assert_eq!(lab.routing.answer(provider, request), Ok(None));
    let providers = lab.ask(other, Kind::GetProviders, b"model").unwrap().unwrap().provider_peers;
    assert_eq!(providers, [Peer { addresses: vec![address(1).to_vec()], ..peer(provider) }]);
}

#[test]
fn what_nobody_should_ask_is_not_answered() {
    let mut lab = Lab::new();
    let asker = PeerId::random();
    assert_eq!(lab.ask(asker, Kind::PutValue, b"key"), Err(Unanswerable));
    assert_eq!(lab.ask(asker, Kind::FindNode, &[0; LONGEST_KEY + 1]), Err(Unanswerable));
    let unknown = Message { kind: 17, ..Message::default() };
    assert_eq!(lab.routing.answer(asker, unknown), Err(Unanswerable));
    assert_eq!(lab.ask(asker, Kind::Ping, b""), Ok(Some(Message { kind: 5, ..Message::default() })));
}

#[tokio::test]
async fn a_request_is_bounded_before_it_is_held() {
    let read = async |bytes: &[u8]| wire::read(&mut futures::io::Cursor::new(bytes.to_vec())).await;
    assert_eq!(read(&[]).await.unwrap(), None);
    let request = Message { kind: Kind::FindNode.into(), key: b"key".to_vec(), ..Message::default() };
    let bytes = prost::Message::encode_length_delimited_to_vec(&request);
    assert_eq!(read(&bytes).await.unwrap(), Some(request));
    for wrong in
        [&bytes[..bytes.len() - 1], &[0x80], &[0xff, 0xff, 0xff, 0xff], &[0x81, 0x80, 0x02], &[2, 0x0a, 0xff]]
    {
        assert!(read(wrong).await.is_err(), "{wrong:?}");
    }
}
