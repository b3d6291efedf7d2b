//! Peers that did not answer are left out of searches for a while: 5 s, doubling with each further failure
//! (`hivemind/dht/node.py`, `Blacklist`). The original doubles without end; here there is a cap.

use std::{collections::HashMap, time::Duration};

use libp2p::PeerId;

use crate::time::DhtTime;

/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause: after weather that hit everybody, everybody is asked again within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Peers remembered at once; beyond, the one whose pause ends first is forgotten.
const MAX_PEERS: usize = 2000;

/// Who is left out, and until when.
#[derive(Debug, Default)]
pub(super) struct Blacklist(HashMap<PeerId, Pause>);

#[derive(Debug)]
struct Pause {
    until: DhtTime,
    length: Duration,
}

impl Blacklist {
    /// Notes that `peer` failed to answer.
    pub(super) fn failed(&mut self, peer: PeerId, now: DhtTime) {
        let length = match self.0.get(&peer) {
            // Failures of calls that were under way together count once.
            Some(pause) if pause.until > now => return,
            Some(pause) => (2 * pause.length).min(LONGEST_PAUSE),
            None => FIRST_PAUSE,
        };
        if self.0.len() >= MAX_PEERS && !self.0.contains_key(&peer) {
            let soonest = self.0.iter().min_by_key(|(_, pause)| pause.until).map(|(peer, _)| *peer);
            soonest.map(|peer| self.0.remove(&peer));
        }
        self.0.insert(peer, Pause { until: now + length, length });
    }

    /// Notes that `peer` answered.
    pub(super) fn answered(&mut self, peer: &PeerId) {
        self.0.remove(peer);
    }

    /// Forgets all failures.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether `peer` is to be left out.
    pub(super) fn contains(&self, peer: &PeerId, now: DhtTime) -> bool {
        self.0.get(peer).is_some_and(|pause| pause.until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_cap_and_end_with_an_answer() {
        let mut blacklist = Blacklist::default();
        let peer = PeerId::random();
        let mut now = DhtTime::from_unix(0.0).unwrap();
        for expected in [5, 10, 20, 30, 30] {
            blacklist.failed(peer, now);
            blacklist.failed(peer, now);
            let pause = Duration::from_secs(expected);
            assert!(blacklist.contains(&peer, now + pause - Duration::from_millis(1)));
            now = now + pause;
            assert!(!blacklist.contains(&peer, now));
        }
        blacklist.answered(&peer);
        blacklist.failed(peer, now);
        assert!(!blacklist.contains(&peer, now + FIRST_PAUSE));
    }

    #[test]
    fn memory_is_bounded() {
        let mut blacklist = Blacklist::default();
        for n in 0..MAX_PEERS + 10 {
            blacklist.failed(PeerId::random(), DhtTime::from_unix(n as f64).unwrap());
        }
        assert_eq!(blacklist.0.len(), MAX_PEERS);
    }
}
