//! A swarm on one page, for people. Every text that came from a peer is shown in one line, without what would move the
//! cursor or turn the direction of writing.

use std::fmt::Write;

use petald_actors::monitor::state::{Bootstrap, Model, Reach, Server, Shown, SwarmState};

use super::bar;
use crate::cli::Filter;
use crate::status::{Colours, span_of};

/// Of a text, in characters.
const LONGEST_TEXT: usize = 300;

/// Of a name in a row.
const LONGEST_NAME: usize = 24;

/// Of a peer id in a row, from its end: the beginnings are all alike.
const SHORT_ID: usize = 8;

/// Records that cannot be used and are shown of one model; the rest is counted.
const SHOWN_BAD_RECORDS: usize = 8;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// The page, with a line feed at its end.
pub(super) fn page(state: &SwarmState, filter: &Filter, colours: Colours) -> String {
    let mut page = String::new();
    let mut row = |name: &str, text: String| {
        // Writing into a string cannot fail.
        let _ = writeln!(page, "{} {text}", colours.faint(&format!("{name:<10}")));
    };
    row("swarm", summary(state));
    row("looked", looked(state, colours));
    state.bootstraps.iter().for_each(|bootstrap| row("bootstrap", entrance(bootstrap, colours)));
    state.notes.iter().for_each(|note| row("note", clean(note, LONGEST_TEXT)));
    for model in state.models.iter().filter(|model| filter.shows_model(model)) {
        let rows: Vec<&Server> = model.servers.iter().filter(|server| filter.shows(server)).collect();
        if !rows.is_empty() || !filter.picks() {
            block(&mut page, model, &rows, filter, colours);
        }
    }
    page
}

fn summary(state: &SwarmState) -> String {
    let servers = || state.models.iter().flat_map(|model| &model.servers);
    let count = |shown| servers().filter(|server| server.shown() == shown).count();
    let states = [Shown::Online, Shown::Joining, Shown::Offline, Shown::Unreachable];
    let states = states.map(|shown| (count(shown), shown)).into_iter().filter(|(count, _)| *count > 0);
    let states: Vec<String> = states.map(|(count, shown)| format!("{count} {shown}")).collect();
    let healthy = state.models.iter().filter(|model| model.is_healthy()).count();
    let servers = servers().count();
    format!(
        "{} models, {healthy} healthy; {servers} servers{}{}; {} peers in the DHT",
        state.models.len(),
        if states.is_empty() { "" } else { ": " },
        states.join(", "),
        state.dht_peers
    )
}

