//! The libp2p swarm: its transport and its behaviours, all stock but for unary calls.

use std::{num::NonZeroUsize, time::Duration};

use hivemind_proto::unary::{self, Registry};
use libp2p::{
    PeerId, StreamProtocol, Swarm, Transport,
    connection_limits::{self, ConnectionLimits},
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    dns, identify,
    kad::{self, store::MemoryStore},
    noise, ping,
    swarm::{self, NetworkBehaviour},
    tcp, yamux,
};

use super::{
    Limits, NetworkError, Settings,
    addresses::{Dialable, Scope},
    coalescing::Coalescing,
};

/// The name under which IPFS and hivemind peers route to each other.
pub(super) const KAD: StreamProtocol = StreamProtocol::new("/ipfs/kad/1.0.0");

/// What identify calls this family of protocols; go-libp2p has the same.
const PROTOCOL_VERSION: &str = "ipfs/0.1.0";

/// Streams of one connection. The default of 512 closes a connection on which a p2pd makes more calls
/// at once, and more than 4096 do not fit into yamux's fixed window of 1 GiB for a connection.
const STREAMS: usize = 4096;

/// Streams of one connection whose handshake is under way. More wait, and over 256 waiting are reset:
/// the default of 128 loses calls of a burst.
const NEGOTIATING_STREAMS: usize = 1024;

/// How long a connection without streams is kept. Hivemind peers call each other every few minutes
/// (records are renewed after 60 to 120 s, tables refreshed after some minutes), and p2pd keeps idle
/// connections as well; a new one costs four round trips.
const IDLE: Duration = Duration::from_secs(600);

/// Peers whose addresses are remembered after identify, connected or not: a call to one of them needs
/// no lookup.
const REMEMBERED_PEERS: usize = 1000;

/// Values that others store with libp2p's Kademlia: Petals has no use for them, so there are few.
const STORED_VALUES: usize = 64;
/// In bytes.
const STORED_VALUE: usize = 4 * 1024;
/// Keys for which providers are kept.
const PROVIDED_KEYS: usize = 1024;

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    // First, so that nothing else sees a connection that is over the limits.
    pub(super) limits: connection_limits::Behaviour,
    pub(super) unary: unary::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) kad: kad::Behaviour<MemoryStore>,
    pub(super) ping: ping::Behaviour,
}

fn transport(
    settings: &Settings,
    registry: &Registry,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, NetworkError> {
    let tcp = || {
        let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
        Dialable::new(tcp, settings.scope())
    };
    let base = dns::tokio::Transport::system(tcp()).map(Transport::boxed).unwrap_or_else(|error| {
        tracing::warn!(%error, "no DNS: only peers with an IP address can be dialled");
        tcp().boxed()
    });
    let noise = noise::Config::new(&settings.keypair).map_err(|e| NetworkError::Identity(e.to_string()))?;
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(STREAMS);
    let (unary, registry) = (settings.unary.clone(), registry.clone());
    Ok(base
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(Coalescing(muxer))
        .timeout(settings.limits.dial_deadline)
        .map(move |(peer, muxer), _| {
            let muxer = unary::Muxer::new(muxer, peer, unary.clone(), registry.clone());
            (peer, StreamMuxerBox::new(muxer))
        })
        .boxed())
}

fn kad(peer: PeerId, limits: &Limits) -> kad::Behaviour<MemoryStore> {
    let store = kad::store::MemoryStoreConfig {
        max_records: STORED_VALUES,
        max_value_bytes: STORED_VALUE,
        max_provided_keys: PROVIDED_KEYS,
        ..kad::store::MemoryStoreConfig::default()
    };
    let mut config = kad::Config::new(KAD);
    config
        // Peers enter the table when identify has shown that they serve it, with addresses in scope.
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_query_timeout(limits.lookup_deadline)
        .set_replication_interval(None)
        .set_publication_interval(None);
    // Server or client follows from whether there is an address to announce. It looks for its
    // neighbourhood by itself, half a second after the first peer has entered, and every 5 minutes.
    kad::Behaviour::with_config(peer, MemoryStore::with_config(peer, store), config)
}

pub(super) fn build(settings: &Settings, registry: Registry) -> Result<Swarm<Behaviour>, NetworkError> {
    let peer = settings.keypair.public().to_peer_id();
    let limits = &settings.limits;
    let connections = ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits.pending))
        .with_max_pending_outgoing(Some(limits.pending))
        .with_max_established_incoming(Some(limits.established_incoming))
        .with_max_established(Some(limits.established))
        .with_max_established_per_peer(Some(limits.established_per_peer));
    let identify = identify::Config::new(PROTOCOL_VERSION.to_owned(), settings.keypair.public())
        .with_agent_version(settings.agent_version.clone())
        .with_cache_size(REMEMBERED_PEERS)
        // Only what is announced is told.
        .with_hide_listen_addrs(true);
    let transport = transport(settings, &registry)?;
    let behaviour = Behaviour {
        limits: connection_limits::Behaviour::new(connections),
        unary: unary::Behaviour::new(settings.unary.clone(), registry),
        identify: identify::Behaviour::new(identify),
        kad: kad(peer, limits),
        ping: ping::Behaviour::new(
            ping::Config::new().with_interval(limits.ping_interval).with_timeout(limits.ping_deadline),
        ),
    };
    let pool = settings.pool.clone();
    let config = swarm::Config::with_executor(move |task| {
        pool.spawn(task);
    })
    .with_idle_connection_timeout(IDLE)
    .with_max_negotiating_inbound_streams(NEGOTIATING_STREAMS)
    .with_notify_handler_buffer_size(NOTIFY_BUFFER)
    // The request travels with the proposal: one round trip less for each call.
    .with_substream_upgrade_protocol_override(Version::V1Lazy);
    Ok(Swarm::new(transport, behaviour, peer, config))
}

/// Calls on their way to one connection's task. While it is full the whole swarm waits for that task.
const NOTIFY_BUFFER: NonZeroUsize = NonZeroUsize::new(64).expect("64 is not 0");

impl Settings {
    pub(super) fn scope(&self) -> Scope {
        if self.private_addresses { Scope::Private } else { Scope::Public }
    }
}
