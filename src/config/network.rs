//! `[network]`: the swarm, and how we take part in it.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use hivemind_proto::unary::InboundBytes;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, StreamProtocol};
use petald_actors::network::{RelayService, is_public};

use super::section::Section;
use super::values::{
    boolean, bytes, count, count_up_to, dialable_address, duration, list, listen_address, path, peer_address,
    protocol, word,
};

/// How a node comes to its swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Swarm {
    /// It joins one through initial peers.
    Join,
    /// It may be the first of a new one.
    Seed,
}

const SWARM: &[(&str, Swarm)] = &[("join", Swarm::Join), ("seed", Swarm::Seed)];

/// `[network]`
#[derive(Debug, Clone)]
pub(crate) struct Network {
    /// Where we listen; a port may be 0.
    pub(crate) listen: Vec<Multiaddr>,
    /// Where others are told to find us; if empty, what is found out about it.
    pub(crate) announce: Vec<Multiaddr>,
    /// Whether we join a swarm or may begin one.
    pub(crate) swarm: Swarm,
    /// Peers to join through, each with its id.
    pub(crate) initial_peers: Vec<Multiaddr>,
    /// Whether loopback and private addresses are told to others and dialled.
    pub(crate) private_addresses: bool,
    /// The name of libp2p's Kademlia.
    pub(crate) kad_protocol: StreamProtocol,
    /// Whether a router is asked to forward our ports.
    pub(crate) upnp: bool,
    /// Whether relays stand in for us while nobody can dial us.
    pub(crate) use_relays: bool,
    /// Those that are asked first, each with its id.
    pub(crate) relays: Vec<Multiaddr>,
    /// What we do for others as a relay, if anything.
    pub(crate) relay_service: Option<RelayService>,
    /// The file that holds our key, if not the one in the data folder.
    pub(crate) identity: Option<PathBuf>,
    /// The most connections at a time, in both directions.
    pub(crate) max_connections: NonZeroU32,
    /// The most that others have opened.
    pub(crate) max_incoming_connections: NonZeroU32,
    /// The most that are being made at a time, in each direction.
    pub(crate) max_pending_connections: NonZeroU32,
    /// The most that others have opened from one range of public addresses.
    pub(crate) max_connections_per_range: NonZeroU32,
    /// The most connections with one peer at a time.
    pub(crate) max_connections_per_peer: NonZeroU32,
    /// How long a connection is kept over which nothing goes.
    pub(crate) max_idle: Duration,
    /// The same with a peer that never called a handler, and of which none was called.
    pub(crate) max_idle_of_strangers: Duration,
    /// The most calls of one peer under way.
    pub(crate) max_calls_per_peer: usize,
    /// What calls of others hold at once.
    pub(crate) max_call_bytes: InboundBytes,
}

/// More calls of one peer do not fit on a connection beside ours to it.
const MOST_CALLS_PER_PEER: u32 = 1536;

/// One message of the largest size.
const LARGEST_MESSAGE: u64 = 4 << 20;

/// A newcomer needs so much to show what it came for.
const LEAST_IDLE: Duration = Duration::from_secs(10);

impl Network {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let listen = section.take("listen", list(listen_address));
        let announce = section.take("announce", list(dialable_address));
        let swarm = section.take("swarm", word(SWARM));
        let initial_peers = section.take("initial_peers", list(peer_address));
        let private_addresses = section.take("private_addresses", boolean);
        let kad_protocol = section.take("kad_protocol", protocol);
        let upnp = section.take("upnp", boolean);
        let use_relays = section.take("use_relays", boolean);
        let relays = section.take("relays", list(peer_address));
        let relay_service = section.take("relay_service", boolean);
        let service = relay_service_bounds(&mut section);
        let identity = section.optional("identity", path);
        let max_connections = section.take("max_connections", count);
        let max_incoming_connections = section.optional("max_incoming_connections", count);
        let max_pending_connections = section.take("max_pending_connections", count);
        let max_connections_per_range = section.take("max_connections_per_range", count);
        let max_connections_per_peer = section.take("max_connections_per_peer", count);
        let idle = idle(&mut section);
        let max_calls_per_peer = section.take("max_calls_per_peer", count_up_to(MOST_CALLS_PER_PEER));
        let max_call_bytes = call_bytes(&mut section);

