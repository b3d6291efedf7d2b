//! A stranger's way into the network: an identity that nobody knows, and connections that are nobody else's.

use std::{any::Any, fmt, rc::Rc};

use futures::future::{FutureExt, LocalBoxFuture};
use libp2p::identity::Keypair;

use super::{Handle, Limits, NetworkError, ReachSettings, Settings, Visitor};

/// Connections of one stranger: the search calls a peer of each at most, eight at once.
const CONNECTIONS: u32 = 600;

/// Connections being made. A dead address holds one for its deadline.
const PENDING: u32 = 64;

/// The same of one that meets every peer of a swarm, and leaves whom it has met.
const CRAWL_CONNECTIONS: u32 = 1024;
const CRAWL_PENDING: u32 = 512;

/// A network under a fresh identity, for as long as the value lives.
pub struct Passage {
    /// How it is used.
    pub network: Handle,
    /// What ends it when it is dropped.
    pub guard: Box<dyn Any>,
}

/// Makes a passage whenever somebody has to be met as by a stranger.
#[derive(Clone)]
pub struct Departures(Rc<dyn Fn() -> LocalBoxFuture<'static, Result<Passage, NetworkError>>>);

impl Departures {
    /// Passages made by `depart`: for a simulated network.
    pub fn by(depart: impl Fn() -> LocalBoxFuture<'static, Result<Passage, NetworkError>> + 'static) -> Self {
        Self(Rc::new(depart))
    }

    /// Passages through swarms of their own, like the one of `settings` but for the identity and what it listens to.
    pub fn like(settings: Settings) -> Self {
        Self::within(CONNECTIONS, PENDING, settings)
    }

    /// The same for somebody who meets every peer of a swarm.
    pub fn crawling(settings: Settings) -> Self {
        Self::within(CRAWL_CONNECTIONS, CRAWL_PENDING, settings)
    }

    fn within(established: u32, pending: u32, settings: Settings) -> Self {
        Self::by(move || {
            let limits = Limits {
                established_per_peer: 2,
                established_incoming: 0,
                established,
                pending,
                ..settings.limits.clone()
            };
            let settings = Settings {
                keypair: Keypair::generate_ed25519(),
                listen: Vec::new(),
                announce: Vec::new(),
                reach: ReachSettings { kad: settings.reach.kad.clone(), ..ReachSettings::visitor() },
                limits,
                ..settings.clone()
            };
            async {
                let visitor = Visitor::start(settings).await?;
                Ok(Passage { network: visitor.handle().clone(), guard: Box::new(visitor) })
            }
            .boxed_local()
        })
    }

    /// A passage of its own.
    pub fn depart(&self) -> LocalBoxFuture<'static, Result<Passage, NetworkError>> {
        (self.0)()
    }
}

impl fmt::Debug for Departures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Departures")
    }
}
