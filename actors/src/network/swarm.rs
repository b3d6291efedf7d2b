//! The libp2p swarm: its transport and its behaviours, all stock but for unary calls.

use std::{num::NonZeroUsize, time::Duration};

use hivemind_proto::{
    connection::STREAMS,
    unary::{self, Registry},
};
use libp2p::{
    PeerId, StreamProtocol, Swarm, autonat,
    core::upgrade::Version,
    dcutr, identify,
    kad::{
        self, ProviderRecord, RecordKey,
        store::{MemoryStore, RecordStore},
    },
    ping, relay,
    swarm::{self, NetworkBehaviour, behaviour::toggle::Toggle},
};

use super::{
    Limits, NetworkError, ReachSettings, RelayService, Settings, addresses::Scope, limits,
    peer_routing::PeerRouting, transport, withheld::Withheld,
};

/// The name under which IPFS and hivemind peers route to each other.
pub(super) const KAD: StreamProtocol = StreamProtocol::new("/ipfs/kad/1.0.0");

/// What identify calls this family of protocols; go-libp2p has the same.
const PROTOCOL_VERSION: &str = "ipfs/0.1.0";

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
    pub(super) limits: limits::Behaviour,
    pub(super) unary: unary::Behaviour,
    pub(super) identify: identify::Behaviour,
    pub(super) kad: PeerRouting,
    pub(super) ping: ping::Behaviour,
    pub(super) autonat: Toggle<Withheld<autonat::v1::Behaviour>>,
    pub(super) relay_client: Withheld<relay::client::Behaviour>,
    pub(super) relay: Toggle<relay::Behaviour>,
    pub(super) dcutr: Toggle<dcutr::Behaviour>,
}

/// How soon after the start others are asked to dial us: by then the first peers are connected.
const FIRST_PROBE: Duration = Duration::from_secs(2);

/// Between two requests while it is not known whether they can. Each goes to another peer; one that finds a closed door
/// may take 15 s to answer (go-libp2p `autonat/options.go`, dialTimeout), so that some are under way at once.
const PROBE_AGAIN: Duration = Duration::from_secs(4);

/// Between two requests once it is known.
const PROBE_REFRESH: Duration = Duration::from_secs(300);

/// Between two requests to one peer. go-libp2p answers one peer three times a minute.
const PROBE_SAME_PEER: Duration = Duration::from_secs(45);

/// How long a peer may take to dial us.
const PROBE_DEADLINE: Duration = Duration::from_secs(25);

/// Answers that agree before they are asked for less often.
const PROBES_THAT_AGREE: usize = 2;

/// A time that does not come.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

fn autonat(peer: PeerId, scope: Scope) -> autonat::v1::Behaviour {
    let asks = scope == Scope::Public;
    let config = autonat::v1::Config {
        timeout: PROBE_DEADLINE,
        // In a private network every address is where it seems to be.
        boot_delay: if asks { FIRST_PROBE } else { NEVER },
        retry_interval: PROBE_AGAIN,
        refresh_interval: PROBE_REFRESH,
        throttle_server_period: PROBE_SAME_PEER,
        use_connected: asks,
        confidence_max: PROBES_THAT_AGREE,
        only_global_ips: asks,
        ..autonat::v1::Config::default()
    };
    autonat::v1::Behaviour::new(peer, config)
}

fn relay(peer: PeerId, service: &RelayService) -> relay::Behaviour {
    let config = relay::Config {
        max_reservations: service.reservations,
        max_reservations_per_peer: 1,
        max_circuits: service.circuits,
        max_circuits_per_peer: service.circuits_per_peer,
        max_circuit_duration: service.circuit_duration,
        max_circuit_bytes: service.circuit_bytes,
        ..relay::Config::default()
    };
    let mut relay = relay::Behaviour::new(peer, config);
    // Whoever switched it on wants it, whatever is known of our own addresses.
    relay.set_status(Some(relay::Status::Enable));
    relay
}

fn kad(peer: PeerId, reach: &ReachSettings, limits: &Limits) -> kad::Behaviour<MemoryStore> {
    let (name, provides) = (reach.kad.clone(), reach.provides.as_ref());
    let store = kad::store::MemoryStoreConfig {
        max_records: STORED_VALUES,
        max_value_bytes: STORED_VALUE,
        max_provided_keys: PROVIDED_KEYS,
        ..kad::store::MemoryStoreConfig::default()
    };
    let mut config = kad::Config::new(name);
    config
        .set_kbucket_size(reach.kad_bucket)
        // Peers enter the table when identify has shown that they serve it, with addresses in scope.
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_query_timeout(limits.lookup_deadline)
        .set_replication_interval(None)
        .set_publication_interval(None);
    // It looks for its neighbourhood by itself, half a second after the first peer has entered, and every 5 minutes.
    let mut store = MemoryStore::with_config(peer, store);
    if let Some(key) = provides {
        // Its place is taken before others can fill the store, so it cannot fail.
        let _ = store.add_provider(ProviderRecord::new(RecordKey::new(key), peer, Vec::new()));
    }
    // Others are answered from when there is an address at which we can be dialled: `reach` says when.
    kad::Behaviour::with_config(peer, store, config)
}

pub(super) fn build(settings: &Settings, registry: Registry) -> Result<Swarm<Behaviour>, NetworkError> {
    let peer = settings.keypair.public().to_peer_id();
    let (limits, reach) = (&settings.limits, &settings.reach);
    let (relay_transport, relay_client) = relay::client::new(peer);
    let identify = identify::Config::new(PROTOCOL_VERSION.to_owned(), settings.keypair.public())
        .with_agent_version(settings.agent_version.clone())
        .with_cache_size(REMEMBERED_PEERS)
        // Only what is announced is told.
        .with_hide_listen_addrs(true);
    let transport = transport::build(settings, relay_transport, &registry)?;
    let counted = registry.clone();
    let calls = Box::new(move |peer: &PeerId| counted.calls_with(peer));
    let behaviour = Behaviour {
        limits: limits::Behaviour::new(limits, calls),
        unary: unary::Behaviour::new(settings.unary.clone(), registry),
        identify: identify::Behaviour::new(identify),
        kad: PeerRouting::new(peer, kad(peer, reach, limits), reach.kad.clone(), settings.scope()),
        ping: ping::Behaviour::new(
            ping::Config::new().with_interval(limits.ping_interval).with_timeout(limits.ping_deadline),
        ),
        autonat: reach.autonat.then(|| Withheld(autonat(peer, settings.scope()))).into(),
        relay_client: Withheld(relay_client),
        relay: reach.relay_service.as_ref().map(|service| relay(peer, service)).into(),
        dcutr: reach.hole_punching.then(|| dcutr::Behaviour::new(peer)).into(),
    };
    let (pool, idle) = (settings.pool.clone(), limits.stranger_idle);
    let config = swarm::Config::with_executor(move |task| {
        pool.spawn(task);
    })
    // Others are kept for longer: `limits` sees to it.
    .with_idle_connection_timeout(idle)
    // Each stream is read until it is known what it is for: one that waited for its turn would hold a full window.
    .with_max_negotiating_inbound_streams(STREAMS)
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
