//! The tree of actors, and what each is made of. The order within the swarm branch is [`petald_actors::swarm`]'s.
//!
//! ```text
//! root             one_for_one
//! ├─ swarm         rest_for_one
//! │  ├─ network    there is a libp2p swarm with our identity, listening, within its limits
//! │  ├─ dht        hivemind's DHT is answered, searched and written to
//! │  ├─ bootstrap  we are joined; initial peers are never forgotten
//! │  ├─ server_info  one validated account of what we serve, on disk
//! │  ├─ backend    the announced state follows the model server behind us; only if the config names one
//! │  ├─ rpc_info   whoever asks is told
//! │  ├─ announcer  every record of ours is at its replicas
//! │  ├─ pinger     our record tells how long the way to the following blocks is
//! │  ├─ reachability  all know how others reach us; who asks whether a peer can be called is told what a stranger finds
//! │  └─ observer   a stranger's view of us: the only source of "visible"
//! └─ ops           one_for_one
//!    ├─ monitor    what the whole swarm looks like from outside is known
//!    ├─ history    how servers were seen over time is remembered
//!    ├─ alerts     the operator is told of changes; only if the config names whom and how
//!    ├─ admin      the API for the operator
//!    ├─ config_keeper  SIGHUP: all actors get the new settings, or none
//!    └─ watchdog   the service manager is fed while every actor answers
//! ```

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hivemind_proto::{
    dht,
    records::{ModelInfo, RecordError, ServerInfo, ServerState, provider_key},
    unary,
};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use petald_actors::{
    admin::{self, Admin, Bound, Doors, TreeCell},
    alerts::{self, Alerts},
    announcer,
    bootstrap::{self, InitialPeer, PeerMemory},
    clock::{SharedClock, SystemClock},
    config_keeper::{self, ConfigKeeper, Live, Reloads},
    history::{self, History, messages::Histories},
    monitor::{self, Monitor, messages::SwarmStates},
    network::{self, Network},
    observer::{
        self,
        messages::{Opinion, Opinions},
    },
    pinger, reachability, rpc_info,
    server_info::{self, Memory, Offer, messages::Field},
    supervisor::{self, Backoff, Child, Intensity, Slot, Strategy},
    swarm::{self, Seats},
    watchdog::{self, Watchdog},
};
use tokio::sync::watch;

use crate::{
    config::{Config, Serving, State, Swarm, Whom},
    crawler::Crawler,
    foundation::Foundation,
    reload::{self, Reloading},
    service_manager::Managed,
};

/// Commands that wait while the network is busy or being restarted. A caller whose deadline has passed has left.
pub(crate) const NETWORK_COMMANDS: usize = 1024;

/// Between two crawls that are that close, what the first saw is taken to have held. Three of the usual period, and time
/// for those of a large swarm, which are farther apart.
const LONGEST_GAP: Duration = Duration::from_secs(300);

/// How long one call of the DHT may take: hivemind's `wait_timeout`.
const DHT_CALL_DEADLINE: Duration = Duration::from_secs(3);

/// The longest pause between two attempts at an initial peer, or at an announcement that failed.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// The whole tree, described. `network` is how anybody reaches the network, and `commands` its other end.
pub(crate) fn root(
    foundation: &Foundation,
    network: &network::Handle,
    commands: &network::Commands,
    cell: TreeCell,
    bound: watch::Sender<Option<Bound>>,
    reloading: &Reloading,
) -> Result<Child, RecordError> {
    let (opinion, visibility) = watch::channel(Arc::new(Opinion::none()));
    let (swarm, seats) = swarm(foundation, network, commands, opinion)?;
    let doors = Doors {
        server_info: seats.server_info.slot.clone(),
        announcer: seats.announcer.slot.clone(),
        monitor: Slot::new(),
    };
    let monitor = foundation.config.monitor.enabled.then(|| monitor(foundation, network, &doors.monitor));
    let plan = monitor.as_ref().map(|(_, _, plan)| plan.clone());
    let name = Live::new(foundation.config.node.public_name.clone());
    let keeper = config_keeper(foundation, reloading, reload::Concerned { seats, name: name.clone(), plan });
    let reloads = reloading.reloads.subscribe();
    let monitor = monitor.map(|(child, states, _)| (child, states));
    let beside = Beside { doors, name, keeper, reloads, monitor };
    let children = vec![swarm, ops(foundation, cell, bound, visibility, beside)];
    Ok(supervisor::supervisor("root", Strategy::OneForOne, Intensity::OF_SUPERVISORS, children))
}

