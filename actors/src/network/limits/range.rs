//! Where a connection comes from, as coarse as addresses are given out: whoever has one address of a range can have
//! all of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libp2p::{Multiaddr, multiaddr::Protocol};

use super::super::addresses::is_public;

/// A /24 of IPv4, a /48 of IPv6, or a single address where it is not a public one: behind that stand a proxy of ours,
/// our own network or this machine, which nobody from outside can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Range {
    first: IpAddr,
    pub(super) is_public: bool,
}

impl Range {
    /// The range of a peer's address; none for a relayed connection, whose peer is not seen.
    pub(super) fn of(address: &Multiaddr) -> Option<Self> {
        if address.iter().any(|part| part == Protocol::P2pCircuit) {
            return None;
        }
        let ip = match address.iter().next()? {
            Protocol::Ip4(ip) => IpAddr::V4(ip),
            Protocol::Ip6(ip) => ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4),
            _ => return None,
        };
        if !is_public(address) {
            return Some(Self { first: ip, is_public: false });
        }
        let first = match ip {
            IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & (u32::MAX << 8)).into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 80)).into(),
        };
        Some(Self { first, is_public: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Option<Range> {
        Range::of(&address.parse().unwrap())
    }

    #[test]
    fn neighbours_share_a_range() {
        assert_eq!(of("/ip4/9.9.9.7/tcp/1"), of("/ip4/9.9.9.250/udp/9/quic-v1"));
        assert_eq!(of("/ip4/9.9.9.7/tcp/1"), of("/ip6/::ffff:9.9.9.8/tcp/1"));
        assert_ne!(of("/ip4/9.9.9.7/tcp/1"), of("/ip4/9.9.10.7/tcp/1"));
        assert_eq!(of("/ip6/2600:1:2:3::1/tcp/1"), of("/ip6/2600:1:2:ffff::9/tcp/1"));
        assert_ne!(of("/ip6/2600:1:2:3::1/tcp/1"), of("/ip6/2600:1:3:3::1/tcp/1"));
    }

    #[test]
    fn what_is_not_public_stands_for_itself() {
        for (one, other) in
            [("127.0.0.1", "127.0.0.2"), ("10.0.0.1", "10.0.0.2"), ("100.64.0.1", "100.64.0.2")]
        {
            let of = |ip| of(&format!("/ip4/{ip}/tcp/1")).unwrap();
            assert_ne!(of(one), of(other));
            assert!(!of(one).is_public);
        }
        let relay = "12D3KooWCLmQZ4BKSQne7hYU6Md9KjcgWATeD8shnzsR79TZifGW";
        assert_eq!(of(&format!("/ip4/9.9.9.7/tcp/1/p2p/{relay}/p2p-circuit")), None);
    }
}