fn looked(state: &SwarmState, colours: Colours) -> String {
    let second = state.crawled_at.max(0.0) as u64 % DAY;
    let time = format!("{:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60);
    let clock =
        state.clock_offset.map_or(String::new(), |offset| format!(", clock {offset:+.3} s to theirs"));
    let whole = if state.complete { String::new() } else { colours.doubtful(", not to the end") };
    format!("at {time}, took {:.2} s{whole}{clock}", state.took)
}

fn entrance(bootstrap: &Bootstrap, colours: Colours) -> String {
    let at = bootstrap.addresses.first().map_or(String::new(), |address| format!(" at {address}"));
    let is = match &bootstrap.error {
        None => colours.good("reachable"),
        Some(error) => format!("{}: {}", colours.bad("unreachable"), clean(error, LONGEST_TEXT)),
    };
    format!("{}{at} {is}", bootstrap.peer_id)
}

/// A model and its servers.
fn block(page: &mut String, model: &Model, rows: &[&Server], filter: &Filter, colours: Colours) {
    let health = if model.is_healthy() { colours.good("healthy") } else { colours.bad("broken") };
    let name = match model.name() == model.dht_prefix {
        true => String::new(),
        false => format!("  {}", clean(model.name(), LONGEST_TEXT)),
    };
    let listed = if model.listed { "" } else { "  not in the index" };
    let prefix = clean(&model.dht_prefix, LONGEST_TEXT);
    let _ = writeln!(page, "\n{prefix}{name}  {} blocks  {health}{listed}", model.num_blocks);
    for note in &model.notes {
        let _ = writeln!(page, "  note: {}", clean(note, LONGEST_TEXT));
    }
    let coverage = bar::of_coverage(&model.coverage());
    let titles = "throughput  network  forward inference    cache         ping version            name";
    let head = format!("  {:<8} {:<11} {:>9} {coverage} {titles}", "peer", "state", "blocks");
    let _ = writeln!(page, "{}", colours.faint(&head));
    for server in rows {
        let _ = writeln!(page, "{}", line(model, server, colours).trim_end());
        let error = server.reach.error().map(|error| format!("unreachable: {error}"));
        for note in error.iter().chain(&server.notes) {
            let _ = writeln!(page, "    {}", clean(note, LONGEST_TEXT));
        }
    }
    if filter.picks() {
        return;
    }
    for bad in model.bad_records.iter().take(SHOWN_BAD_RECORDS) {
        let (subkey, note) = (clean(&bad.subkey, LONGEST_NAME * 3), clean(&bad.note, LONGEST_TEXT));
        let _ = writeln!(page, "  {} {subkey} {}: {note}", colours.bad("bad record"), bad.blocks);
    }
    if model.bad_records.len() > SHOWN_BAD_RECORDS {
        let more = model.bad_records.len() - SHOWN_BAD_RECORDS;
        let _ = writeln!(page, "  {more} more bad records");
    }
}

fn line(model: &Model, server: &Server, colours: Colours) -> String {
    let shown = server.shown();
    let state = format!("{shown:<11}");
    let state = match shown {
        Shown::Online => colours.good(&state),
        Shown::Joining => colours.doubtful(&state),
        Shown::Offline => colours.faint(&state),
        Shown::Unreachable => colours.bad(&state),
    };
    let id = server.peer_id.get(server.peer_id.len().saturating_sub(SHORT_ID)..).unwrap_or(&server.peer_id);
    let blocks = format!("{}:{}", server.start, server.end);
    let bar = bar::of_server(model.num_blocks, server.start..server.end, shown);
    let info = &server.info;
    let rate = |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| format!("{rate:.1}"));
    let cache = info.cache_tokens_left.map_or("-".to_owned(), |tokens| tokens.to_string());
    let text = |text: &Option<String>, most| text.as_ref().map_or("-".to_owned(), |text| clean(text, most));
    let relay = if info.using_relay == Some(true) { "  by relay" } else { "" };
    format!(
        "  {id:<8} {state} {blocks:>9} {bar} {:>10} {:>8} {:>8} {:>9} {cache:>8} {:>12} {:<18} {}{relay}{}",
        format!("{:.1}", info.throughput),
        rate(info.network_rps),
        rate(info.forward_rps),
        rate(info.inference_rps),
        ping(server),
        text(&info.version, LONGEST_NAME),
        text(&info.public_name, LONGEST_NAME),
        expires(server),
    )
}

/// The middle of what others say of the way to it, and how many say so; what we saw ourselves if nobody does.
fn ping(server: &Server) -> String {
    let mut told: Vec<f64> = server.pings_to_me.values().copied().flatten().collect();
    told.sort_by(f64::total_cmp);
    match (told.get(told.len() / 2), &server.reach) {
        (Some(seconds), _) => format!("{:.0} ms of {}", seconds * 1000.0, server.pings_to_me.len()),
        (None, Reach::Answered { seconds }) => format!("{:.0} ms", seconds * 1000.0),
        (None, _) => "-".to_owned(),
    }
}

/// Told only of a server whose records are about to expire.
fn expires(server: &Server) -> String {
    const SOON: f64 = 30.0;
    match server.seconds_to_live {
        left if left < SOON => format!("  expires in {}", span_of(left.max(0.0))),
        _ => String::new(),
    }
}

/// A text in one line.
fn clean(text: &str, most: usize) -> String {
    let turns =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).take(most).collect()
}

#[cfg(test)]
mod tests {
    use petald_actors::monitor::record::ServerRecord;
    use petald_actors::monitor::state::BadRecord;
    use serde_json::{Value, json};

    use super::*;

    fn server(id: &str, span: (u32, u32), state: &str, reach: Value, more: Value) -> Server {
        let mut info = json!({
            "state": state, "throughput": 12.5, "start_block": span.0, "end_block": span.1, "public_name": null,
            "version": "2.3.0", "network_rps": 100.0, "forward_rps": 900.25, "inference_rps": 30.0, "adapters": [],
            "torch_dtype": null, "quant_type": null, "using_relay": null, "cache_tokens_left": 8192, "next_pings": null,
        });
        let more = more.as_object().unwrap().clone();
        info.as_object_mut().unwrap().extend(more);
        Server {
            peer_id: id.to_owned(),
            start: span.0,
            end: span.1,
            info: serde_json::from_value::<ServerRecord>(info).unwrap(),
            reach: serde_json::from_value(reach).unwrap(),
            addresses: vec![],
            seconds_to_live: 120.0,
            pings_to_me: [("a".to_owned(), Some(0.012)), ("b".to_owned(), None)].into(),
            notes: vec![],
        }
    }

