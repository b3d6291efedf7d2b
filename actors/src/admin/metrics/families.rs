//! Every metric, declared in one table.
//!
//! Names end in their unit, and counters in `_total`. Labels hold only words of this program, never what a peer says,
//! and blocks, whose number is bounded.

use prometheus_client::metrics::MetricType;

use super::{
    Family, Sources, Unit,
    samples::{
        Sample, Value, by, count, errors, fields, flag, gauge_of, histograms, labelled, of_actors, of_blocks,
        one, word,
    },
};
use crate::{
    network::Verdict as Reachable,
    observer::messages::{Layer, Verdict},
    supervisor::{ActorState, SupervisorStatus},
};

const STATES: [ActorState; 7] = [
    ActorState::Waiting,
    ActorState::Starting,
    ActorState::Running,
    ActorState::Backoff,
    ActorState::Draining,
    ActorState::Stopping,
    ActorState::Stopped,
];

const VERDICTS: [Verdict; 4] =
    [Verdict::Visible, Verdict::PartlyVisible, Verdict::Invisible, Verdict::Unknown];

const LAYERS: [Layer; 7] = [
    Layer::Us,
    Layer::OurIdentity,
    Layer::OurAddress,
    Layer::Bootstraps,
    Layer::Dht,
    Layer::Record,
    Layer::Clock,
];

