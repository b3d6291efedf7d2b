//! A router, and what it is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use igd_next::{
    AddPortError, PortMappingProtocol, SearchOptions,
    aio::{
        Gateway,
        tokio::{Tokio, search_gateway},
    },
};
use libp2p::{Multiaddr, multiaddr::Protocol};
use tokio::time::timeout;

use super::super::kind::{Carrier, Family, ip, kind};
use crate::network::{
    addresses::{Scope, source_towards},
    listening::port,
};

/// How long an answer to one search is waited for: routers take up to three seconds, which the search allows them. One
/// that was found, and says nothing for as long, is looked for anew.
const SEARCH: Duration = Duration::from_secs(4);

/// Searches before it is said that there is none.
const SEARCHES: u32 = 3;

/// In seconds: how long it forwards when we do not ask again. Long enough to be asked in vain a few times.
const LEASE: u32 = 600;

/// Of a router that knows no other.
const FOR_EVER: u32 = 0;

/// How it names the mapping to its owner.
const DESCRIPTION: &str = "petald";

/// Why nothing is forwarded.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("no router was found that speaks UPnP: {0}")]
    NoRouter(#[from] igd_next::SearchError),
    #[error("the router tells no address of its own: {0}")]
    NoAddress(#[from] igd_next::GetExternalIpError),
    #[error("the router has no public address itself, but {0}")]
    NotPublic(IpAddr),
    #[error("the router cannot be reached: {0}")]
    NoRoute(#[from] io::Error),
    #[error("the router does not forward {at}: {cause}")]
    Refused { at: Multiaddr, cause: String },
    #[error("the router took too long to answer")]
    Slow,
}

/// The router, as far as it was found.
pub(super) struct Router {
    scope: Scope,
    found: Option<Gateway<Tokio>>,
    times: u64,
    /// Its ports, where they are others than ours.
    ports: BTreeMap<(Carrier, u16), u16>,
}

impl Router {
    /// None is known. Only one with an address in scope is of use.
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, found: None, times: 0, ports: BTreeMap::new() }
    }

    /// Another one may have taken its place.
    pub(super) fn forget(&mut self) {
        self.found = None;
    }

    /// How often one was found: another number when it may be another one, or the same after a new start.
    pub(super) fn times(&self) -> u64 {
        self.times
    }

    /// Asks for all of `wanted`, and gives the addresses that lead there.
    pub(super) async fn ask(&mut self, wanted: &BTreeSet<Multiaddr>) -> Result<BTreeSet<Multiaddr>, Failure> {
        if let Some(gateway) = self.found.clone()
            && let Ok(Ok(external)) = timeout(SEARCH, gateway.get_external_ip()).await
        {
            return self.forward(&gateway, external, wanted).await;
        }
        let gateway = search().await?;
        self.times += 1;
        let external = gateway.get_external_ip().await?;
        self.found = Some(gateway.clone());
        self.forward(&gateway, external, wanted).await
    }

    async fn forward(
        &mut self,
        gateway: &Gateway<Tokio>,
        external: IpAddr,
        wanted: &BTreeSet<Multiaddr>,
    ) -> Result<BTreeSet<Multiaddr>, Failure> {
        if !self.scope.allows(&Multiaddr::from(external).with(Protocol::Tcp(1))) {
            return Err(Failure::NotPublic(external));
        }
        let ours = source_towards(gateway.addr)?;
        let (mut addresses, mut refusal) = (BTreeSet::new(), None);
        for at in wanted {
            // A machine has addresses in other networks too, which the router does not know.
            let Some((carrier, inside)) = parts(at).filter(|(_, inside)| inside.ip() == ours) else {
                continue;
            };
            match self.port(gateway, carrier, inside).await {
                Ok(outside) => {
                    addresses.insert(at.iter().map(|part| moved(part, external, outside)).collect());
                }
                Err(cause) => {
                    tracing::debug!(%at, cause, "the router does not forward a port");
                    refusal = Some(Failure::Refused { at: at.clone(), cause });
                }
            }
        }
        match refusal {
            Some(refusal) if addresses.is_empty() => Err(refusal),
            _ => Ok(addresses),
        }
    }

    /// A port of the router that leads to `inside`: the same one, if nobody else has it.
    async fn port(
        &mut self,
        gateway: &Gateway<Tokio>,
        carrier: Carrier,
        inside: SocketAddr,
    ) -> Result<u16, String> {
        let key = (carrier, inside.port());
        let protocol = match carrier {
            Carrier::Tcp => PortMappingProtocol::TCP,
            Carrier::Udp => PortMappingProtocol::UDP,
        };
        let wanted = self.ports.get(&key).copied().unwrap_or(inside.port());
        let mut answer = gateway.add_port(protocol, wanted, inside, LEASE, DESCRIPTION).await;
        if matches!(answer, Err(AddPortError::OnlyPermanentLeasesSupported)) {
            answer = gateway.add_port(protocol, wanted, inside, FOR_EVER, DESCRIPTION).await;
        }
        match answer {
            Ok(()) => Ok(wanted),
            Err(AddPortError::PortInUse) => {
                let other = gateway.add_any_port(protocol, inside, LEASE, DESCRIPTION).await;
                let other = other.map_err(|error| error.to_string())?;
                self.ports.insert(key, other);
                Ok(other)
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The first router that answers.
async fn search() -> Result<Gateway<Tokio>, igd_next::SearchError> {
    let mut searches = 0;
    loop {
        let options = SearchOptions { timeout: Some(SEARCH), ..SearchOptions::default() };
        searches += 1;
        match search_gateway(options).await {
            Err(_) if searches < SEARCHES => {}
            other => return other,
        }
    }
}

/// What a router has to know of an address.
pub(super) fn parts(address: &Multiaddr) -> Option<(Carrier, SocketAddr)> {
    let (Family::V4, carrier) = kind(address)? else { return None };
    Some((carrier, SocketAddr::new(ip(address)?, port(address)?)))
}

/// A part of a listen address as it is outside.
fn moved<'a>(part: Protocol<'a>, ip: IpAddr, port: u16) -> Protocol<'a> {
    match part {
        Protocol::Ip4(_) => ip.into(),
        Protocol::Tcp(_) => Protocol::Tcp(port),
        Protocol::Udp(_) => Protocol::Udp(port),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listen_address_is_told_as_it_is_outside() {
        let quic: Multiaddr = "/ip4/192.168.7.2/udp/31330/quic-v1".parse().unwrap();
        let (carrier, inside) = parts(&quic).unwrap();
        assert_eq!((carrier, inside), (Carrier::Udp, ([192, 168, 7, 2], 31330).into()));
        let outside: Multiaddr = quic.iter().map(|part| moved(part, [11, 0, 0, 9].into(), 40000)).collect();
        assert_eq!(outside.to_string(), "/ip4/11.0.0.9/udp/40000/quic-v1");
        for other in ["/ip6/::1/tcp/1", "/dns4/host/tcp/1", "/ip4/1.1.1.1", "/memory/1"] {
            assert_eq!(parts(&other.parse().unwrap()), None, "{other}");
        }
    }
}
