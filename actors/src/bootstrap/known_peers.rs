//! Peers that were good to us: few, with few addresses, those first that answered last. Pure data.

use hivemind_proto::time::DhtTime;
use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};

/// Peers remembered at once: if nine of ten are gone after a month, some six are left to join through.
pub(super) const MOST_PEERS: usize = 64;

/// Addresses of one peer: IPv4, IPv6, a name, and one that it had before.
pub(super) const MOST_ADDRESSES: usize = 4;

/// Longest address in characters. A name has at most 255.
const LONGEST_ADDRESS: usize = 320;

/// A peer that did not answer so often in a row is forgotten. Only tries count that were made while others answered.
const MOST_FAILURES: u32 = 3;

/// When all places are taken, a newcomer takes that of a peer which has not been seen for so long, in seconds. Peers
/// that are still there keep theirs: whoever floods us with nodes pushes nobody out.
const REPLACEABLE_AFTER: f64 = 3600.0;

/// A peer whose last success has moved on by so much is worth a write, in seconds.
const WORTH_WRITING: f64 = 600.0;

/// A remembered peer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KnownPeer {
    pub(super) peer: PeerId,
    /// Without the peer id.
    pub(super) addresses: Vec<Multiaddr>,
    /// When it was last known to answer, in Unix seconds.
    last_success: f64,
    failures: u32,
    /// Its last success as it was last written.
    written: Option<f64>,
}

/// The remembered peers.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct KnownPeers {
    peers: Vec<KnownPeer>,
    /// Somebody came, left or moved since it was written.
    changed: bool,
}

/// A peer as it stands in the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    peer: String,
    addresses: Vec<String>,
    last_success: f64,
}

impl KnownPeers {
    /// `peer` answers, and is at `addresses`.
    pub(super) fn seen(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: DhtTime) {
        let now = now.as_unix();
        let mut addresses: Vec<Multiaddr> =
            addresses.into_iter().filter(|address| address.to_string().len() <= LONGEST_ADDRESS).collect();
        addresses.truncate(MOST_ADDRESSES);
        if let Some(known) = self.peers.iter_mut().find(|known| known.peer == peer) {
            (known.last_success, known.failures) = (now, 0);
            // A peer that came to us and has told nothing yet is still where it was.
            if !addresses.is_empty() && known.addresses != addresses {
                known.addresses = addresses;
                self.changed = true;
            }
            return;
        }
        if addresses.is_empty() {
            return;
        }
        if self.peers.len() >= MOST_PEERS {
            let longest_gone = self.peers.iter().enumerate();
            let longest_gone =
                longest_gone.min_by(|(_, a), (_, b)| a.last_success.total_cmp(&b.last_success));
            match longest_gone {
                Some((index, known)) if now - known.last_success >= REPLACEABLE_AFTER => {
                    self.peers.swap_remove(index);
                }
                _ => return,
            }
        }
        self.peers.push(KnownPeer { peer, addresses, last_success: now, failures: 0, written: None });
        self.changed = true;
    }

    /// `peer` did not answer, though others did. Whether it is forgotten now.
    pub(super) fn failed(&mut self, peer: &PeerId) -> bool {
        let Some(index) = self.peers.iter().position(|known| known.peer == *peer) else { return false };
        self.peers[index].failures += 1;
        let forgotten = self.peers[index].failures >= MOST_FAILURES;
        if forgotten {
            self.peers.swap_remove(index);
            self.changed = true;
        }
        forgotten
    }

    /// All of them, the best first.
    pub(super) fn ranked(&self) -> Vec<&KnownPeer> {
        let mut ranked: Vec<&KnownPeer> = self.peers.iter().collect();
        ranked.sort_by(|a, b| {
            a.failures
                .cmp(&b.failures)
                .then(b.last_success.total_cmp(&a.last_success))
                .then(a.peer.cmp(&b.peer))
        });
        ranked
    }

