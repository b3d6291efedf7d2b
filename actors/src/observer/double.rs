//! Another process with our key: the swarm takes both for one peer, and whoever comes last has the connections and the
//! records.
//!
//! A key proves who somebody is, and not which of two. So there are two looks. Before we listen, whoever answers under our
//! identity is another: a stranger asks the initial peers where our peer id is (libp2p's FIND_NODE) and dials what they
//! tell. Once we listen, each look from outside asks our own network whether it met the stranger that was answered
//! (`expedition.rs`).
//!
//! A look before the start finds what initial peers know before they meet us: go-libp2p keeps the addresses of the latest
//! connection of a peer only (`p2p/protocol/identify/id.go`, consumeMessage), so afterwards they know but one of the two.

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};
use libp2p::{Multiaddr, PeerId};
use tokio::time::{Instant, timeout, timeout_at};

use crate::network::{Departures, Handle};

/// The whole look: the node starts only after it, so it is a second at most. Connecting, asking and dialling take a dozen
/// round trips among peers that are well.
pub const DEADLINE: Duration = Duration::from_secs(1);

/// Once one initial peer is connected, how long the others are waited for.
const GRACE: Duration = Duration::from_millis(100);

/// Where somebody answers under the identity of `own`, which must not listen yet; `None` if nobody does, as far as can
/// be seen within [`DEADLINE`].
pub async fn elsewhere(
    departures: &Departures,
    own: PeerId,
    initial_peers: &[(PeerId, Vec<Multiaddr>)],
) -> Option<Multiaddr> {
    if initial_peers.is_empty() {
        return None;
    }
    let until = Instant::now() + DEADLINE;
    let look = async {
        // A stranger that cannot set out sees nothing; the observer tells of it later.
        let passage = departures.depart().await.ok()?;
        enter(&passage.network, initial_peers).await;
        passage.network.connect(own, Vec::new(), DEADLINE).await.ok()?;
        let mut addresses = passage.network.addresses(vec![own]).await;
        addresses.remove(&own)?.into_iter().next()
    };
    timeout_at(until, look).await.ok().flatten()
}

/// Connects to the initial peers, and waits for most of those that answer.
async fn enter(network: &Handle, initial_peers: &[(PeerId, Vec<Multiaddr>)]) {
    let connect = |(peer, addresses): &(PeerId, Vec<Multiaddr>)| {
        let (network, peer, addresses) = (network.clone(), *peer, addresses.clone());
        async move { network.connect(peer, addresses, DEADLINE).await.is_ok() }
    };
    let mut attempts: FuturesUnordered<_> = initial_peers.iter().map(connect).collect();
    while let Some(connected) = attempts.next().await {
        if connected {
            let rest = async { while attempts.next().await.is_some() {} };
            // Whoever is slower is not asked.
            let _ = timeout(GRACE, rest).await;
            return;
        }
    }
}