fn swarm(
    foundation: &Foundation,
    handle: &network::Handle,
    commands: &network::Commands,
    opinion: watch::Sender<Arc<Opinion>>,
) -> Result<(Child, Seats), RecordError> {
    let config = &foundation.config;
    let clock: SharedClock = Arc::new(SystemClock);
    let patience = |actor: &str| config.supervisor.of(actor);
    let network = {
        let (settings, handle, commands) = (network_settings(foundation), handle.clone(), commands.clone());
        let build = move |birth| Network::new(settings.clone(), handle.clone(), commands.clone(), birth);
        supervisor::actor("network", &Slot::new(), patience("network"), build)
    };
    let settings = swarm::Settings {
        dht: dht_settings(foundation),
        bootstrap: bootstrap_settings(config),
        server_info: server_info_settings(config)?,
        backend: config.backend.clone(),
        rpc_info: rpc_info::Settings { dht_client_mode: false },
        announcer: announcer_settings(foundation),
        pinger: pinger_settings(foundation),
        reachability: reachability_settings(foundation),
        observer: Some(observer_settings(foundation, opinion)),
    };
    Ok(swarm::branch(settings, network, handle, &clock, patience))
}

/// What the ops branch deals with of the rest of the tree.
struct Beside {
    doors: Doors,
    name: Live<Option<String>>,
    keeper: Child,
    reloads: watch::Receiver<Reloads>,
    monitor: Option<(Child, SwarmStates)>,
}

fn ops(
    foundation: &Foundation,
    tree: TreeCell,
    bound: watch::Sender<Option<Bound>>,
    visibility: Opinions,
    Beside { doors, name, keeper, reloads, monitor }: Beside,
) -> Child {
    let config = &foundation.config;
    let (monitor, swarm) = monitor.unzip();
    let history = swarm.clone().filter(|_| config.history.enabled).map(|swarm| history(foundation, swarm));
    let (history, histories) = history.unzip();
    let alerts = histories.clone().filter(|_| !config.alerts.is_empty()).map(|seen| alerts(foundation, seen));
    let settings = admin::Settings {
        listen: config.admin.listen.clone(),
        token: config.admin.token.clone(),
        crash_endpoint: config.debug.crash_endpoint,
        name,
        version: env!("CARGO_PKG_VERSION").into(),
        peer_id: foundation.identity.peer_id(),
        started: foundation.started,
        visibility: visibility.clone(),
        swarm,
        history: histories,
        clock: Arc::new(SystemClock),
        log: Some(Arc::new(foundation.log().clone())),
        doors,
        tree: Arc::clone(&tree),
        bound,
    };
    let admin = config.admin.enabled.then(|| {
        let build = move |birth| Admin::new(settings.clone(), birth);
        supervisor::actor("admin", &Slot::new(), config.supervisor.of("admin"), build)
    });
    let watchdog = {
        let Managed { manager, patience } = foundation.managed.clone();
        let settings = watchdog::Settings { manager, patience, tree, visibility, reloads };
        let build = move |birth| Watchdog::new(settings.clone(), birth);
        supervisor::actor("watchdog", &Slot::new(), config.supervisor.of("watchdog"), build)
    };
    let seeing = monitor.into_iter().chain(history).chain(alerts);
    let children = seeing.chain(admin).chain([keeper, watchdog]).collect();
    supervisor::supervisor("ops", Strategy::OneForOne, Intensity::default(), children)
}