    pub(super) fn get(&self, peer: &PeerId) -> Option<&KnownPeer> {
        self.peers.iter().find(|known| known.peer == *peer)
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether a write would tell something new.
    pub(super) fn is_worth_writing(&self) -> bool {
        let moved_on = |known: &KnownPeer| {
            known.written.is_none_or(|written| known.last_success - written >= WORTH_WRITING)
        };
        self.changed || self.peers.iter().any(moved_on)
    }

    /// The file's content; what it says counts as written from now on.
    pub(super) fn write(&mut self) -> Vec<u8> {
        self.changed = false;
        for known in &mut self.peers {
            known.written = Some(known.last_success);
        }
        let line = |known: &KnownPeer| Line {
            peer: known.peer.to_base58(),
            addresses: known.addresses.iter().map(Multiaddr::to_string).collect(),
            last_success: known.last_success,
        };
        let lines: Vec<Line> = self.ranked().into_iter().map(line).collect();
        // Strings and finite numbers always have a JSON form.
        serde_json::to_vec_pretty(&lines).unwrap_or_default()
    }

    /// A write failed: it is due again.
    pub(super) fn not_written(&mut self) {
        self.changed = true;
    }

    /// Reads a file's content; `None` if it is not one of ours. What is more than we would remember is left out.
    pub(super) fn read(content: &[u8]) -> Option<Self> {
        let lines: Vec<Line> = serde_json::from_slice(content).ok()?;
        let peer = |line: Line| {
            let addresses: Result<Vec<Multiaddr>, _> =
                line.addresses.iter().take(MOST_ADDRESSES).map(|address| address.parse()).collect();
            Some(KnownPeer {
                peer: line.peer.parse().ok()?,
                addresses: addresses.ok()?,
                last_success: line.last_success,
                failures: 0,
                written: Some(line.last_success),
            })
        };
        let peers: Option<Vec<KnownPeer>> = lines.into_iter().take(MOST_PEERS).map(peer).collect();
        Some(Self { peers: peers?, changed: false })
    }

    /// Takes in what was read while others were already seen.
    pub(super) fn merge(&mut self, read: Self) {
        for known in read.peers {
            if self.get(&known.peer).is_none() && self.len() < MOST_PEERS {
                self.peers.push(known);
            }
        }
    }
}

/// What a file says can be written, and is read alike: see [`crate::fuzzing`].
#[cfg(any(test, fuzzing))]
pub(crate) fn judge(content: &[u8]) {
    let Some(mut read) = KnownPeers::read(content) else { return };
    assert!(read.len() <= MOST_PEERS && read.ranked().len() == read.len());
    assert!(read.ranked().iter().all(|known| known.addresses.len() <= MOST_ADDRESSES));
    let written = read.write();
    let again = KnownPeers::read(&written).map(|mut again| again.write());
    assert_eq!(again, Some(written));
    let mut merged = KnownPeers::default();
    merged.merge(read);
    assert!(merged.len() <= MOST_PEERS);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> DhtTime {
        DhtTime::from_unix(1_000_000.0 + seconds).unwrap()
    }

    fn address(port: usize) -> Multiaddr {
        format!("/ip4/192.0.2.1/tcp/{port}").parse().unwrap()
    }

    #[test]
    fn what_is_written_is_read_again_the_best_first() {
        let mut known = KnownPeers::default();
        let peers: Vec<PeerId> = (0..5).map(|_| PeerId::random()).collect();
        for (n, peer) in peers.iter().enumerate() {
            known.seen(*peer, vec![address(1000 + n), "/dns/a.example/tcp/1".parse().unwrap()], at(n as f64));
        }
        assert!(known.is_worth_writing());
        let content = known.write();
        assert!(!known.is_worth_writing());
        let read = KnownPeers::read(&content).unwrap();
        assert!(!read.is_worth_writing());
        let ranked: Vec<PeerId> = read.ranked().iter().map(|known| known.peer).collect();
        assert_eq!(ranked, peers.iter().rev().copied().collect::<Vec<_>>());
        assert_eq!(read.get(&peers[3]).unwrap().addresses, known.get(&peers[3]).unwrap().addresses);
        for end in 0..content.len() {
            assert_eq!(KnownPeers::read(&content[..end]), None);
        }
    }

    #[test]
    fn memory_is_bounded_and_nobody_who_is_there_is_pushed_out() {
        let mut known = KnownPeers::default();
        let old = PeerId::random();
        known.seen(old, vec![address(1)], at(0.0));
        for n in 0..200 {
            known.seen(PeerId::random(), (0..50).map(address).collect(), at(f64::from(n)));
        }
        assert_eq!(known.len(), MOST_PEERS);
        assert!(known.get(&old).is_some());
        assert!(known.peers.iter().all(|known| known.addresses.len() <= MOST_ADDRESSES));
        known.seen(PeerId::random(), vec![address(1)], at(REPLACEABLE_AFTER));
        assert!(known.get(&old).is_none(), "it was gone for an hour");
        let long = format!("/dns/{}/tcp/1", "a".repeat(1000)).parse().unwrap();
        let peer = PeerId::random();
        known.seen(peer, vec![long], at(2.0 * REPLACEABLE_AFTER));
        assert!(known.get(&peer).is_none());
    }

    #[test]
    fn who_fails_goes_unless_it_answers_in_between() {
        let mut known = KnownPeers::default();
        let peer = PeerId::random();
        known.seen(peer, vec![address(1)], at(0.0));
        for _ in 0..3 {
            assert!(!known.failed(&peer) && !known.failed(&peer));
            known.seen(peer, vec![], at(0.0));
        }
        assert_eq!(known.get(&peer).unwrap().addresses, [address(1)]);
        known.write();
        assert!(!known.failed(&peer) && !known.failed(&peer) && known.failed(&peer));
        assert!(known.is_worth_writing());
        assert_eq!(known.len(), 0);
    }

    #[test]
    fn a_success_alone_is_written_only_now_and_then() {
        let mut known = KnownPeers::default();
        let peer = PeerId::random();
        known.seen(peer, vec![address(1)], at(0.0));
        known.write();
        known.seen(peer, vec![address(1)], at(WORTH_WRITING - 1.0));
        assert!(!known.is_worth_writing());
        known.seen(peer, vec![address(1)], at(WORTH_WRITING));
        assert!(known.is_worth_writing());
    }
}
