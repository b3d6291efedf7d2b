//! Ports of a router that lead to us, because it was asked to forward them (UPnP's Internet gateway device).
//!
//! A router forgets what it was asked when it starts anew, and its own address changes when the provider wants it so.
//! So it is asked again and again, as go-libp2p does (`p2p/net/nat`), and looked for again when it does not answer.
//! libp2p's own behaviour looks for it once, believes the address that it had then, and asks again after half an hour.
//!
//! Sources: `igd-next`, which speaks to it; UPnP's `WANIPConnection:1`, whose AddPortMapping renews a mapping of the one who
//! asks; UPnP Device Architecture 1.3.2, by which a search is repeated, since it goes over UDP.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use igd_next::{
    AddPortError, PortMappingProtocol as Carrier, SearchOptions,
    aio::{
        Gateway,
        tokio::{Tokio, search_gateway},
    },
};
use libp2p::{Multiaddr, multiaddr::Protocol};
use tokio::{
    runtime::Handle,
    sync::watch,
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::standing::Fact;
use crate::network::addresses::{Scope, source_towards};

/// Between two times that the router is asked, as go-libp2p has it.
const ASK_AGAIN: Duration = Duration::from_secs(20);

/// The same after it was asked in vain so often. There may be none.
const ASK_LATER: Duration = Duration::from_secs(60);
const IN_VAIN: u32 = 20;

/// How long all its answers may take: `igd-next` sets no limit to most of them.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long an answer to one search is waited for: routers take up to three seconds, which the search allows them.
const SEARCH: Duration = Duration::from_secs(4);

/// Searches before it is said that there is none.
const SEARCHES: u32 = 3;

/// In seconds: how long it forwards when we do not ask again. Long enough to be asked in vain a few times.
const LEASE: u32 = 600;

/// Of a router that knows no other.
const FOR_EVER: u32 = 0;

/// How it names the mapping to its owner.
const DESCRIPTION: &str = "petald";

/// Addresses on which we listen that are kept: those of all devices of the machine, of which one is of use.
const ADDRESSES: usize = 64;

/// What the router forwards to us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Mapped {
    /// The addresses that others can dial.
    addresses: BTreeSet<Multiaddr>,
    /// Another number when it may be another router, or the same after a new start.
    router: u64,
}

/// Keeps a router at it until it is dropped.
#[derive(Debug)]
pub(super) struct PortMapping {
    listening: watch::Sender<BTreeSet<Multiaddr>>,
    mapped: watch::Receiver<Mapped>,
    /// As it was told last.
    known: Mapped,
    task: AbortHandle,
}

impl PortMapping {
    /// Looks for a router, and asks it for what is listened on. Addresses out of scope are not taken from it.
    pub(super) fn start(scope: Scope, on: &Handle) -> Self {
        let (listening, wanted) = watch::channel(BTreeSet::new());
        let (told, mapped) = watch::channel(Mapped::default());
        let task = on.spawn(keep_asking(scope, wanted, told)).abort_handle();
        Self { listening, mapped, known: Mapped::default(), task }
    }

    /// We listen there.
    pub(super) fn listens(&self, at: &Multiaddr) {
        if parts(at).is_some() {
            self.listening.send_if_modified(|all| all.len() < ADDRESSES && all.insert(at.clone()));
        }
    }

    /// Not any more.
    pub(super) fn listens_no_more(&self, at: &Multiaddr) {
        self.listening.send_if_modified(|all| all.remove(at));
    }

    /// What has changed since the last time.
    pub(super) fn news(&mut self) -> Vec<Fact> {
        let now = match self.mapped.has_changed() {
            Ok(true) => self.mapped.borrow_and_update().clone(),
            Ok(false) => return Vec::new(),
            // Its task has panicked: nobody renews anything.
            Err(_) => Mapped::default(),
        };
        let before = std::mem::replace(&mut self.known, now.clone());
        for address in before.addresses.difference(&now.addresses) {
            tracing::info!(%address, "the router forwards a port no more");
        }
        for address in now.addresses.difference(&before.addresses) {
            tracing::info!(%address, "the router forwards a port to us");
        }
        now.since(&before)
    }
}

impl Mapped {
    /// What is told of a router that had forwarded `before`.
    fn since(&self, before: &Self) -> Vec<Fact> {
        let other = self.router != before.router;
        let gone = before.addresses.iter().filter(|at| other || !self.addresses.contains(*at));
        let come = self.addresses.iter().filter(|at| other || !before.addresses.contains(*at));
        gone.cloned().map(Fact::Unmapped).chain(come.cloned().map(Fact::Mapped)).collect()
    }
}