/// The monitor, what it sees, and what it looks at.
fn monitor(
    foundation: &Foundation,
    handle: &network::Handle,
    slot: &Slot<Monitor>,
) -> (Child, SwarmStates, Live<monitor::Plan>) {
    let config = &foundation.config;
    let (states, seen) = watch::channel(None);
    let plan = Live::new(plan(config));
    // Without a thread of its own it shares the node's.
    let crawler = Crawler::start().inspect_err(|error| tracing::warn!(%error, "no thread for crawls")).ok();
    let pool = crawler.as_ref().and_then(Crawler::handle).unwrap_or_else(|| foundation.pool.clone());
    let stranger = network::Settings { pool: pool.clone(), ..network_settings(foundation) };
    let settings = monitor::Settings {
        plan: plan.clone(),
        when: config.monitor.crawl,
        interval: config.monitor.interval,
        departures: network::Departures::crawling(stranger),
        pool,
        states,
        seed: rand::random(),
    };
    let (handle, clock): (_, SharedClock) = (handle.clone(), Arc::new(SystemClock));
    let build = move |birth| {
        // It lives as long as the monitor can be started again.
        let _ = &crawler;
        Monitor::new(settings.clone(), handle.clone(), clock.clone(), birth)
    };
    (supervisor::actor("monitor", slot, config.supervisor.of("monitor"), build), seen, plan)
}

/// What the monitor looks at: our own model is one of those that are named.
pub(crate) fn plan(config: &Config) -> monitor::Plan {
    let own = config.serving.as_ref().and_then(|serving| {
        let info = ModelInfo::new(serving.model.num_blocks, serving.model.repository.clone()).ok()?;
        Some((serving.model.dht_prefix.clone(), info))
    });
    let mut models: Vec<_> = own.into_iter().collect();
    for model in &config.monitor.models {
        if models.iter().all(|(prefix, _)| *prefix != model.0) {
            models.push(model.clone());
        }
    }
    let initial_peers = initial_peers(config).into_iter();
    monitor::Plan {
        initial_peers: initial_peers.map(|initial| (initial.peer, initial.addresses)).collect(),
        models,
        deadline: config.monitor.deadline,
        servers_at_once: config.monitor.servers_at_once as usize,
        period: Some(config.monitor.interval),
    }
}

/// The history, and where it tells what it knows.
fn history(foundation: &Foundation, crawls: SwarmStates) -> (Child, Histories) {
    let config = &foundation.config;
    let (keep, max_file_bytes) = (config.history.keep, config.history.max_file_bytes);
    let gap = LONGEST_GAP;
    let (told, histories) = watch::channel(history::nothing_yet(keep, gap, max_file_bytes));
    let disk = history::Disk::in_file(config.history_file());
    let settings = history::Settings { keep, max_file_bytes, gap, disk, crawls, told };
    let build = move |birth| History::new(settings.clone(), birth);
    (supervisor::actor("history", &Slot::new(), config.supervisor.of("history"), build), histories)
}

fn alerts(foundation: &Foundation, histories: Histories) -> Child {
    let config = &foundation.config;
    let own = foundation.identity.peer_id();
    let rules = config.alerts.iter().map(|alert| alerts::Rule {
        name: alert.name.clone(),
        peer: match alert.peer {
            Whom::Ourselves => own,
            Whom::Peer(peer) => peer,
        },
        on: alert.on.clone(),
        after: alert.after.as_secs(),
        target: alert.target.clone(),
    });
    let settings = alerts::Settings { rules: rules.collect(), histories, seed: rand::random() };
    let build = move |birth| Alerts::new(settings.clone(), birth);
    supervisor::actor("alerts", &Slot::new(), config.supervisor.of("alerts"), build)
}