    fn state() -> SwarmState {
        let (fine, not_asked) =
            (json!({ "verdict": "answered", "seconds": 0.5 }), json!({ "verdict": "not_asked" }));
        let failed = json!({ "verdict": "failed", "error": "no connection within 5 s" });
        let hostile =
            json!({ "public_name": "\u{1b}[2Jevil\u{202e}\n", "using_relay": true, "version": null });
        let mut late =
            server("12D3KooWLateLateLate", (4, 8), "joining", not_asked, json!({ "network_rps": null }));
        (late.pings_to_me, late.seconds_to_live) = ([].into(), 12.5);
        let model = Model {
            dht_prefix: "tiny-hf".to_owned(),
            repository: Some("https://huggingface.co/org/tiny".to_owned()),
            num_blocks: 8,
            configured: false,
            listed: true,
            servers: vec![
                server("12D3KooWFineFineFine", (0, 8), "online", fine, json!({ "public_name": "one" })),
                server("12D3KooWGoneGoneGone", (2, 5), "online", failed, hostile),
                late,
            ],
            bad_records: vec![BadRecord {
                subkey: "nobody\u{7}".to_owned(),
                blocks: "0:2".to_owned(),
                note: "it is not announced under a peer id".to_owned(),
            }],
            notes: vec!["the swarm's index says that it has 9 blocks".to_owned()],
        };
        let empty = Model {
            dht_prefix: "big".to_owned(),
            repository: None,
            num_blocks: 126,
            configured: true,
            listed: false,
            servers: vec![],
            bad_records: vec![],
            notes: vec![],
        };
        SwarmState {
            crawled_at: 1_790_000_000.5,
            took: 0.256,
            period: None,
            complete: false,
            notes: vec!["the search of the DHT did not end in time".to_owned()],
            clock_offset: Some(-0.0123),
            dht_peers: 5,
            bootstraps: vec![
                Bootstrap {
                    peer_id: "QmOne".to_owned(),
                    addresses: vec!["/ip4/192.0.2.1/tcp/31337".to_owned()],
                    error: None,
                },
                Bootstrap { peer_id: "QmTwo".to_owned(), addresses: vec![], error: Some("gone".to_owned()) },
            ],
            models: vec![empty, model],
        }
    }

    const GOLDEN: &str = include_str!("page.golden.txt");

    #[test]
    fn a_swarm_is_one_page() {
        let page = |colours| page(&state(), &Filter::default(), Colours(colours));
        if std::env::var_os("PETALD_RENEW_GOLDEN").is_some() {
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/map/page.golden.txt");
            return std::fs::write(file, page(false)).unwrap();
        }
        assert_eq!(page(false), GOLDEN);
        let mut rest = page(true);
        assert!(rest.contains("\x1b[31munreachable\x1b[0m"), "{rest}");
        for colour in ["32", "33", "31", "2", "0"] {
            rest = rest.replace(&format!("\x1b[{colour}m"), "");
        }
        assert_eq!(rest, GOLDEN, "colours change nothing else, and nobody else has any");
    }

    #[test]
    fn filters_pick_servers() {
        let rows = |filter: Filter| {
            let page = page(&state(), &filter, Colours(false));
            ["FineFine", "GoneGone", "LateLate", "big", "bad record"]
                .into_iter()
                .filter(|text| page.contains(text))
                .collect::<Vec<_>>()
        };
        let all = Filter::default();
        assert_eq!(rows(all.clone()), ["FineFine", "GoneGone", "LateLate", "big", "bad record"]);
        assert_eq!(rows(Filter { model: Some("BIG".into()), ..all.clone() }), ["big"]);
        assert_eq!(rows(Filter { state: vec![Shown::Unreachable], ..all.clone() }), ["GoneGone"]);
        assert_eq!(rows(Filter { id: Some("late".into()), ..all.clone() }), ["LateLate"]);
        assert_eq!(rows(Filter { name: Some("ONE".into()), ..all }), ["FineFine"]);
    }

    #[test]
    fn json_has_the_same_rows() {
        let filter = Filter { state: vec![Shown::Joining], ..Filter::default() };
        let told = super::super::json(&state(), &filter);
        let [model] = &told["model_reports"].as_array().unwrap()[..] else { panic!("{told:#}") };
        let [row] = &model["server_rows"].as_array().unwrap()[..] else { panic!("{told:#}") };
        assert_eq!((&row["peer_id"], &model["state"]), (&"12D3KooWLateLateLate".into(), &"healthy".into()));
    }
}
