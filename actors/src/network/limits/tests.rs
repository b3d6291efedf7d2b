//! The census under virtual time, and against a plain count of everything.

use std::{collections::HashSet, time::Duration};

use libp2p::{Multiaddr, PeerId, swarm::ConnectionId};
use proptest::prelude::*;
use tokio::time::Instant;

use super::{
    census::{Bounds, Census, GRACE, QUIET},
    range::Range,
    refusals::Refusal,
};

const BOUNDS: Bounds =
    Bounds { all: 6, incoming: 4, of_peer: 2, of_range: 3, pending: 4, stay: Duration::from_secs(600) };

fn id(number: usize) -> ConnectionId {
    ConnectionId::new_unchecked(number)
}

fn range(network: u8) -> Option<Range> {
    let address: Multiaddr = format!("/ip4/203.0.{network}.1/tcp/1").parse().unwrap();
    Range::of(&address)
}

/// A census with `count` incoming connections, each of its own peer and range, numbered from 0.
fn crowd(count: u8, now: Instant) -> (Census, Vec<PeerId>) {
    let mut census = Census::new(BOUNDS);
    let peers: Vec<PeerId> = (0..count).map(|_| PeerId::random()).collect();
    for (number, peer) in peers.iter().enumerate() {
        assert_eq!(census.admit(peer, range(number as u8), true, now), Ok(None));
        census.opened(id(number), *peer, range(number as u8), true, now);
    }
    (census, peers)
}

#[test]
fn a_peer_and_a_range_have_bounds_of_their_own() {
    let now = Instant::now();
    let mut census = Census::new(BOUNDS);
    let peer = PeerId::random();
    for number in 0..2 {
        assert_eq!(census.admit(&peer, range(1), true, now), Ok(None));
        census.opened(id(number), peer, range(1), true, now);
    }
    assert_eq!(census.admit(&peer, range(2), true, now), Err(Refusal::OfPeer));
    assert_eq!(census.admit(&peer, range(2), false, now), Err(Refusal::OfPeer));
    census.opened(id(2), PeerId::random(), range(1), true, now);
    let other = PeerId::random();
    assert_eq!(census.admit(&other, range(1), true, now), Err(Refusal::OfRange));
    assert_eq!(census.admit(&other, range(1), false, now), Ok(None), "we have dialled it");
    census.want(other);
    assert_eq!(census.admit(&other, range(1), true, now), Ok(None), "we have asked for it");
    census.closed(&id(2));
    assert_eq!(census.admit(&PeerId::random(), range(1), true, now), Ok(None));
}

#[test]
fn who_never_did_anything_goes_first() {
    let start = Instant::now();
    let (mut census, peers) = crowd(4, start);
    let newcomer = PeerId::random();
    let admit = |census: &Census, at| census.admit(&newcomer, range(9), true, at);
    assert_eq!(admit(&census, start), Err(Refusal::Incoming), "all of them are new themselves");
    // The third has done nothing; the others have.
    census.look(|peer| u64::from(*peer != peers[2]), start + GRACE);
    assert_eq!(admit(&census, start + GRACE), Ok(Some(id(2))));
    assert_eq!(census.close(id(2)), Some(peers[2]));
    assert_eq!(admit(&census, start + GRACE), Ok(None), "it counts as gone");
    census.opened(id(4), newcomer, range(9), true, start + GRACE);
    census.closed(&id(2));
    // All that are left are of use, until nothing is done for long.
    census.look(|_| 1, start + GRACE);
    let later = start + QUIET + GRACE;
    let last = PeerId::random();
    assert_eq!(census.admit(&last, range(8), true, later - Duration::from_secs(1)), Err(Refusal::Incoming));
    census.look(|peer| if *peer == peers[0] { 2 } else { 1 }, later);
    assert_eq!(census.admit(&last, range(8), true, later), Ok(Some(id(1))));
    assert_eq!(census.admit(&last, range(8), false, later), Ok(None), "places are kept for our own dials");
}

#[test]
fn where_most_strangers_come_from_one_of_them_goes() {
    let start = Instant::now();
    let mut census = Census::new(BOUNDS);
    for (number, network) in [1, 2, 2, 3].into_iter().enumerate() {
        census.opened(id(number), PeerId::random(), range(network), true, start);
    }
    assert_eq!(census.admit(&PeerId::random(), range(1), true, start + GRACE), Ok(Some(id(1))));
}

