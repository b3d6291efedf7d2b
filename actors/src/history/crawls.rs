//! What of a crawl of the swarm makes history.

use std::collections::BTreeMap;

use libp2p::PeerId;

use super::{chronicle::Crawl, coverage::UnixSeconds, life::Seen, sighting::Sighting};
use crate::monitor::state::{Server, Shown, SwarmState};

/// The crawl as history sees it; `None` for one from which nobody's absence follows: it did not come to its end, or
/// nobody answered it, so that it is we who were away.
pub(super) fn of(state: &SwarmState) -> Option<Crawl> {
    if !state.complete || state.dht_peers == 0 {
        return None;
    }
    let mut servers: BTreeMap<PeerId, Seen> = BTreeMap::new();
    for model in &state.models {
        for server in &model.servers {
            let Ok(peer) = server.peer_id.parse() else { continue };
            let seen = seen(server, &model.dht_prefix);
            match servers.get_mut(&peer) {
                // Of several models the one of which it serves most counts.
                Some(known) if known.sighting <= seen.sighting => {}
                Some(known) => *known = seen,
                None => drop(servers.insert(peer, seen)),
            }
        }
    }
    Some(Crawl { at: whole_seconds(state.crawled_at), servers })
}

fn seen(server: &Server, prefix: &str) -> Seen {
    let sighting = match server.shown() {
        Shown::Online => Sighting::Online,
        Shown::Joining => Sighting::Joining,
        Shown::Offline => Sighting::Offline,
        Shown::Unreachable => Sighting::Unreachable,
    };
    Seen { sighting, name: server.info.public_name.clone(), model: Some(prefix.to_owned()) }
}

/// Times before 1970 are 1970.
pub(super) fn whole_seconds(unix: f64) -> UnixSeconds {
    unix.max(0.0) as UnixSeconds
}