        if listen.as_ref().is_some_and(Vec::is_empty) {
            section.wrong(
                "listen",
                "is empty",
                "a node that nobody can dial is not visible: name an address",
            );
        }
        if swarm == Some(Swarm::Join) && initial_peers.as_ref().is_some_and(Vec::is_empty) {
            let remedy = r#"name a peer, or set network.swarm = "seed" to begin a swarm of your own"#;
            section.wrong("initial_peers", "is empty, so there is no swarm to join", remedy);
        }
        if let (Some(all), Some(one)) = (max_connections, max_connections_per_peer)
            && one > all
        {
            let what = format!("{one} is more than network.max_connections ({all}), so it never limits");
            section.wrong("max_connections_per_peer", what, "lower it");
        }
        if let (Some(all), Some(Some(incoming))) = (max_connections, max_incoming_connections)
            && incoming >= all
        {
            let what =
                format!("{incoming} leaves none of network.max_connections ({all}) for our own connections");
            section.wrong("max_incoming_connections", what, "lower it, or raise network.max_connections");
        }
        let all = |addresses: &Option<Vec<Multiaddr>>| addresses.clone().unwrap_or_default();
        refuse_useless(
            &section,
            &Sources {
                announces: !all(&announce).is_empty(),
                upnp: upnp == Some(true),
                private: private_addresses == Some(true),
                use_relays: use_relays != Some(false),
                relays: !all(&relays).is_empty(),
            },
        );
        match private_addresses {
            Some(false) => {
                refuse_private(&section, &all(&listen), &all(&announce), &all(&initial_peers));
                refuse_private_peers(&section, "relays", &all(&relays));
            }
            Some(true) if all(&initial_peers).iter().any(is_of_a_public_swarm) => section.warn(
                "private_addresses",
                "tells a public swarm addresses that nobody else there can dial",
                "set it for a swarm in one network only",
            ),
            _ => {}
        }
        let (max_idle, max_idle_of_strangers) = idle?;
        Some(Self {
            listen: listen?,
            announce: announce?,
            swarm: swarm?,
            initial_peers: initial_peers?,
            private_addresses: private_addresses?,
            kad_protocol: kad_protocol?,
            upnp: upnp?,
            use_relays: use_relays?,
            relays: relays?,
            relay_service: service.filter(|_| relay_service == Some(true)),
            identity: identity?,
            max_connections: max_connections?,
            max_incoming_connections: max_incoming_connections?.unwrap_or(most_of(max_connections?)),
            max_pending_connections: max_pending_connections?,
            max_connections_per_range: max_connections_per_range?,
            max_connections_per_peer: max_connections_per_peer?,
            max_idle,
            max_idle_of_strangers,
            max_calls_per_peer: number(max_calls_per_peer?),
            max_call_bytes: max_call_bytes?,
        })
    }
}

/// What a relay does at most; `None` if something is wrong with it.
fn relay_service_bounds(section: &mut Section<'_>) -> Option<RelayService> {
    let reservations = section.take("relay_reservations", count);
    let circuits = section.take("relay_circuits", count);
    let circuits_per_peer = section.take("relay_circuits_per_peer", count);
    let circuit_duration = section.take("relay_circuit_duration", duration);
    let circuit_bytes = section.take("relay_circuit_bytes", bytes);
    Some(RelayService {
        reservations: number(reservations?),
        circuits: number(circuits?),
        circuits_per_peer: number(circuits_per_peer?),
        circuit_duration: circuit_duration?,
        circuit_bytes: circuit_bytes?,
    })
}

/// How long connections are kept over which nothing goes: with whom something was done, and with others.
fn idle(section: &mut Section<'_>) -> Option<(Duration, Duration)> {
    let idle = section.take("max_idle", duration);
    let strangers = section.take("max_idle_of_strangers", duration);
    if strangers.is_some_and(|strangers| strangers < LEAST_IDLE) {
        let what = "is less than a newcomer needs to show what it came for";
        section.wrong("max_idle_of_strangers", what, "expected 10s at least");
    }
    if let (Some(all), Some(strangers)) = (idle, strangers)
        && strangers > all
    {
        let what = "keeps strangers for longer than network.max_idle keeps others";
        section.wrong("max_idle_of_strangers", what, "lower it");
    }
    Some((idle?, strangers?))
}