fn config_keeper(foundation: &Foundation, reloading: &Reloading, concerned: reload::Concerned) -> Child {
    let config = &foundation.config;
    let Reloading { wanted, reloads } = reloading.clone();
    let read = reload::read(config.clone(), foundation.log().clone(), concerned);
    let settings = config_keeper::Settings { read, wanted, reloads };
    let build = move |birth| ConfigKeeper::new(settings.clone(), birth);
    supervisor::actor("config_keeper", &Slot::new(), config.supervisor.of("config_keeper"), build)
}

fn network_settings(foundation: &Foundation) -> network::Settings {
    let config = &foundation.config.network;
    network::Settings {
        keypair: foundation.identity.keypair().clone(),
        listen: config.listen.clone(),
        announce: config.announce.clone(),
        private_addresses: config.private_addresses,
        agent_version: concat!("petald/", env!("CARGO_PKG_VERSION")).into(),
        reach: reach_settings(&foundation.config),
        limits: network::Limits {
            established: config.max_connections.get(),
            established_incoming: config.max_incoming_connections.get(),
            pending: config.max_pending_connections.get(),
            established_per_range: config.max_connections_per_range.get(),
            established_per_peer: config.max_connections_per_peer.get(),
            idle: config.max_idle,
            stranger_idle: config.max_idle_of_strangers,
            ..network::Limits::default()
        },
        unary: unary::Settings {
            inbound_per_peer: config.max_calls_per_peer,
            inbound_bytes: config.max_call_bytes,
            ..unary::Settings::default()
        },
        pool: foundation.pool.clone(),
    }
}

fn reach_settings(config: &Config) -> network::ReachSettings {
    let network = &config.network;
    let model = config.serving.as_ref().map(|serving| &serving.model.dht_prefix);
    network::ReachSettings {
        kad: network.kad_protocol.clone(),
        provides: model.map(provider_key),
        upnp: network.upnp,
        use_relays: network.use_relays,
        relays: network.relays.iter().filter_map(split_peer_id).collect(),
        relay_service: network.relay_service.clone(),
        ..network::ReachSettings::default()
    }
}

fn dht_settings(foundation: &Foundation) -> petald_actors::dht::Settings {
    let config = &foundation.config.dht;
    let node = dht::Settings {
        id: foundation.node_id,
        client_mode: false,
        storage: config.storage.clone(),
        cache: config.cache.clone(),
        acceptance: config.acceptance,
        caching: dht::Caching::default(),
        seed: rand::random(),
    };
    petald_actors::dht::Settings { node, call_deadline: DHT_CALL_DEADLINE }
}

fn bootstrap_settings(config: &Config) -> bootstrap::Settings {
    let memory = PeerMemory::in_file(config.known_peers_file());
    bootstrap::Settings { initial_peers: initial_peers(config), retry: retry(), memory, seed: rand::random() }
}

/// The initial peers, each with all its addresses.
pub(crate) fn initial_peers(config: &Config) -> Vec<InitialPeer> {
    let mut initial_peers: Vec<InitialPeer> = Vec::new();
    for (peer, address) in config.network.initial_peers.iter().filter_map(split_peer_id) {
        match initial_peers.iter_mut().find(|known| known.peer == peer) {
            Some(known) => known.addresses.push(address),
            None => initial_peers.push(InitialPeer { peer, addresses: vec![address] }),
        }
    }
    initial_peers
}

fn announcer_settings(foundation: &Foundation) -> announcer::Settings {
    let config = &foundation.config;
    announcer::Settings {
        own_peer: foundation.identity.peer_id(),
        period: config.announce.period,
        ttl: config.announce.ttl,
        retry: retry(),
        may_be_alone: config.network.swarm == Swarm::Seed,
        seed: rand::random(),
    }
}

