//! Whether peers answer a stranger, many at the same time, each within the health monitor's patience.
//!
//! Protocol facts: `health.petals.dev/p2p_utils.py` (`check_reachability`): servers are asked for `rpc_info`, bootstraps
//! and whoever is asked about by name are connected to.

use std::{collections::HashMap, time::Duration};

use futures::{StreamExt, stream};
use libp2p::{Multiaddr, PeerId};
use tokio::time::{Instant, timeout, timeout_at};

use super::state::Reach;
use crate::{network::Handle, stranger::calls};

/// How long one peer may take to be found, connected to, and to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Connections that a crawl keeps: beyond, whoever has answered is left. Below [`crate::network::Departures`]' bound.
pub(super) const MOST_LINES: usize = 256;

/// What became of one peer.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) reach: Reach,
    /// Where it was met.
    pub(super) addresses: Vec<Multiaddr>,
}

/// Asks `peers` for `rpc_info`, so many at once, until `until`. Whoever is not in the answer was not asked.
pub(super) async fn ask(
    network: &Handle,
    peers: Vec<PeerId>,
    at_once: usize,
    until: Instant,
) -> HashMap<PeerId, Asked> {
    let leave = peers.len() > MOST_LINES;
    let one = |peer: PeerId| async move {
        let reach = called(network, peer).await;
        let mut addresses = network.addresses(vec![peer]).await;
        if leave {
            network.hang_up(peer).await;
        }
        (peer, Asked { reach, addresses: addresses.remove(&peer).unwrap_or_default() })
    };
    let mut attempts = stream::iter(peers).map(one).buffer_unordered(at_once);
    let mut asked = HashMap::new();
    while let Ok(Some((peer, answer))) = timeout_at(until, attempts.next()).await {
        asked.insert(peer, answer);
    }
    asked
}

/// Connects, and calls `rpc_info`.
async fn called(network: &Handle, peer: PeerId) -> Reach {
    let started = Instant::now();
    if let failed @ Reach::Failed { .. } = connected(network, peer, Vec::new()).await {
        return failed;
    }
    let left = PATIENCE.saturating_sub(started.elapsed());
    match timeout(left, calls::rpc_info(network, peer, left)).await {
        Ok(answer) => match answer.and_then(|answer| calls::is_map(&answer)) {
            Ok(()) => Reach::Answered { seconds: started.elapsed().as_secs_f64() },
            Err(error) => Reach::Failed { error },
        },
        Err(_) => Reach::Failed { error: late("no answer to rpc_info") },
    }
}

/// Connects to `peer`, over `addresses` and wherever others say that it is.
pub(super) async fn connected(network: &Handle, peer: PeerId, addresses: Vec<Multiaddr>) -> Reach {
    let started = Instant::now();
    match timeout(PATIENCE, network.connect(peer, addresses, PATIENCE)).await {
        Ok(Ok(())) => Reach::Answered { seconds: started.elapsed().as_secs_f64() },
        Ok(Err(crate::network::ConnectError::Deadline)) | Err(_) => {
            Reach::Failed { error: late("no connection") + ": a firewall may be in the way" }
        }
        Ok(Err(error)) => Reach::Failed { error: error.to_string() },
    }
}

fn late(what: &str) -> String {
    format!("{what} within {} s", PATIENCE.as_secs())
}
