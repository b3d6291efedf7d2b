//! Of what kind an address is.

use std::net::IpAddr;

use libp2p::{Multiaddr, multiaddr::Protocol};

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Family {
    V4,
    V6,
}

/// TCP or QUIC: one may be let through where the other is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Carrier {
    Tcp,
    Udp,
}

/// The IP address at the beginning.
pub(super) fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// Of an address that begins with an IP address.
pub(super) fn family(address: &Multiaddr) -> Option<Family> {
    ip(address).map(|ip| if ip.is_ipv4() { Family::V4 } else { Family::V6 })
}

/// Both of an address that is of either.
pub(super) fn kind(address: &Multiaddr) -> Option<(Family, Carrier)> {
    let carrier = match address.iter().nth(1)? {
        Protocol::Tcp(_) => Carrier::Tcp,
        Protocol::Udp(_) => Carrier::Udp,
        _ => return None,
    };
    Some((family(address)?, carrier))
}
