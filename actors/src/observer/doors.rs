//! Through whom the stranger enters: initial peers and others that we know, a few at a time, in random order.

use std::time::Duration;

use futures::{StreamExt, stream::FuturesUnordered};
use libp2p::{Multiaddr, PeerId};
use rand::{rngs::SmallRng, seq::SliceRandom};
use tokio::time::timeout;

use super::{
    evidence::{Door, Knock},
    search::{Answer, Stranger},
};
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
pub(super) struct Candidate {
    pub(super) peer: PeerId,
    pub(super) addresses: Vec<Multiaddr>,
    pub(super) initial: bool,
}

/// What knocking came to.
#[derive(Debug, Default)]
pub(super) struct Entrance {
    pub(super) doors: Vec<Door>,
    /// Clocks of those who opened, minus ours.
    clock_offsets: Vec<f64>,
}

impl Entrance {
    pub(super) fn is_open(&self) -> bool {
        self.doors.iter().any(|door| door.answer == Knock::Open)
    }

    /// The median: one peer with a wrong clock changes nothing.
    pub(super) fn clock_offset(&self) -> Option<f64> {
        let mut offsets = self.clock_offsets.clone();
        offsets.sort_by(f64::total_cmp);
        offsets.get(offsets.len().checked_sub(1)? / 2).copied()
    }

    /// Knocks at some, and, if none of them opens, at more.
    pub(super) async fn knock_at(
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