/// What calls of others hold at once.
fn call_bytes(section: &mut Section<'_>) -> Option<InboundBytes> {
    let all = section.take("max_call_bytes", bytes);
    let of_peer = section.take("max_call_bytes_per_peer", bytes);
    if of_peer.is_some_and(|of_peer| of_peer < LARGEST_MESSAGE) {
        let what = "is less than one message of the largest size";
        section.wrong("max_call_bytes_per_peer", what, "expected 4MiB at least");
    }
    if let (Some(all), Some(of_peer)) = (all, of_peer)
        && of_peer > all
    {
        let what = "is more than network.max_call_bytes, so it never limits";
        section.wrong("max_call_bytes_per_peer", what, "lower it");
    }
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    Some(InboundBytes { all: size(all?), of_peer: size(of_peer?) })
}

fn number(count: NonZeroU32) -> usize {
    usize::try_from(count.get()).unwrap_or(usize::MAX)
}

/// Where addresses of ours may come from.
struct Sources {
    announces: bool,
    upnp: bool,
    private: bool,
    use_relays: bool,
    relays: bool,
}

/// Sources that another setting keeps from being heard.
fn refuse_useless(section: &Section<'_>, sources: &Sources) {
    if sources.announces && sources.upnp {
        let what = "asks a router for addresses that nobody is told, since network.announce names them";
        section.wrong("upnp", what, "leave out one of the two");
    }
    if sources.private && sources.upnp && !sources.announces {
        let what = "asks a router for a public address in a swarm of one network";
        section.warn("upnp", what, "leave it out, or set network.private_addresses = false");
    }
    if sources.relays && !sources.use_relays {
        section.wrong(
            "relays",
            "are never asked, since network.use_relays is false",
            "leave out one of the two",
        );
    } else if sources.relays && (sources.announces || sources.private) {
        let why =
            if sources.announces { "network.announce names" } else { "network.private_addresses tells" };
        let what = format!("are never asked, since {why} where we are");
        section.wrong("relays", what, "leave out one of the two");
    }
}

/// Three quarters: nobody can keep us from our bootstraps.
fn most_of(connections: NonZeroU32) -> NonZeroU32 {
    NonZeroU32::new(connections.get().div_ceil(4).saturating_mul(3)).unwrap_or(connections)
}

/// Peers at addresses that are not dialled.
fn refuse_private_peers(section: &Section<'_>, key: &str, peers: &[Multiaddr]) {
    let remedy = "name a public one, or set network.private_addresses = true in a swarm of one network";
    for (index, address) in peers.iter().enumerate().filter(|(_, address)| !is_public(address)) {
        section.wrong(&format!("{key}[{index}]"), format!("the private {address} is never dialled"), remedy);
    }
}

/// Private addresses where they are neither told nor dialled.
fn refuse_private(section: &Section<'_>, listen: &[Multiaddr], announce: &[Multiaddr], peers: &[Multiaddr]) {
    let remedy = "name a public one, or set network.private_addresses = true in a swarm of one network";
    for (index, address) in announce.iter().enumerate().filter(|(_, address)| !is_public(address)) {
        section.wrong(
            &format!("announce[{index}]"),
            format!("nobody is told of the private {address}"),
            remedy,
        );
    }
    refuse_private_peers(section, "initial_peers", peers);
    let everywhere = |address: &Multiaddr| {
        let ip = address.iter().next();
        matches!(ip, Some(Protocol::Ip4(ip)) if ip.is_unspecified())
            || matches!(ip, Some(Protocol::Ip6(ip)) if ip.is_unspecified())
    };
    if announce.is_empty() && !listen.is_empty() {
        let unheard = listen.iter().all(|address| !is_public(address) && !everywhere(address));
        if unheard {
            let remedy = "name the address that others dial in network.announce";
            section.warn("listen", "is private, so nobody is told where we are", remedy);
        }
    }
}

/// Whether the address is that of a peer that the whole world dials, as far as it can be told.
fn is_of_a_public_swarm(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) | Protocol::Dnsaddr(name)) => {
            let local = LOCAL_DOMAINS.iter().any(|domain| name.ends_with(domain));
            name.contains('.') && !local
        }
        _ => is_public(address),
    }
}

/// Domains of names that are known in one network alone (RFC 6762, RFC 8375, RFC 2606, and usage).
const LOCAL_DOMAINS: &[&str] = &[".local", ".internal", ".lan", ".home.arpa", ".test"];