/// In the order in which they are told.
pub(super) const FAMILIES: &[Family] = &[
    info("build", "The running program.", |s| {
        vec![Sample { labels: vec![("version", s.version.clone())], value: Value::Nothing }]
    }),
    // the tree
    gauge("actors", "Actors by what they are doing.", |s| {
        let in_state = |state| s.actors().filter(|actor| actor.state == state).count() as f64;
        STATES.map(|state| gauge_of("state", word(&state), in_state(state))).into()
    }),
    counter("actor_restarts", "Times an actor was started again after an exit of its own.", |s| {
        of_actors(s, |actor| Value::Counter(actor.restarts))
    }),
    counter("actor_panics", "Exits of an actor by panic.", |s| {
        of_actors(s, |actor| Value::Counter(actor.panics))
    }),
    counter(
        "actor_hangs",
        "Times an actor was aborted since it was not ready, or did not answer, in time.",
        |s| of_actors(s, |actor| Value::Counter(actor.hangs)),
    ),
    counter("actor_rebuilds", "Times an actor went down because of another's failure.", |s| {
        of_actors(s, |actor| Value::Counter(actor.rebuilds))
    }),
    seconds("actor_silence", "Time since an actor last answered a probe.", |s| {
        of_actors(s, |actor| Value::Gauge(actor.silent_seconds))
    }),
    gauge("actors_silent", "Actors that have not answered lately, although they were restarted.", |s| {
        one(s.tree.as_ref().map(|tree| tree.silent().count() as f64))
    }),
    counter("supervisor_restarts", "Times all children of a supervisor were started again.", |s| {
        let supervisors = s.tree.iter().flat_map(|tree| &tree.supervisors);
        let restarts = |supervisor: &SupervisorStatus| {
            labelled("supervisor", supervisor.name.clone(), Value::Counter(supervisor.restarts))
        };
        supervisors.map(restarts).collect()
    }),
    counter("stray_panics", "Panics that ended one request and no actor.", |s| {
        count(s.tree.as_ref().map(|tree| tree.stray_panics))
    }),
    counter("watchdog_feeds", "Times the service manager was told that every actor answers.", |s| {
        count(s.watchdog.as_ref().map(|watchdog| watchdog.fed))
    }),
    // visibility, as a stranger sees it
    gauge("visible", "1 while strangers find all that we claim, by a word that is not too old.", |s| {
        one(f64::from(u8::from(s.opinion.is_visible())))
    }),
    gauge("visibility", "1 at the verdict of the last look from outside.", |s| {
        VERDICTS.map(|verdict| flag("verdict", &verdict, s.opinion.verdict == verdict)).into()
    }),
    gauge("visibility_layer", "1 at the layer that fails, or threatens to.", |s| {
        LAYERS.map(|layer| flag("layer", &layer, s.opinion.layer == Some(layer))).into()
    }),
    seconds("visibility_age", "Time since the last look from outside.", |s| {
        one(s.opinion.look.as_ref().map(|_| s.opinion.at.elapsed().as_secs_f64()))
    }),
    seconds("look_duration", "How long the last look took.", |s| {
        one(s.opinion.look.as_ref().map(|look| look.seconds))
    }),
    counter("looks", "Looks from outside that were begun.", |s| {
        count(s.observer.as_ref().map(|observer| observer.looks))
    }),
    gauge("block_found", "1 if a stranger found our record of the block.", |s| {
        of_blocks(s, |block| Some(f64::from(u8::from(block.found))))
    }),
    gauge("block_replicas", "Other peers that a stranger saw hold our record of the block.", |s| {
        of_blocks(s, |block| Some(block.replicas as f64))
    }),
    seconds(
        "block_expiry",
        "Time until the block's record expires, as a stranger saw it in the last look.",
        |s| of_blocks(s, |block| block.seconds_to_live),
    ),
    // our records, as we know of them
    gauge("records", "Records that we announce.", |s| one(s.announcer.as_ref().map(|a| a.records))),
    gauge("records_confirmed", "Records that another peer has acknowledged since they last changed.", |s| {
        one(s.announcer.as_ref().map(|announcer| announcer.confirmed))
    }),
    gauge("record_replicas", "Other peers that hold the record that fewest of them hold.", |s| {
        one(s.announcer.as_ref().map(|announcer| announcer.least_replicas))
    }),
    seconds("record_expiry", "Time until the first of our records expires at other peers.", |s| {
        one(s.announcer.as_ref().and_then(|announcer| announcer.seconds_to_expiry))
    }),
    counter("announcements", "Announcements that were begun.", |s| {
        count(s.announcer.as_ref().map(|announcer| announcer.attempts))
    }),
    counter(
        "announcements_failed",
        "Announcements with a record that no other peer acknowledged, save where a seed may be alone.",
        |s| count(s.announcer.as_ref().map(|announcer| announcer.failed_attempts)),
    ),
    gauge("server_info_version", "Counts the changes of what we serve.", |s| {
        one(s.server_info.as_ref().and_then(|server| server.version))
    }),
    gauge("server_state", "1 at the state that we announce.", |s| {
        let Some(state) = s.server_info.as_ref().and_then(|server| server.state.as_deref()) else {
            return vec![];
        };
        ["offline", "joining", "online"].map(|known| flag("state", &known, known == state)).into()
    }),
    gauge("server_throughput", "Requests per second that we say we serve.", |s| {
        one(s.server_info.as_ref().and_then(|server| server.throughput))
    }),
    // calls
    histogram(
        "inbound_call_duration",
        "How long calls of others took, from their last byte to our answer.",
        |s| histograms(s.network.as_ref().map(|network| &network.inbound)),
    ),
    counter("inbound_call_errors", "Calls of others that we answered with an error, by method.", |s| {
        errors(s.network.as_ref().map(|network| &network.inbound))
    }),
    counter("inbound_calls", "Calls of others by what became of them.", |s| {
        let Some(calls) = s.network.as_ref().map(|network| network.calls) else { return vec![] };
        by(
            "outcome",
            [
                ("answered", calls.answered),
                ("handler_error", calls.handler_errors),
                ("malformed", calls.malformed),
                ("oversized", calls.oversized),
                ("busy", calls.refused_busy),
                ("cancelled", calls.cancelled),
                ("deadline", calls.deadline),
            ],
        )
    }),
    histogram(
        "outbound_call_duration",
        "How long our calls over a connection took, failures included.",
        |s| histograms(s.network.as_ref().map(|network| &network.outbound)),
    ),
    counter("outbound_call_errors", "Our calls over a connection that brought no answer, by method.", |s| {
        errors(s.network.as_ref().map(|network| &network.outbound))
    }),
    counter("outbound_calls", "Our calls by what became of them.", |s| {
        let Some(calls) = s.network.as_ref().map(|network| network.calls) else { return vec![] };
        by("outcome", [("answered", calls.calls_ok), ("failed", calls.calls_failed)])
    }),
    counter("rpc_info_requests", "Requests for what we serve, by what became of them.", |s| {
        let Some(requests) = &s.rpc_info else { return vec![] };
        by(
            "outcome",
            [
                ("answered", requests.answered),
                ("unknown_uid", requests.unknown_uid),
                ("malformed", requests.malformed),
            ],
        )
    }),
    // connections
    gauge("connections", "Connections by who opened them.", |s| {
        let Some(network) = &s.network else { return vec![] };
        vec![
            gauge_of("direction", "inbound".into(), network.connections_inbound.into()),
            gauge_of("direction", "outbound".into(), network.connections_outbound.into()),
        ]
    }),
    counter(
        "connections_refused",
        "Connections that were turned away, by the bound that they would have passed.",
        |s| {
            let Some(refusals) = s.network.as_ref().map(|network| network.refusals) else { return vec![] };
            by(
                "cause",
                [
                    ("pending", refusals.pending),
                    ("pending_of_range", refusals.pending_of_range),
                    ("of_peer", refusals.of_peer),
                    ("of_range", refusals.of_range),
                    ("incoming", refusals.incoming),
                    ("all", refusals.all),
                ],
            )
        },
    ),
    counter("connections_evicted", "Connections that were closed to make room for others.", |s| {
        count(s.network.as_ref().map(|network| network.refusals.evicted))
    }),
    gauge("peers", "Connected peers by the program that they say they are.", |s| {
        let Some(network) = &s.network else { return vec![] };
        let programs = network.programs.iter();
        programs.map(|(program, peers)| gauge_of("program", program.to_string(), *peers as f64)).collect()
    }),
    gauge("kademlia_peers", "Peers in the table of libp2p's Kademlia.", |s| {
        one(s.network.as_ref().map(|network| network.kad_peers as f64))
    }),
    // how others reach us
    gauge("reach", "1 at what is known of whether others can dial us directly.", |s| {
        let Some(verdict) = s.network.as_ref().map(|network| network.reach.verdict) else { return vec![] };
        [Reachable::Unknown, Reachable::Public, Reachable::Private]
            .map(|known| flag("verdict", &known, known == verdict))
            .into()
    }),
    gauge("announced_addresses", "Addresses of ours that we tell others, by how they lead to us.", |s| {
        let Some(network) = &s.network else { return vec![] };
        let (relayed, direct): (Vec<_>, Vec<_>) =
            network.announced.iter().partition(|address| address.contains("/p2p-circuit"));
        [("direct", direct.len()), ("relayed", relayed.len())]
            .map(|(way, addresses)| gauge_of("way", way.into(), addresses as f64))
            .into()
    }),
    gauge("relays", "Relays at which a place is held for us.", |s| {
        one(s.network.as_ref().map(|network| network.reach.relays.len() as f64))
    }),
    counter("reach_events", "What happened to how others reach us, and each other through us.", |s| {
        let Some(network) = &s.network else { return vec![] };
        let counts = fields(&network.reach.counters).into_iter();
        counts.map(|(event, count)| labelled("event", event, Value::Counter(count))).collect()
    }),
    gauge("dials", "Peers that are being connected to.", |s| {
        one(s.network.as_ref().map(|network| network.connecting as f64))
    }),
    gauge("joined", "1 while we have joined the swarm through some peer.", |s| {
        one(s.bootstrap.as_ref().map(|bootstrap| f64::from(u8::from(bootstrap.joined))))
    }),
    // hivemind's DHT
    gauge("dht_known_nodes", "Other nodes in the table of hivemind's DHT.", |s| {
        one(s.dht.as_ref().map(|d| d.known_nodes))
    }),
    gauge("dht_stored_keys", "Keys that we hold for the swarm.", |s| {
        one(s.dht.as_ref().map(|d| d.stored_keys))
    }),
    gauge("dht_stored_entries", "Values that we hold for the swarm.", |s| {
        one(s.dht.as_ref().map(|d| d.stored_entries))
    }),
    bytes("dht_stored", "Size of the values that we hold for the swarm.", |s| {
        one(s.dht.as_ref().map(|d| d.stored_bytes))
    }),
    gauge("dht_cached_entries", "Values that others have asked us to cache.", |s| {
        one(s.dht.as_ref().map(|d| d.cached_entries))
    }),
    gauge("dht_tasks", "Searches and stores of ours that are under way.", |s| {
        one(s.dht.as_ref().map(|d| d.tasks))
    }),
    counter("dht_requests", "Requests of others that the DHT answered, by method.", |s| {
        let Some(dht) = &s.dht else { return vec![] };
        by("method", [("ping", dht.pings_served), ("store", dht.stores_served), ("find", dht.finds_served)])
    }),
    counter("dht_malformed_requests", "Requests of others that the DHT could not read.", |s| {
        count(s.dht.as_ref().map(|dht| dht.malformed_requests))
    }),
    counter("dht_rows_stored", "Values that others stored with us.", |s| {
        count(s.dht.as_ref().map(|dht| dht.rows_stored))
    }),
    counter("dht_rows_refused", "Values that we refused to store, by cause.", |s| {
        let Some(dht) = &s.dht else { return vec![] };
        let causes = fields(&dht.rows_refused).into_iter();
        causes.map(|(cause, rows)| labelled("cause", cause, Value::Counter(rows))).collect()
    }),
    counter("dht_calls", "Calls of our DHT to other nodes, by what became of them.", |s| {
        let Some(dht) = &s.dht else { return vec![] };
        by("outcome", [("answered", dht.calls_answered), ("failed", dht.calls_failed)])
    }),
    // the clock
    seconds(
        "clock_offset",
        "How far the swarm's clock is ahead of ours; absent while too few have told.",
        |s| one(s.dht.as_ref().and_then(|dht| dht.clock.offset_seconds)),
    ),
    seconds("clock_correction", "What is added to our clock to have the swarm's time.", |s| {
        one(s.dht.as_ref().map(|dht| dht.clock.correction_seconds))
    }),
    gauge("clock_samples", "Nodes that have told us their time lately.", |s| {
        one(s.dht.as_ref().map(|dht| dht.clock.samples))
    }),
    counter("clock_leaps", "Times our clock was set, or the machine slept.", |s| {
        count(s.dht.as_ref().map(|dht| dht.clock.leaps))
    }),
    // how servers were seen over time
    gauge("history_servers", "Servers whose history is remembered.", |s| {
        one(s.history.as_ref().map(|history| history.servers))
    }),
    bytes("history_file", "Size of the file of the history, when it was last written.", |s| {
        one(s.history.as_ref().and_then(|history| history.file_bytes))
    }),
    counter("history_writes", "Batches for the file of the history, by what became of them.", |s| {
        let Some(history) = &s.history else { return vec![] };
        by("outcome", [("written", history.writes), ("failed", history.writes_failed)])
    }),
    counter("history_files_put_aside", "Files of the history that could not be used.", |s| {
        count(s.history.as_ref().map(|history| history.files_put_aside))
    }),
    counter("alerts", "Alerts by what became of them.", |s| {
        let Some(alerts) = &s.alerts else { return vec![] };
        by("outcome", [("told", alerts.told), ("given_up", alerts.given_up), ("dropped", alerts.dropped)])
    }),
    counter("alert_attempts_failed", "Attempts at telling of an alert that failed.", |s| {
        count(s.alerts.as_ref().map(|alerts| alerts.attempts_failed))
    }),
    gauge("alerts_waiting", "Alerts that are still to be told.", |s| {
        one(s.alerts.as_ref().map(|alerts| alerts.waiting))
    }),
    // the config
    counter("reloads", "Times the config was read again, by what became of it.", |s| {
        let Some(reloads) = &s.reloads else { return vec![] };
        by("outcome", [("accepted", reloads.accepted), ("refused", reloads.refused)])
    }),
    // the process
    counter("log_lines_dropped", "Lines of the log that were lost.", |s| count(s.lines_dropped)),
    bytes("process_resident_memory", "Memory that the process occupies.", |s| {
        one(s.process.resident_bytes.map(|bytes| bytes as f64))
    }),
    gauge("process_open_fds", "Descriptors that the process has open.", |s| {
        one(s.process.open_fds.map(|fds| fds as f64))
    }),
    gauge("process_max_fds", "Descriptors that the process may have open.", |s| {
        one(s.process.max_fds.map(|fds| fds as f64))
    }),
    gauge("process_threads", "Threads of the process.", |s| {
        one(s.process.threads.map(|threads| threads as f64))
    }),
    elapsed("process_cpu", "Time that the process has kept a processor busy.", |s| {
        vec![Sample { value: Value::Fractions(s.process.cpu_seconds), ..Sample::default() }]
    }),
    seconds("process_start_time", "When the process began, in Unix time.", |s| one(s.started)),
];

