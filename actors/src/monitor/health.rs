//! A crawl in the words of `health.petals.dev`, so that whoever reads that site reads this node: the JSON of its
//! `/api/v1/state`, and the text of its `/metrics`.
//!
//! Fields that are not in the original stand beside its own. Numbers that are not finite are null, as there.
//!
//! Protocol facts: `health.petals.dev/health.py` (`fetch_health_state`), `state_updater.py` (`json_default`),
//! `metrics.py`.

mod metrics;

pub use metrics::exposition;
use serde_json::{Map, Value, json};

use super::state::{Model, Server, Shown, SwarmState};

/// Characters of a peer id that the original calls its short form.
const SHORT_ID: usize = 6;

/// The answer to `/api/v1/state`.
pub fn state(state: &SwarmState) -> Value {
    let bootstraps = state.bootstraps.iter();
    let word = |error: &Option<String>| if error.is_none() { "online" } else { "unreachable" };
    let issue = |(peer, error): (&str, &str)| json!({ "peer_id": peer, "err": error });
    json!({
        "bootstrap_states": bootstraps.map(|bootstrap| word(&bootstrap.error)).collect::<Vec<_>>(),
        "top_contributors": top_contributors(state),
        "model_reports": state.models.iter().map(model).collect::<Vec<_>>(),
        "reachability_issues": state.reachability_issues().into_iter().map(issue).collect::<Vec<_>>(),
        "last_updated": state.crawled_at,
        "update_period": state.period,
        "update_duration": state.took,
        "complete": state.complete,
        "notes": state.notes,
        "clock_offset": state.clock_offset,
        "dht_peers": state.dht_peers,
        "bootstraps": state.bootstraps,
    })
}

/// Blocks served under each public name that is shown, of models that the config names.
fn top_contributors(state: &SwarmState) -> Map<String, Value> {
    let mut blocks = Map::new();
    for server in state.models.iter().filter(|model| model.configured).flat_map(|model| &model.servers) {
        let name = server.info.public_name.as_deref().filter(|name| !name.is_empty());
        if let Some(name) = name.filter(|_| server.shows_name()) {
            let sum = blocks.get(name).and_then(Value::as_u64).unwrap_or_default();
            blocks.insert(name.to_owned(), (sum + u64::from(server.blocks())).into());
        }
    }
    blocks
}

fn model(model: &Model) -> Value {
    json!({
        "name": model.name(),
        "short_name": model.short_name(),
        "state": if model.is_healthy() { "healthy" } else { "broken" },
        "server_rows": model.servers.iter().map(server).collect::<Vec<_>>(),
        "num_blocks": model.num_blocks,
        "repository": model.repository,
        "dht_prefix": model.dht_prefix,
        "official": model.configured,
        "limited": false,
        "listed": model.listed,
        "bad_records": model.bad_records,
        "notes": model.notes,
    })
}

fn server(server: &Server) -> Value {
    let id = &server.peer_id;
    let short = id.get(id.len().saturating_sub(SHORT_ID)..).unwrap_or(id);
    let adapter = |name: &String| json!({ "name": name, "short_name": name.rsplit('/').next() });
    let whereabouts = match server.addresses.is_empty() {
        true => json!("unknown"),
        // Where on earth that is, this node asks nobody.
        false => json!({ "location": {}, "multiaddrs": server.addresses }),
    };
    let mut row = json!({
        "short_peer_id": format!("...{short}"),
        "peer_id": id,
        "peer_ip_info": whereabouts,
        "show_public_name": server.shows_name(),
        "state": server.shown(),
        "span": {
            "peer_id": id,
            "start": server.start,
            "end": server.end,
            "server_info": server.info,
        },
        "adapters": server.info.adapters.iter().map(adapter).collect::<Vec<_>>(),
        "pings_to_me": server.pings_to_me,
        "reach": server.reach,
        "seconds_to_live": server.seconds_to_live,
        "notes": server.notes,
    });
    if let Some(tokens) = server.cache_tokens_left_per_block() {
        row["cache_tokens_left_per_block"] = tokens.into();
    }
    row
}

/// Every state that a server may be shown in, in the order of the original's metrics.
pub(super) const SHOWN: [Shown; 4] = [Shown::Online, Shown::Joining, Shown::Offline, Shown::Unreachable];
