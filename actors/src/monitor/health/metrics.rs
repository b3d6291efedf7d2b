//! The metrics of `health.petals.dev`, under its names, each declared as a gauge: the original declares none.
//!
//! Labels hold what peers say: the prefixes of models, and versions. Both are bounded, in number and in length.

use std::{collections::BTreeMap, fmt::Write};

use super::{Model, SHOWN, Server, SwarmState};

/// Versions that are told apart; further ones are left out.
const MOST_VERSIONS: usize = 100;

/// The parts of all round trips below which a percentile is told.
const PERCENTILES: [usize; 5] = [25, 50, 75, 90, 95];

/// A rate that a server claims.
type Claim = fn(&Server) -> Option<f64>;

/// A gauge: its name, what it tells, and its lines, each with its labels.
struct Gauge {
    name: &'static str,
    help: &'static str,
    lines: Vec<(String, f64)>,
}

/// All of it, for a page of Prometheus or OpenMetrics text.
pub fn exposition(state: &SwarmState) -> String {
    let mut page = String::new();
    for Gauge { name, help, lines } in general(state).into_iter().chain(of_models(state)) {
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, value) in lines {
            let _ = match labels.is_empty() {
                true => writeln!(page, "{name} {value}"),
                false => writeln!(page, "{name}{{{labels}}} {value}"),
            };
        }
    }
    page
}

fn general(state: &SwarmState) -> Vec<Gauge> {
    let servers = || state.models.iter().flat_map(|model| &model.servers);
    let told: Vec<_> = servers().filter_map(|server| server.info.next_pings.as_ref()).collect();
    let all = told.iter().flat_map(|pings| pings.values());
    let mut pings: Vec<f64> = all.clone().filter_map(|seconds| *seconds).collect();
    pings.sort_by(f64::total_cmp);
    let (count, lost) = (all.clone().count() as f64, all.filter(|seconds| seconds.is_none()).count() as f64);
    let mut versions = BTreeMap::<&str, f64>::new();
    for version in servers().filter_map(|server| server.info.version.as_deref()).filter(|v| !v.is_empty()) {
        if versions.len() < MOST_VERSIONS || versions.contains_key(version) {
            *versions.entry(version).or_default() += 1.0;
        }
    }
    let mut gauges = vec![
        one("update_duration", "How long the last crawl of the swarm took, in seconds.", state.took),
        one("servers_num_total", "Servers that tell round trips to others.", told.len() as f64),
        one(
            "servers_num_relay",
            "Servers that are reached through a relay.",
            servers().filter(|server| server.info.using_relay == Some(true)).count() as f64,
        ),
        Gauge {
            name: "server_version",
            help: "Servers by the version of their software.",
            lines: versions.into_iter().map(|(version, n)| (label("version_number", version), n)).collect(),
        },
    ];
    if !pings.is_empty() {
        gauges.extend([
            one(
                "peers_per_srv",
                "Servers to which a server tells the round trip.",
                count / told.len() as f64,
            ),
            one("pings_inf_share", "The part of round trips without an answer.", lost / count),
            Gauge {
                name: "ping_pct",
                help: "Percentiles of the round trips between servers, in seconds.",
                lines: PERCENTILES
                    .map(|part| (label("pct", &part.to_string()), percentile(&pings, part)))
                    .into(),
            },
        ]);
    }
    gauges
}

fn of_models(state: &SwarmState) -> Vec<Gauge> {
    let name = |model: &Model| label("model", &model.dht_prefix);
    let each = |value: fn(&Model) -> f64| state.models.iter().map(|m| (name(m), value(m))).collect();
    let gauge = |name, help, lines| Gauge { name, help, lines };
    let in_states = state.models.iter().flat_map(|model| {
        SHOWN.map(|shown| {
            let servers = model.servers.iter().filter(|server| server.shown() == shown);
            let blocks: f64 = servers.map(|server| f64::from(server.blocks())).sum();
            (format!("{},{}", name(model), label("state", &shown.to_string())), blocks)
        })
    });
    let rates = |fold: fn(&[f64]) -> f64| {
        let kinds: [(&str, Claim); 3] = [
            ("network", |server| server.info.network_rps),
            ("inference", |server| server.info.inference_rps),
            ("forward", |server| server.info.forward_rps),
        ];
        let lines = state.models.iter().filter(|model| model.num_blocks > 0).flat_map(|model| {
            kinds.map(|(kind, rate)| {
                let labels = format!("{},{}", name(model), label("rps", kind));
                (labels, fold(&by_block(model, rate)))
            })
        });
        lines.collect::<Vec<_>>()
    };
    let least = |values: &[f64]| values.iter().copied().reduce(f64::min).unwrap_or_default();
    vec![
        gauge("n_blocks", "Blocks of a model.", each(|model| f64::from(model.num_blocks))),
        gauge("servers_num", "Servers of a model.", each(|model| model.servers.len() as f64)),
        gauge(
            "blocks_total",
            "Blocks that servers of a model announce, in whatever state.",
            each(|model| model.servers.iter().map(|server| f64::from(server.blocks())).sum()),
        ),
        gauge(
            "blocks_online_min",
            "Servers of the block of a model that has fewest.",
            each(|model| model.coverage().into_iter().min().map_or(0.0, f64::from)),
        ),
        gauge("blocks", "Blocks that servers of a model announce, by their state.", in_states.collect()),
        gauge(
            "rps_avg",
            "Rates that servers claim, summed for each block, on average.",
            rates(|values| values.iter().sum::<f64>() / values.len() as f64),
        ),
        gauge("rps_min", "Rates that servers claim, summed for each block, at least.", rates(least)),
    ]
}

/// What the servers of each block claim together.
fn by_block(model: &Model, rate: Claim) -> Vec<f64> {
    let mut blocks = vec![0.0; model.num_blocks as usize];
    for server in &model.servers {
        let rate = rate(server).unwrap_or_default();
        let span = blocks.get_mut(server.start as usize..server.end as usize);
        span.into_iter().flatten().for_each(|sum| *sum += rate);
    }
    blocks
}

/// As numpy has it: between the two nearest, in proportion.
fn percentile(sorted: &[f64], part: usize) -> f64 {
    let place = (sorted.len().saturating_sub(1) * part) as f64 / 100.0;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
    at(below) + (at(above) - at(below)) * place.fract()
}

fn one(name: &'static str, help: &'static str, value: f64) -> Gauge {
    Gauge { name, help, lines: vec![(String::new(), value)] }
}

fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}
