//! Names in addresses.
//!
//! The network's transport resolves `/dns`, `/dns4`, `/dns6` and `/dnsaddr` at every dial, and keeps an answer no longer
//! than its time to live. It reads the system's list of name servers once, though, when the network starts, and may
//! outlive it by months: a machine that has moved since would never find its bootstraps again. So when a dial has
//! failed, names are looked up anew by the system's own resolver, which follows that list. `/dnsaddr` is left to the
//! transport: the system knows no such records.

use std::{net::SocketAddr, time::Duration};

use libp2p::{Multiaddr, multiaddr::Protocol};
use tokio::{net::lookup_host, time::timeout};

/// How long one name may take. The system's resolver tries a server for 5 s by default.
const DEADLINE: Duration = Duration::from_secs(5);

/// Addresses of one name.
const MOST_ADDRESSES: usize = 8;

/// What the names among `addresses` stand for now.
pub(super) async fn resolve(addresses: &[Multiaddr]) -> Vec<Multiaddr> {
    let mut resolved = Vec::new();
    for address in addresses {
        let mut parts = address.iter();
        let (Some(host), Some(Protocol::Tcp(port))) = (parts.next(), parts.next()) else { continue };
        let (name, wants_v4, wants_v6) = match &host {
            Protocol::Dns(name) => (name, true, true),
            Protocol::Dns4(name) => (name, true, false),
            Protocol::Dns6(name) => (name, false, true),
            _ => continue,
        };
        let Ok(Ok(found)) = timeout(DEADLINE, lookup_host((name.as_ref(), port))).await else { continue };
        let wanted = |found: &SocketAddr| if found.is_ipv4() { wants_v4 } else { wants_v6 };
        resolved.extend(found.filter(wanted).take(MOST_ADDRESSES).map(of_socket));
    }
    resolved
}

fn of_socket(socket: SocketAddr) -> Multiaddr {
    Multiaddr::empty().with(socket.ip().into()).with(Protocol::Tcp(socket.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn names_become_addresses_of_their_kind() {
        let any = resolve(&addresses(&["/dns/localhost/tcp/31337", "/ip4/192.0.2.1/tcp/1"])).await;
        assert!(!any.is_empty() && any.len() <= 2, "{any:?}");
        assert!(any.iter().all(|address| address.to_string().ends_with("/tcp/31337")));
        let v4 = resolve(&addresses(&["/dns4/localhost/tcp/1"])).await;
        assert_eq!(v4, addresses(&["/ip4/127.0.0.1/tcp/1"]));
        // Not the system's business, or nobody's.
        assert!(resolve(&addresses(&["/dnsaddr/localhost", "/dns6/nowhere.invalid/tcp/1"])).await.is_empty());
    }
}
