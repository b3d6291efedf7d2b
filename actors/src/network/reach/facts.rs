//! What the connections tell about our addresses.
//!
//! identify tells each side where it sees the other: of a connection that we opened, the source of our packets; of one
//! that the other opened, the address that it dialled (`libp2p identify spec`, observedAddr).

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint},
    multiaddr::Protocol,
    swarm::ConnectionId,
};

use super::{
    kind::{Family, family, ip, kind},
    standing::Fact,
};
use crate::network::{addresses::source_towards, listening::port};

/// How a connection came about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// We dialled this.
    Out(Multiaddr),
    /// The peer dialled us.
    In,
    /// Both dialled, through a hole in a NAT: neither was reached by a stranger.
    Punched,
    /// Through a relay, over the connection to it.
    Relayed,
}

#[derive(Debug)]
struct Connection {
    peer: PeerId,
    way: Way,
    /// Our address at this end, where that is known: of a connection that we opened to a name it is not.
    ours: Option<IpAddr>,
}

/// The connections, as far as they tell something. As many as there are connections.
#[derive(Debug, Default)]
pub(super) struct Ways(HashMap<ConnectionId, Connection>);

impl Ways {
    pub(super) fn opened(&mut self, id: ConnectionId, peer: PeerId, endpoint: &ConnectedPoint) {
        let (way, ours) = match endpoint {
            endpoint if endpoint.is_relayed() => (Way::Relayed, None),
            ConnectedPoint::Dialer { role_override: Endpoint::Listener, address, .. } => {
                (Way::Punched, source(address))
            }
            ConnectedPoint::Dialer { address, .. } => (Way::Out(address.clone()), source(address)),
            ConnectedPoint::Listener { local_addr, .. } => (Way::In, ip(local_addr)),
        };
        self.0.insert(id, Connection { peer, way, ours });
    }

    /// The connections that end with an address of ours, which was `announced` or not. The kernel keeps them, and tells
    /// nobody that nothing comes through any more.
    pub(super) fn over(&self, address: &Multiaddr, announced: bool) -> Vec<ConnectionId> {
        let Some(lost) = ip(address) else { return Vec::new() };
        let over = |connection: &Connection| match connection.ours {
            Some(ours) => ours == lost,
            None => announced && connection.way != Way::Relayed,
        };
        self.0.iter().filter(|(_, connection)| over(connection)).map(|(id, _)| *id).collect()
    }

    pub(super) fn closed(&mut self, id: &ConnectionId) {
        self.0.remove(id);
    }

    /// What it means that `peer` sees us at `observed`, where we listen at `listening`. `own_port`: our dials leave from a
    /// port on which we listen, as far as it can be done.
    pub(super) fn seen(
        &self,
        id: &ConnectionId,
        observed: &Multiaddr,
        listening: &[Multiaddr],
        own_port: bool,
    ) -> Option<Fact> {
        let Connection { peer: by, way, .. } = self.0.get(id)?;
        let observed = without_peer(observed.clone());
        match way {
            Way::Relayed | Way::Punched => None,
            Way::In => Some(Fact::Dialled { by: *by, at: observed }),
            Way::Out(_) => {
                let mut at: BTreeSet<Multiaddr> =
                    listening.iter().filter_map(|own| translated(own, &observed)).collect();
                // The NAT may have put another port in the place of ours: whoever sees it can use it.
                if own_port && !at.is_empty() {
                    at.insert(observed);
                }
                Some(Fact::Seen { by: *by, at: at.into_iter().collect() })
            }
        }
    }

    /// The family of addresses over which `peer` is connected.
    pub(super) fn family_of(&self, peer: &PeerId) -> Family {
        self.dialled(peer).as_ref().and_then(family).unwrap_or(Family::V4)
    }

    /// Where we dialled `peer` directly.
    pub(super) fn dialled(&self, peer: &PeerId) -> Option<Multiaddr> {
        self.0.values().find_map(|connection| match &connection.way {
            Way::Out(address) if connection.peer == *peer => Some(without_peer(address.clone())),
            _ => None,
        })
    }
}

/// Where a connection leaves from that is opened now.
fn source(remote: &Multiaddr) -> Option<IpAddr> {
    source_towards((ip(remote)?, port(remote)?).into()).ok()
}

/// `own` as it is seen from outside, if the machine is seen at the IP address of `observed`.
fn translated(own: &Multiaddr, observed: &Multiaddr) -> Option<Multiaddr> {
    let seen = ip(observed)?;
    (kind(own)? == kind(observed)?).then(|| {
        let rest = own.iter().skip(1);
        std::iter::once(Protocol::from(seen)).chain(rest).collect()
    })
}

/// An address without the peer id at its end.
pub(super) fn without_peer(mut address: Multiaddr) -> Multiaddr {
    if let Some(Protocol::P2p(_)) = address.iter().last() {
        address.pop();
    }
    address
}
