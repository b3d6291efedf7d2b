//! Which addresses are of use to others, and which we dial.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    pin::Pin,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, Transport,
    core::transport::{DialOpts, ListenerId, PortUse, TransportError, TransportEvent},
    multiaddr::Protocol,
};

/// Which addresses count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Only those that reach from anywhere: no private, loopback, link-local, CGNAT or documentation addresses.
    Public,
    /// All: for swarms within a machine or a private network.
    Private,
}

impl Scope {
    /// Whether `address` may be announced, handed on or dialled. A name counts until it is resolved;
    /// an unspecified address is of use to nobody.
    pub(super) fn allows(self, address: &Multiaddr) -> bool {
        match address.iter().next() {
            Some(Protocol::Ip4(ip)) if ip.is_unspecified() => false,
            Some(Protocol::Ip6(ip)) if ip.is_unspecified() => false,
            Some(Protocol::Ip4(ip)) => self == Self::Private || is_public_v4(ip),
            Some(Protocol::Ip6(ip)) => self == Self::Private || is_public_v6(ip),
            Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)) => {
                self == Self::Private || name != "localhost"
            }
            Some(Protocol::Dnsaddr(_)) => true,
            _ => false,
        }
    }
}

/// Whether a node that keeps to public addresses tells and dials this one. A name counts until it is resolved.
pub fn is_public(address: &Multiaddr) -> bool {
    Scope::Public.allows(address)
}

/// Which of the machine's addresses packets to `remote` leave from, as its routes are now. Sends nothing.
pub(super) fn source_towards(remote: SocketAddr) -> io::Result<IpAddr> {
    let any = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
}

/// What is not one node's address in the public Internet: the special-purpose registries of IANA (RFC 6890).
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    // 100.64.0.0/10 is what carriers give their customers behind NAT (RFC 6598).
    let carrier = a == 100 && (64..128).contains(&b);
    let this_network = a == 0;
    let of_protocols = [a, b, c] == [192, 0, 0];
    let benchmarks = a == 198 && (b & 0xfe) == 18;
    let reserved = a >= 240;
    !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_broadcast())
        && !(ip.is_multicast() || ip.is_documentation() || carrier || this_network)
        && !(of_protocols || benchmarks || reserved)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    if let Some(ip) = ip.to_ipv4_mapped() {
        return is_public_v4(ip);
    }
    let [a, b, ..] = ip.segments();
    let documentation = (a == 0x2001 && b == 0xdb8) || (a == 0x3fff && b < 0x1000);
    let site_local = (a & 0xffc0) == 0xfec0;
    let discarded = a == 0x100;
    !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_multicast())
        && !(documentation || site_local || discarded)
}

/// A transport that dials only what its scope allows, whoever told of the address. Below DNS, so that it sees the
/// addresses to which names resolve.
///
/// In public it dials from the port that we listen on, where that can be done: a NAT then has a door there, which is
/// the one that others see, and through which holes are punched. Within a machine or a private network there is no NAT to
/// please, and two nodes with the same port number could connect to themselves: there every port is a new one.
pub(super) struct Dialable<T> {
    transport: T,
    scope: Scope,
}

impl<T> Dialable<T> {
    pub(super) fn new(transport: T, scope: Scope) -> Self {
        Self { transport, scope }
    }
}

impl<T: Transport + Unpin> Transport for Dialable<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<T::Error>> {
        self.transport.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.transport.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<T::Dial, TransportError<T::Error>> {
        if !self.scope.allows(&address) {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        let port_use = match self.scope {
            Scope::Public => options.port_use,
            Scope::Private => PortUse::New,
        };
        self.transport.dial(address, DialOpts { port_use, ..options })
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<T::ListenerUpgrade, T::Error>> {
        Pin::new(&mut self.transport).poll(cx)
    }
}