const fn gauge(name: &'static str, help: &'static str, samples: fn(&Sources) -> Vec<Sample>) -> Family {
    Family { name, unit: None, kind: MetricType::Gauge, help, samples }
}

const fn info(name: &'static str, help: &'static str, samples: fn(&Sources) -> Vec<Sample>) -> Family {
    Family { name, unit: None, kind: MetricType::Info, help, samples }
}

const fn bytes(name: &'static str, help: &'static str, samples: fn(&Sources) -> Vec<Sample>) -> Family {
    Family { name, unit: Some(Unit::Bytes), kind: MetricType::Gauge, help, samples }
}

/// Of times.
const fn histogram(name: &'static str, help: &'static str, samples: fn(&Sources) -> Vec<Sample>) -> Family {
    Family { name, unit: Some(Unit::Seconds), kind: MetricType::Histogram, help, samples }
}

/// A counter of time.
const fn elapsed(name: &'static str, help: &'static str, samples: fn(&Sources) -> Vec<Sample>) -> Family {
    Family { name, unit: Some(Unit::Seconds), kind: MetricType::Counter, help, samples }
}

const fn seconds(name: &'static str, help: &'static str, samples: fn(&Sources) -> Vec<Sample>) -> Family {
    Family { name, unit: Some(Unit::Seconds), kind: MetricType::Gauge, help, samples }
}

const fn counter(name: &'static str, help: &'static str, samples: fn(&Sources) -> Vec<Sample>) -> Family {
    Family { name, unit: None, kind: MetricType::Counter, help, samples }
}