impl Drop for PortMapping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why nothing is forwarded.
#[derive(Debug, thiserror::Error)]
enum Failure {
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

async fn keep_asking(
    scope: Scope,
    mut listening: watch::Receiver<BTreeSet<Multiaddr>>,
    told: watch::Sender<Mapped>,
) {
    let mut router = Router { scope, found: None, times: 0, ports: BTreeMap::new() };
    let mut said = String::new();
    let mut failures = 0;
    loop {
        let wanted = listening.borrow_and_update().clone();
        let mut pause = ASK_AGAIN;
        if !wanted.is_empty() {
            let answer = timeout(PATIENCE, router.ask(&wanted)).await.unwrap_or(Err(Failure::Slow));
            let addresses = answer.unwrap_or_else(|failure| {
                // Another one may have taken its place.
                router.found = None;
                failures += 1;
                pause = if failures < IN_VAIN { ASK_AGAIN } else { ASK_LATER };
                let failure = failure.to_string();
                // It is the same for months where there is no such router.
                if failure != said {
                    tracing::info!(cause = failure, "no router forwards a port to us");
                    said = failure;
                }
                BTreeSet::new()
            });
            if !addresses.is_empty() {
                said.clear();
                failures = 0;
            }
            let mapped = Mapped { addresses, router: router.times };
            told.send_if_modified(|before| {
                let changed = *before != mapped;
                *before = mapped;
                changed
            });
        }
        tokio::select! {
            () = sleep(pause) => {}
            changed = listening.changed() => if changed.is_err() { return },
        }
    }
}

/// The router, as far as it was found.
struct Router {
    scope: Scope,
    found: Option<Gateway<Tokio>>,
    /// How often one was found.
    times: u64,
    /// Its ports, where they are others than ours.
    ports: BTreeMap<(u8, u16), u16>,
}

impl Router {
    /// Asks for all of `wanted`, and gives the addresses that lead there.
    async fn ask(&mut self, wanted: &BTreeSet<Multiaddr>) -> Result<BTreeSet<Multiaddr>, Failure> {
        if let Some(gateway) = self.found.clone()
            && let Ok(external) = gateway.get_external_ip().await
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
                Err(cause) => refusal = Some(Failure::Refused { at: at.clone(), cause }),
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
        let key = (u8::from(carrier == Carrier::UDP), inside.port());
        let wanted = self.ports.get(&key).copied().unwrap_or(inside.port());
        let mut answer = gateway.add_port(carrier, wanted, inside, LEASE, DESCRIPTION).await;
        if matches!(answer, Err(AddPortError::OnlyPermanentLeasesSupported)) {
            answer = gateway.add_port(carrier, wanted, inside, FOR_EVER, DESCRIPTION).await;
        }
        match answer {
            Ok(()) => Ok(wanted),
            Err(AddPortError::PortInUse) => {
                let other = gateway.add_any_port(carrier, inside, LEASE, DESCRIPTION).await;
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
fn parts(address: &Multiaddr) -> Option<(Carrier, SocketAddr)> {
    let mut parts = address.iter();
    let Some(Protocol::Ip4(ip)) = parts.next() else { return None };
    match parts.next()? {
        Protocol::Tcp(port) => Some((Carrier::TCP, (ip, port).into())),
        Protocol::Udp(port) => Some((Carrier::UDP, (ip, port).into())),
        _ => None,
    }
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

    fn mapped(addresses: &[&str], router: u64) -> Mapped {
        Mapped { addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(), router }
    }

    #[test]
    fn a_router_that_is_asked_again_is_no_news_and_one_that_was_found_anew_is() {
        let at: Multiaddr = "/ip4/11.0.0.9/tcp/31330".parse().unwrap();
        let (here, there) =
            (mapped(&["/ip4/11.0.0.9/tcp/31330"], 1), mapped(&["/ip4/11.0.0.10/tcp/31330"], 1));
        assert_eq!(here.since(&Mapped::default()), [Fact::Mapped(at.clone())]);
        assert_eq!(here.since(&here), []);
        let again = Mapped { router: 2, ..here.clone() };
        assert_eq!(again.since(&here), [Fact::Unmapped(at.clone()), Fact::Mapped(at.clone())]);
        let moved = there.since(&here);
        assert_eq!(moved, [Fact::Unmapped(at), Fact::Mapped("/ip4/11.0.0.10/tcp/31330".parse().unwrap())]);
        assert_eq!(Mapped::default().since(&there).len(), 1);
    }

    #[test]
    fn a_listen_address_is_told_as_it_is_outside() {
        let quic: Multiaddr = "/ip4/192.168.7.2/udp/31330/quic-v1".parse().unwrap();
        let (carrier, inside) = parts(&quic).unwrap();
        assert_eq!((carrier, inside), (Carrier::UDP, ([192, 168, 7, 2], 31330).into()));
        let outside: Multiaddr = quic.iter().map(|part| moved(part, [11, 0, 0, 9].into(), 40000)).collect();
        assert_eq!(outside.to_string(), "/ip4/11.0.0.9/udp/40000/quic-v1");
        for other in ["/ip6/::1/tcp/1", "/dns4/host/tcp/1", "/ip4/1.1.1.1", "/memory/1"] {
            assert_eq!(parts(&other.parse().unwrap()), None, "{other}");
        }
    }
}
