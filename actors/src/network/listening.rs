//! The ports on which we listen: whether they are free, and which were bound for port 0.

use std::{io, net::IpAddr, time::Duration};

use libp2p::{Multiaddr, multiaddr::Protocol};
use tokio::{net::TcpSocket, time::sleep};

/// A predecessor that was aborted may hold its port for a moment: bind so often, with this wait between.
const BIND_ATTEMPTS: u32 = 20;
const BIND_WAIT: Duration = Duration::from_millis(100);

/// The port of `address`, of TCP or of UDP.
pub(super) fn port(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| match part {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    })
}

/// `address` with `bound` for its port, if that is 0.
pub(super) fn with_port(address: Multiaddr, bound: Option<u16>) -> Multiaddr {
    let Some(bound) = bound else { return address };
    let part = |part| match part {
        Protocol::Tcp(0) => Protocol::Tcp(bound),
        Protocol::Udp(0) => Protocol::Udp(bound),
        other => other,
    };
    address.iter().map(part).collect()
}

/// libp2p's listeners share their port (`SO_REUSEPORT`) with any other process of this user that does
/// the same: two nodes would listen on one port, each getting half of the callers. So a plain socket
/// is bound first, and closed again.
pub(super) async fn wait_until_free(address: &Multiaddr) -> io::Result<()> {
    let mut parts = address.iter();
    let (ip, port) = match (parts.next(), parts.next()) {
        (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) => (IpAddr::from(ip), port),
        (Some(Protocol::Ip6(ip)), Some(Protocol::Tcp(port))) => (IpAddr::from(ip), port),
        _ => return Ok(()),
    };
    let mut attempt = 1;
    loop {
        let socket = if ip.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        match socket.bind((ip, port).into()).and_then(|()| socket.listen(1)) {
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && attempt < BIND_ATTEMPTS => {
                attempt += 1;
                sleep(BIND_WAIT).await;
            }
            Err(e) => return Err(e),
        }
    }
}
