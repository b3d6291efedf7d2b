//! What the connections tell: which of them end with an address.

use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    swarm::ConnectionId,
};

use super::super::facts::Ways;

fn at(address: &str) -> Multiaddr {
    address.parse().unwrap()
}

fn dialled(address: &str, role_override: Endpoint) -> ConnectedPoint {
    ConnectedPoint::Dialer { address: at(address), role_override, port_use: PortUse::Reuse }
}

fn came_in(local: &str) -> ConnectedPoint {
    ConnectedPoint::Listener { local_addr: at(local), send_back_addr: at("/ip4/11.0.0.9/tcp/4001") }
}

#[test]
fn a_connection_ends_with_the_address_that_it_goes_over() {
    let mut ways = Ways::default();
    // What leaves for this machine leaves from where it goes to.
    let endpoints = [
        came_in("/ip4/192.168.7.2/tcp/31330"),
        came_in("/ip4/192.168.7.3/tcp/31330"),
        dialled("/ip4/127.0.0.1/tcp/4001", Endpoint::Dialer),
        dialled("/ip4/127.0.0.1/tcp/4001", Endpoint::Listener),
        dialled("/dns/host.example/tcp/4001", Endpoint::Dialer),
        dialled("/ip4/11.0.0.9/tcp/4001/p2p-circuit", Endpoint::Dialer),
    ];
    for (number, endpoint) in endpoints.iter().enumerate() {
        ways.opened(ConnectionId::new_unchecked(number), PeerId::random(), endpoint);
    }
    let over = |address, announced| {
        let mut over = ways.over(&at(address), announced);
        over.sort_unstable();
        over
    };
    let connections = |numbers: &[usize]| -> Vec<ConnectionId> {
        numbers.iter().map(|number| ConnectionId::new_unchecked(*number)).collect()
    };
    assert_eq!(over("/ip4/192.168.7.2/tcp/31330", false), connections(&[0]));
    assert_eq!(over("/ip4/127.0.0.1/udp/1/quic-v1", false), connections(&[2, 3]));
    // Nobody knows where the one that was dialled by name leaves from.
    assert_eq!(over("/ip4/192.168.7.3/tcp/31330", true), connections(&[1, 4]));
    assert_eq!(over("/ip4/192.168.7.9/tcp/31330", false), []);
    assert_eq!(over("/memory/1", true), []);
}
