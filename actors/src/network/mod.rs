//! The network: there is a libp2p swarm with our identity, listening, within its limits.
//!
//! The swarm runs in a task of its own (`driver.rs`), on whichever runtime it is given; the actor
//! here watches that task. On the arbiter's own runtime a call costs least, since no thread has to be
//! woken for it; on another one, an actor that is busy for long would not slow the swarm. Others use a [`Handle`], which is not bound to an incarnation of the actor:
//! commands wait in its queue while the network is restarted, and the handlers that are served stay.
//! What a restart loses: connections and the calls on them, and libp2p's routing table. Ports that were
//! bound for port 0 are bound again.
//!
//! A call to a peer without a connection dials what is known of it, then asks Kademlia once, and dials
//! again; all who wait for the same peer share that attempt. Peers enter Kademlia's table when identify
//! has shown that they serve `/ipfs/kad/1.0.0`, and leave it when they do not answer a dial. Source:
//! go-libp2p-daemon opens streams in the same way (`persistent_stream.go`, `host.NewStream` on a
//! routed host).

mod addresses;
mod dial_failure;
mod dialer;
mod driver;
mod handle;
mod hole_punching;
mod limits;
mod listening;
mod messages;
mod passage;
mod peer_routing;
mod peers;
mod reach;
mod swarm;
#[cfg(test)]
pub(crate) mod tests;
mod transport;
mod visitor;
mod withheld;

use std::{pin::Pin, time::Duration};

use actix::{Actor, AsyncContext, Context, Handler, WrapFuture};
use hivemind_proto::unary;
use libp2p::{Multiaddr, identity::Keypair};
use tokio::{sync::watch, task::AbortHandle};

use crate::supervisor::{Birth, Drain, Probe, ProbeReport};
use driver::{Driver, Pulse};

pub use addresses::is_public;
pub use handle::{Commands, Handle};
pub use limits::Refusals;
pub use messages::{Command, ConnectError, NetworkEvent, NetworkStatus, PeerAddresses, PeerStatus};
pub use passage::{Departures, Passage};
pub use reach::{Reach, ReachStatus, RelayService, Settings as ReachSettings, Verdict};
pub use visitor::Visitor;

/// A driver that has not shown itself for this long hangs. It shows itself every second.
const DRIVER_SILENCE: Duration = Duration::from_secs(30);

/// What the network is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Who we are. Its peer id must be that of the [`Handle`].
    pub keypair: Keypair,
    /// Where we listen. A port may be 0.
    pub listen: Vec<Multiaddr>,
    /// What we tell others about where we are. When empty: what is found out about it.
    pub announce: Vec<Multiaddr>,
    /// Whether private, loopback, link-local and CGNAT addresses are announced, handed on and dialled.
    pub private_addresses: bool,
    /// The program's name and version, as identify tells it.
    pub agent_version: String,
    /// How others reach us, and each other through us.
    pub reach: ReachSettings,
    /// Bounds of the connections.
    pub limits: Limits,
    /// Bounds of the calls.
    pub unary: unary::Settings,
    /// Where the swarm runs.
    pub pool: tokio::runtime::Handle,
}