#[test]
fn whom_we_want_stays() {
    let start = Instant::now();
    let (mut census, peers) = crowd(4, start);
    peers.iter().for_each(|peer| census.want(*peer));
    let later = start + 2 * QUIET;
    assert_eq!(census.admit(&PeerId::random(), range(9), true, later), Err(Refusal::Incoming));
}

#[test]
fn who_was_of_use_stays_for_a_while() {
    let start = Instant::now();
    let mut census = Census::new(BOUNDS);
    let [stranger, caller, wanted] = [0; 3].map(|_| PeerId::random());
    census.want(wanted);
    let stays = [stranger, caller, wanted].map(|peer| {
        let id = id(census.counts().0);
        let stay = census.stay(id);
        census.opened(id, peer, range(1), true, start);
        stay
    });
    let mut look = |calls: u64, after| {
        census.look(|peer| if *peer == caller { calls } else { 0 }, start + after);
        stays.clone().map(|stay| stay.get())
    };
    assert_eq!(stays.clone().map(|stay| stay.get()), [false; 3]);
    let second = Duration::from_secs(1);
    assert_eq!(look(0, second), [false, false, true]);
    assert_eq!(look(1, 2 * second), [false, true, true]);
    assert_eq!(look(1, BOUNDS.stay + second), [false, true, false]);
    assert_eq!(look(1, BOUNDS.stay + 2 * second), [false, false, false]);
    assert_eq!(look(2, BOUNDS.stay + 3 * second), [false, true, false]);
}

#[test]
fn one_range_takes_half_of_those_being_made() {
    let mut census = Census::new(BOUNDS);
    let loopback = Range::of(&"/ip4/127.0.0.1/tcp/1".parse().unwrap());
    assert_eq!(census.begin_incoming(id(0), loopback), Ok(()));
    assert_eq!(census.begin_incoming(id(1), loopback), Ok(()));
    assert_eq!(census.begin_incoming(id(2), loopback), Err(Refusal::PendingOfRange));
    assert_eq!(census.begin_incoming(id(3), range(1)), Ok(()));
    assert_eq!(census.begin_incoming(id(4), None), Ok(()));
    assert_eq!(census.begin_incoming(id(5), None), Err(Refusal::Pending));
    census.end_pending(&id(0));
    assert_eq!(census.begin_incoming(id(6), loopback), Ok(()));
    assert_eq!(census.begin_outgoing(id(7)), Ok(()), "they are counted apart");
}

proptest! {
    /// Whoever comes, from wherever, and goes: no bound is passed, what is told to go was there, and nothing stays
    /// when all are gone.
    #[test]
    fn bounds_hold(steps in prop::collection::vec((0..8u8, 0..4u8, any::<bool>(), 0..100u64, any::<bool>()), 1..200)) {
        let peers: Vec<PeerId> = (0..8).map(|_| PeerId::random()).collect();
        let mut now = Instant::now();
        let mut census = Census::new(BOUNDS);
        let mut open: HashSet<ConnectionId> = HashSet::new();
        for (number, (peer, network, incoming, pause, leaves)) in steps.into_iter().enumerate() {
            now += Duration::from_secs(pause);
            census.look(|peer| peer.to_bytes()[5].into(), now);
            let (peer, range, new) = (peers[usize::from(peer)], range(network), id(number));
            let begun = if incoming { census.begin_incoming(new, range) } else { census.begin_outgoing(new) };
            if begun.is_err() {
                continue;
            }
            if leaves {
                // Its handshake takes long.
                continue;
            }
            census.end_pending(&new);
            if let Ok(victim) = census.admit(&peer, range, incoming, now) {
                let _ = census.stay(new);
                if let Some(victim) = victim {
                    prop_assert!(open.remove(&victim));
                    prop_assert!(census.close(victim).is_some());
                    census.closed(&victim);
                }
                census.opened(new, peer, range, incoming, now);
                open.insert(new);
            }
            let (all, from_others, ..) = census.counts();
            prop_assert!(all == open.len() && all <= BOUNDS.all as usize && from_others <= BOUNDS.incoming);
        }
        for number in 0..200 {
            census.end_pending(&id(number));
            census.closed(&id(number));
        }
        prop_assert_eq!(census.counts(), (0, 0, 0, 0, 0));
    }
}
