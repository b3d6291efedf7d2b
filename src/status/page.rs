//! A node on one page, for people: what the API tells, and `-` for what it does not.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

/// Addresses that are shown; the API tells all.
const SHOWN_ADDRESSES: usize = 4;
/// Spans of blocks that are shown.
const SHOWN_SPANS: usize = 16;
/// Of a text, in characters: a cause may quote a peer.
const LONGEST_TEXT: usize = 300;

/// Whether colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Colours(pub(crate) bool);

impl Colours {
    /// On a terminal, unless its user says no (<https://no-color.org>).
    pub(crate) fn wanted(terminal: bool) -> Self {
        Self(terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    fn paint(self, colour: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn doubtful(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.paint("31", text)
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }
}

/// The page, with a line feed at its end.
pub(super) fn page(node: &Value, colours: Colours) -> String {
    let mut page = String::new();
    let reports = &node["reports"];
    let mut row = |name: &str, text: String| {
        // Writing into a string cannot fail.
        let _ = writeln!(page, "{} {text}", colours.faint(&format!("{name:<10}")));
    };
    row("node", format!("{}  petald {}", text(&node["name"]), text(&node["version"])));
    row("peer id", text(&node["peer_id"]));
    let addresses = node["listen"].as_array().into_iter().flatten().take(SHOWN_ADDRESSES);
    addresses.for_each(|address| row("listens", text(address)));
    row("visible", visible(&node["visibility"], colours));
    let server = &reports["server_info"];
    if server["offered"] == true {
        row("serves", serves(server, colours));
        row("records", records(&reports["announcer"]));
    }
    spans(&node["visibility"]["look"]["blocks"]).into_iter().for_each(|span| row("blocks", span));
    row("peers", peers(reports));
    row("reach", reach(reports, colours));
    row("clock", clock(&reports["dht"]["clock"]));
    row("process", process(&node["process"]));
    let _ = writeln!(page, "{} {}", colours.faint("tree      "), tree(node, colours));
    for actor in node["actors"].as_array().into_iter().flatten() {
        let _ = writeln!(page, "{}", actor_line(actor, colours));
    }
    page
}

fn visible(word: &Value, colours: Colours) -> String {
    let verdict = text(&word["verdict"]).replace('_', " ");
    let painted = match (word["ready"].as_bool(), verdict.as_str()) {
        (Some(true), _) => colours.good(&verdict),
        (_, "invisible") => colours.bad(&verdict),
        _ => colours.doubtful(&verdict),
    };
    let layer = match word["layer"].as_str() {
        Some(layer) => format!(" ({})", layer.replace('_', " ")),
        None => String::new(),
    };
    let age = match word["seconds_since_look"].as_f64() {
        Some(seconds) => format!("; looked {} ago", span_of(seconds)),
        None => String::new(),
    };
    let stale = if word["stale"] == true { ", too long ago to count" } else { "" };
    format!("{painted}{layer}: {}{age}{stale}", text(&word["cause"]))
}

fn serves(server: &Value, colours: Colours) -> String {
    let state = text(&server["state"]).to_uppercase();
    let state = if state == "ONLINE" { colours.good(&state) } else { colours.doubtful(&state) };
    format!(
        "{} blocks {} of {}  {state}  throughput {}  version {}",
        text(&server["dht_prefix"]),
        text(&server["blocks"]),
        number(&server["num_blocks"]),
        number(&server["throughput"]),
        number(&server["version"])
    )
}

fn records(announcer: &Value) -> String {
    format!(
        "{} of {} confirmed, at least {} replicas, the first expires in {}; {} announcements, {} failed",
        number(&announcer["confirmed"]),
        number(&announcer["records"]),
        number(&announcer["least_replicas"]),
        announcer["seconds_to_expiry"].as_f64().map_or("-".to_owned(), span_of),
        number(&announcer["attempts"]),
        number(&announcer["failed_attempts"])
    )
}

/// Neighbouring blocks of which the same was seen, a line each.
fn spans(blocks: &Value) -> Vec<String> {
    let blocks: Vec<&Value> = blocks.as_array().into_iter().flatten().collect();
    let alike =
        |a: &&Value, b: &&Value| ["found", "state", "problem"].iter().all(|field| a[field] == b[field]);
    blocks.chunk_by(alike).take(SHOWN_SPANS).map(span).collect()
}

fn span(blocks: &[&Value]) -> String {
    let (Some(first), Some(last)) = (blocks.first(), blocks.last()) else { return String::new() };
    let found = match first["found"].as_bool() {
        Some(true) => format!("found {}", text(&first["state"]).to_uppercase()),
        _ => format!("not found: {}", text(&first["problem"])),
    };
    let least = |field: &str| blocks.iter().filter_map(|block| block[field].as_f64()).reduce(f64::min);
    format!(
        "{}:{} {found}, {} replicas, expires in {}",
        number(&first["block"]),
        last["block"].as_u64().map_or("-".to_owned(), |last| (last + 1).to_string()),
        least("replicas").map_or("-".to_owned(), |replicas| replicas.to_string()),
        least("seconds_to_live").map_or("-".to_owned(), span_of)
    )
}

fn peers(reports: &Value) -> String {
    let (network, dht) = (&reports["network"], &reports["dht"]);
    let joined = match reports["bootstrap"]["joined"].as_bool() {
        Some(true) => "joined",
        Some(false) => "joined nobody",
        None => "-",
    };
    format!(
        "{} connected over {} connections ({} inbound, {} outbound), {} known in the DHT, {joined}",
        number(&network["connected_peers"]),
        number(&network["connections"]),
        number(&network["connections_inbound"]),
        number(&network["connections_outbound"]),
        number(&dht["known_nodes"])
    )
}

/// What is announced of where we are, and what it is known from.
fn reach(reports: &Value, colours: Colours) -> String {
    let (reach, counts) = (&reports["reachability"], &reports["network"]["reach"]);
    let addresses = |way: &str| reach[way].as_array().map_or(0, Vec::len);
    let (direct, relayed) = (addresses("direct"), addresses("relayed"));
    let announced = match reach["dialable"].as_bool() {
        Some(true) if direct > 0 => colours.good(&format!("{direct} addresses of our own announced")),
        Some(true) => colours.doubtful(&format!("{relayed} addresses at relays announced")),
        Some(false) => colours.bad("no address announced"),
        None => return "-".to_owned(),
    };
    format!(
        "{announced}; dialled back on request {} times, in vain {} times; {} holes punched",
        number(&counts["probes_reached"]),
        number(&counts["probes_failed"]),
        number(&counts["holes_punched"])
    )
}

fn clock(clock: &Value) -> String {
    let samples = number(&clock["samples"]);
    match (clock["offset_seconds"].as_f64(), clock["correction_seconds"].as_f64()) {
        (None, _) => format!("not compared yet, {samples} nodes have told their time"),
        (Some(offset), Some(correction)) if correction != 0.0 => {
            format!("wrong by {offset:+.3} s by {samples} nodes, whose time is used")
        }
        (Some(offset), _) => format!("{offset:+.3} s to that of {samples} nodes"),
    }
}

fn process(process: &Value) -> String {
    let mebibytes = process["resident_bytes"].as_f64().map(|bytes| bytes / f64::from(1 << 20));
    format!(
        "{} MiB, {} of {} descriptors, {} threads, {} of processor time",
        mebibytes.map_or("-".to_owned(), |mebibytes| format!("{mebibytes:.0}")),
        number(&process["open_fds"]),
        number(&process["max_fds"]),
        number(&process["threads"]),
        process["cpu_seconds"].as_f64().map_or("-".to_owned(), span_of)
    )
}

fn tree(node: &Value, colours: Colours) -> String {
    let state = text(&node["tree"]);
    let state = if state == "running" { colours.good(&state) } else { colours.doubtful(&state) };
    match node["stray_panics"].as_u64() {
        None | Some(0) => state,
        Some(panics) => format!("{state}, {panics} stray panics"),
    }
}

fn actor_line(actor: &Value, colours: Colours) -> String {
    let state = text(&actor["state"]);
    let padded = format!("{state:<8}");
    let painted = match state.as_str() {
        "running" => colours.good(&padded),
        "backoff" | "stopped" => colours.bad(&padded),
        _ => colours.doubtful(&padded),
    };
    let uptime = actor["uptime_seconds"].as_f64().map_or("-".to_owned(), span_of);
    let restarts = number(&actor["restarts"]);
    let error = match actor["last_error"].as_str() {
        Some(_) => {
            let ago = actor["last_error_seconds_ago"].as_f64().map_or("-".to_owned(), span_of);
            format!("  {ago} ago: {}", text(&actor["last_error"]))
        }
        None => String::new(),
    };
    format!("  {:<12} {painted} up {uptime:<9} restarts {restarts}{error}", text(&actor["name"]))
        .trim_end()
        .to_owned()
}

/// A text in one line. What a peer said must not move the cursor.
fn text(value: &Value) -> String {
    let Some(text) = value.as_str() else { return "-".to_owned() };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_TEXT).collect()
}

fn number(value: &Value) -> String {
    if value.is_number() { value.to_string() } else { "-".to_owned() }
}

/// Seconds as people say them: the two largest units.
pub(crate) fn span_of(seconds: f64) -> String {
    let Ok(span) = Duration::try_from_secs_f64(seconds) else { return format!("{seconds:.0}s") };
    if span < Duration::from_secs(1) {
        return format!("{:.1}s", span.as_secs_f64());
    }
    let text = humantime::format_duration(Duration::from_secs(span.as_secs())).to_string();
    text.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node() -> Value {
        json!({
            "name": "a node", "version": "1.2.3", "peer_id": "Qm1", "listen": ["/ip4/127.0.0.1/tcp/1/p2p/Qm1"],
            "visibility": { "ready": true, "verdict": "visible", "layer": null, "cause": "blocks 0:8 are found",
                "seconds_since_look": 12.4, "stale": false, "look": { "blocks": [
                    { "block": 0, "found": true, "state": "online", "seconds_to_live": 251.9, "replicas": 5 },
                    { "block": 1, "found": true, "state": "online", "seconds_to_live": 250.9, "replicas": 4 },
                    { "block": 2, "found": false, "replicas": 0, "problem": "no record" },
                ] } },
            "process": { "resident_bytes": 20971520, "open_fds": 40, "max_fds": 1024, "threads": 5, "cpu_seconds": 0.25 },
            "tree": "running", "stray_panics": 0,
            "actors": [
                { "name": "network", "state": "running", "uptime_seconds": 3725.0, "restarts": 0, "last_error": null },
                { "name": "dht", "state": "backoff", "restarts": 2, "last_error": "bo\u{1b}[2Jom",
                  "last_error_seconds_ago": 3.0 },
            ],
            "reports": {
                "server_info": { "offered": true, "dht_prefix": "tiny", "blocks": "0:8", "num_blocks": 8,
                    "state": "online", "throughput": 12.5, "version": 3 },
                "announcer": { "confirmed": 10, "records": 10, "least_replicas": 4, "seconds_to_expiry": 243.0,
                    "attempts": 7, "failed_attempts": 1 },
                "network": { "connected_peers": 4, "connections": 5, "connections_inbound": 2,
                    "connections_outbound": 3,
                    "reach": { "probes_reached": 2, "probes_failed": 0, "holes_punched": 0 } },
                "reachability": { "dialable": true, "direct": ["/ip4/11.0.0.1/tcp/1"], "relayed": [] },
                "dht": { "known_nodes": 4, "clock": { "offset_seconds": -0.0123, "samples": 4,
                    "correction_seconds": 0.0 } },
                "bootstrap": { "joined": true },
            },
        })
    }

    const PAGE: &str = "\
node       a node  petald 1.2.3
peer id    Qm1
listens    /ip4/127.0.0.1/tcp/1/p2p/Qm1
visible    visible: blocks 0:8 are found; looked 12s ago
serves     tiny blocks 0:8 of 8  ONLINE  throughput 12.5  version 3
records    10 of 10 confirmed, at least 4 replicas, the first expires in 4m 3s; 7 announcements, 1 failed
blocks     0:2 found ONLINE, 4 replicas, expires in 4m 10s
blocks     2:3 not found: no record, 0 replicas, expires in -
peers      4 connected over 5 connections (2 inbound, 3 outbound), 4 known in the DHT, joined
reach      1 addresses of our own announced; dialled back on request 2 times, in vain 0 times; 0 holes punched
clock      -0.012 s to that of 4 nodes
process    20 MiB, 40 of 1024 descriptors, 5 threads, 0.2s of processor time
tree       running
  network      running  up 1h 2m     restarts 0
  dht          backoff  up -         restarts 2  3s ago: bo [2Jom
";

    #[test]
    fn a_node_is_one_page() {
        assert_eq!(page(&node(), Colours(false)), PAGE);
        let coloured = page(&node(), Colours(true));
        assert!(coloured.contains("\x1b[32mvisible\x1b[0m"), "{coloured}");
        let mut rest = coloured;
        for colour in ["32", "33", "31", "2", "0"] {
            rest = rest.replace(&format!("\x1b[{colour}m"), "");
        }
        assert_eq!(rest, PAGE, "colours change nothing else");
    }

    #[test]
    fn what_is_not_told_is_left_open() {
        let page = page(
            &json!({ "visibility": { "verdict": "unknown", "cause": "not looked yet" } }),
            Colours(false),
        );
        assert!(page.contains("visible    unknown: not looked yet\n"), "{page}");
        assert!(page.contains("clock      not compared yet, - nodes"), "{page}");
        assert!(!page.contains("serves"), "{page}");
    }
}