/// Bounds of the connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections to one peer. Two peers that dial each other at once have two.
    pub established_per_peer: u32,
    /// Connections with peers in one /24 of IPv4, or /48 of IPv6, that others opened. Addresses that are not public
    /// are not bounded by it.
    pub established_per_range: u32,
    /// Connections that others opened. The rest of all connections is kept for our own.
    pub established_incoming: u32,
    /// All connections.
    pub established: u32,
    /// Connections being made, in each direction.
    pub pending: u32,
    /// How long a connection is kept over which nothing goes.
    pub idle: Duration,
    /// The same with a peer that never called a handler, and of which none was called; whom we have asked for is none of
    /// these.
    pub stranger_idle: Duration,
    /// Calls and others that wait for a connection.
    pub waiting: usize,
    /// FIND_NODE lookups at once.
    pub lookups: usize,
    /// How long a dial may take, handshakes included.
    pub dial_deadline: Duration,
    /// How long a lookup may take.
    pub lookup_deadline: Duration,
    /// Between two pings of a connection. One on which two in a row are not answered is closed: TCP itself would try
    /// for a quarter of an hour, and every call on it would run into its deadline.
    pub ping_interval: Duration,
    /// How long an answer to a ping may take.
    pub ping_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            established_per_peer: 4,
            // A rack of servers behind one router has a place each; an eighth of all places in any case.
            established_per_range: 64,
            // A descriptor and some 50 KiB each; a service has 1024 descriptors by default.
            established_incoming: 384,
            established: 512,
            pending: 128,
            // Hivemind peers call each other every few minutes (records are renewed after 60 to 120 s, tables
            // refreshed after some minutes), and p2pd keeps idle connections as well; a new one costs four round trips.
            idle: Duration::from_secs(600),
            // Time for whatever it came for. Others of libp2p's swarms, who walk through all peers, never come back.
            stranger_idle: Duration::from_secs(60),
            waiting: 4096,
            // Each asks about twenty peers.
            lookups: 16,
            // Four round trips over a satellite line; longer than the 3 s of a DHT call in any case.
            dial_deadline: Duration::from_secs(5),
            // A lookup that passes dead peers waits for their dials.
            lookup_deadline: Duration::from_secs(10),
            // A link that was cut is noticed within half a minute, and NAT mappings stay open. A ping is some hundred
            // bytes, and 10 µs of work.
            ping_interval: Duration::from_secs(10),
            ping_deadline: Duration::from_secs(5),
        }
    }
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Another program listens there, or the address is not ours.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// Where.
        address: Multiaddr,
        /// What the system says.
        cause: String,
    },
    /// The identity cannot sign.
    #[error("the identity cannot be used: {0}")]
    Identity(String),
}

/// The actor that keeps the driver alive.
pub struct Network {
    settings: Settings,
    handle: Handle,
    /// In a box, since an actor must be movable and this is not.
    commands: Pin<Box<Commands>>,
    birth: Birth,
    pulse: watch::Receiver<Pulse>,
    driver: Option<AbortHandle>,
}

impl Network {
    /// A network at the other end of `handle`.
    pub fn new(settings: Settings, handle: Handle, commands: Commands, birth: Birth) -> Self {
        let (_, pulse) = watch::channel(Pulse::default());
        Self { settings, handle, commands: Box::pin(commands), birth, pulse, driver: None }
    }
}

impl Actor for Network {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let (pulse, watched) = watch::channel(Pulse::default());
        self.pulse = watched.clone();
        let (settings, handle, commands) =
            (self.settings.clone(), self.handle.clone(), Commands::clone(&self.commands));
        let driver = self.settings.pool.spawn(async move {
            let driver = Driver::start(settings, handle, pulse).await?;
            driver.run(commands).await
        });
        self.driver = Some(driver.abort_handle());
        let death = async move {
            match driver.await {
                Ok(Ok(())) => panic!("the network's driver ended: nobody can send it commands"),
                Ok(Err(error)) => panic!("{error}"),
                Err(error) => panic!("the network's driver died: {error}"),
            }
        };
        ctx.spawn(death.into_actor(self));
        let ready = self.birth.ready.clone();
        let mut watched = watched;
        let bound = async move {
            // An error means that the driver is gone, which is seen above.
            if watched.wait_for(|pulse| pulse.bound).await.is_ok() {
                ready.notify();
            }
        };
        ctx.spawn(bound.into_actor(self));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }
}

impl Handler<Probe> for Network {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Context<Self>) -> ProbeReport {
        let pulse = self.pulse.borrow();
        let silence = pulse.silence();
        assert!(silence <= DRIVER_SILENCE, "the network's driver hangs: silent for {silence:?}");
        ProbeReport::of(&pulse.status)
    }
}

impl Handler<Drain> for Network {
    type Result = ();

    /// There is nothing to finish: whoever needs connections stands below us, and has drained before.
    fn handle(&mut self, _: Drain, _: &mut Context<Self>) {}
}
