//! Through whom the stranger enters: initial peers and others that we know, a few at a time, in random order.

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};
use libp2p::{Multiaddr, PeerId};
use rand::{rngs::SmallRng, seq::SliceRandom};
use tokio::time::timeout;

use super::search::{Answer, Stranger};
use crate::network;

/// Of each kind, at which the stranger knocks first.
const FIRST_KNOCKS: usize = 3;

/// At which it knocks at all.
const MOST_KNOCKS: usize = 16;

/// How long one connection may take: the health monitor's patience with a bootstrap.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// Once one door is open, how long the others are waited for.
const GRACE: Duration = Duration::from_millis(500);

/// A peer that may let the stranger in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) peer: PeerId,
    pub(crate) addresses: Vec<Multiaddr>,
    pub(crate) initial: bool,
}

/// One peer at which the stranger knocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Door {
    pub(crate) peer: PeerId,
    /// One of the initial peers.
    pub(crate) initial: bool,
    pub(crate) answer: Knock,
}

/// What a door answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Knock {
    /// It is connected, and answers DHT calls.
    Open,
    /// There is no connection.
    Unreachable(String),
    /// It is connected, and does not answer DHT calls.
    Mute(String),
}

/// What knocking came to.
#[derive(Debug, Default)]
pub(crate) struct Entrance {
    pub(crate) doors: Vec<Door>,
    /// Clocks of those who opened, minus ours.
    clock_offsets: Vec<f64>,
}

impl Entrance {
    pub(crate) fn is_open(&self) -> bool {
        self.doors.iter().any(|door| door.answer == Knock::Open)
    }

    /// The median: one peer with a wrong clock changes nothing.
    pub(crate) fn clock_offset(&self) -> Option<f64> {
        let mut offsets = self.clock_offsets.clone();
        offsets.sort_by(f64::total_cmp);
        offsets.get(offsets.len().checked_sub(1)? / 2).copied()
    }

    /// Knocks at some, and, if none of them opens, at more.
    pub(crate) async fn knock_at(
        &mut self,
        stranger: &mut Stranger,
        away: &network::Handle,
        mut candidates: Vec<Candidate>,
        rng: &mut SmallRng,
    ) {
        candidates.shuffle(rng);
        let (mut initial, mut known): (Vec<_>, Vec<_>) =
            candidates.into_iter().partition(|candidate| candidate.initial);
        let later = initial.split_off(initial.len().min(FIRST_KNOCKS)).into_iter();
        let later: Vec<_> = later.chain(known.split_off(known.len().min(FIRST_KNOCKS))).collect();
        initial.append(&mut known);
        let most = MOST_KNOCKS - initial.len().min(MOST_KNOCKS);
        for round in [initial, later.into_iter().take(most).collect()] {
            if !self.is_open() && !round.is_empty() {
                self.knock(stranger, away, round).await;
            }
        }
    }

    /// Knocks at all of `candidates` at once.
    async fn knock(&mut self, stranger: &mut Stranger, away: &network::Handle, candidates: Vec<Candidate>) {
        let connect = |candidate: Candidate| async move {
            let connected = away.connect(candidate.peer, candidate.addresses, CONNECT_DEADLINE).await;
            (candidate.peer, candidate.initial, connected)
        };
        let mut attempts: FuturesUnordered<_> = candidates.into_iter().map(connect).collect();
        let mut connected = Vec::new();
        loop {
            let patience = if connected.is_empty() { CONNECT_DEADLINE } else { GRACE };
            match timeout(patience, attempts.next()).await {
                Ok(Some((peer, initial, Ok(())))) => connected.push((peer, initial)),
                Ok(Some((peer, initial, Err(error)))) => {
                    self.doors.push(Door { peer, initial, answer: Knock::Unreachable(error.to_string()) });
                }
                Ok(None) | Err(_) => break,
            }
        }
        drop(attempts);
        let peers: Vec<PeerId> = connected.iter().map(|(peer, _)| *peer).collect();
        let mut pongs = stranger.ping(&peers).await;
        for (peer, initial) in connected {
            let answer = match pongs.remove(&peer) {
                Some(Ok(Answer { node: true, clock_offset })) => {
                    self.clock_offsets.extend(clock_offset);
                    Knock::Open
                }
                Some(Ok(_)) => Knock::Mute("it is a client of the DHT".to_owned()),
                Some(Err(cause)) => Knock::Mute(cause),
                None => Knock::Mute("no answer".to_owned()),
            };
            self.doors.push(Door { peer, initial, answer });
        }
    }
}

/// Those through whom a stranger may enter: the initial peers, and those of `known` to whom `home` is connected, since
/// only they are known to be there; ourselves left out.
pub(crate) async fn others(
    home: &network::Handle,
    initial_peers: &[(PeerId, Vec<Multiaddr>)],
    known: Vec<PeerId>,
) -> Vec<Candidate> {
    let mut others = initial(initial_peers);
    for (peer, addresses) in home.addresses(known).await {
        if others.iter().all(|other| other.peer != peer) {
            others.push(Candidate { peer, addresses, initial: false });
        }
    }
    others.retain(|other| other.peer != home.local_peer_id());
    others
}

/// The initial peers as candidates.
pub(crate) fn initial(initial_peers: &[(PeerId, Vec<Multiaddr>)]) -> Vec<Candidate> {
    let candidate = |(peer, addresses): &(PeerId, Vec<Multiaddr>)| Candidate {
        peer: *peer,
        addresses: addresses.clone(),
        initial: true,
    };
    initial_peers.iter().map(candidate).collect()
}

/// The node of `home` itself, for when nobody else is there.
pub(crate) async fn ourselves(home: &network::Handle) -> Candidate {
    let status = home.status().await.unwrap_or_default();
    let ours = status.announced.iter().chain(&status.listening);
    let mut addresses: Vec<Multiaddr> = ours.filter_map(|address| address.parse().ok()).collect();
    addresses.dedup();
    Candidate { peer: home.local_peer_id(), addresses, initial: false }
}