fn observer_settings(foundation: &Foundation, opinion: watch::Sender<Arc<Opinion>>) -> observer::Settings {
    let initial_peers = initial_peers(&foundation.config).into_iter();
    observer::Settings {
        initial_peers: initial_peers.map(|initial| (initial.peer, initial.addresses)).collect(),
        interval: foundation.config.observer.interval,
        retry: retry(),
        departures: network::Departures::like(network_settings(foundation)),
        double_at_start: foundation.double.clone(),
        pool: foundation.pool.clone(),
        opinion,
        seed: rand::random(),
    }
}

fn reachability_settings(foundation: &Foundation) -> reachability::Settings {
    let departures = network::Departures::like(network_settings(foundation));
    reachability::Settings { departures }
}

/// Where another process answers under our identity, looked for before there is a tree. It is told, and no reason not to
/// start: the other one may be about to end.
pub(crate) async fn double(foundation: &Foundation) -> Option<Multiaddr> {
    let initial_peers: Vec<_> = bootstrap_settings(&foundation.config)
        .initial_peers
        .into_iter()
        .map(|initial| (initial.peer, initial.addresses))
        .collect();
    let own = foundation.identity.peer_id();
    let departures = network::Departures::like(network_settings(foundation));
    let double = observer::double::elsewhere(&departures, own, &initial_peers).await;
    if let Some(address) = &double {
        tracing::warn!(
            %address,
            "another process answers under our identity: two nodes with one key take each other's records and \
             connections away"
        );
    }
    double
}

fn pinger_settings(foundation: &Foundation) -> pinger::Settings {
    pinger::Settings {
        own_peer: foundation.identity.peer_id(),
        period: foundation.config.announce.period,
        seed: rand::random(),
    }
}

fn retry() -> Backoff {
    Backoff {
        first: Duration::from_millis(500),
        cap: LONGEST_RETRY,
        reset_after: LONGEST_RETRY,
        ..Backoff::default()
    }
}

/// One memory for all incarnations: made here, once in the life of the process.
fn server_info_settings(config: &Config) -> Result<server_info::Settings, RecordError> {
    Ok(server_info::Settings {
        offer: offer(config)?,
        stated: stated(config),
        dialable: config.network.private_addresses || !config.network.announce.is_empty(),
        memory: Memory::in_file(config.server_info_file()),
    })
}

/// What of the offer the operator states.
pub(crate) fn stated(config: &Config) -> Vec<Field> {
    config.serving.as_ref().map(|serving| serving.server.stated.clone()).unwrap_or_default()
}

/// What is offered. Without a backend nothing is known of the model server, so `auto` claims no more than JOINING.
pub(crate) fn offer(config: &Config) -> Result<Option<Offer>, RecordError> {
    let Some(Serving { model, server }) = &config.serving else { return Ok(None) };
    let state = match server.state {
        State::Online => ServerState::Online,
        State::Auto | State::Joining => ServerState::Joining,
    };
    Ok(Some(Offer {
        prefix: model.dht_prefix.clone(),
        model: ModelInfo::new(model.num_blocks, model.repository.clone())?,
        server: ServerInfo {
            public_name: config.node.public_name.clone(),
            version: Some(server.version.clone()),
            network_rps: server.network_rps,
            forward_rps: server.forward_rps,
            inference_rps: server.inference_rps,
            adapters: server.adapters.clone(),
            torch_dtype: server.torch_dtype.clone(),
            quant_type: server.quant_type.clone(),
            using_relay: Some(false),
            cache_tokens_left: server.cache_tokens_left,
            // Petals' servers tell an empty map where nobody is to be pinged; nil is what one says that leaves.
            next_pings: Some(BTreeMap::new()),
            ..ServerInfo::new(state, server.throughput, server.blocks)
        },
    }))
}

/// An address without the peer id at its end, and that id.
fn split_peer_id(address: &Multiaddr) -> Option<(PeerId, Multiaddr)> {
    let mut address = address.clone();
    match address.pop() {
        Some(Protocol::P2p(peer)) => Some((peer, address)),
        _ => None,
    }
}
