//! The chronicle beside a model that remembers every crawl and counts every second by itself.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::PeerId;
use proptest::prelude::*;

use super::super::{
    chronicle::{Chronicle, Crawl, Limits},
    coverage::UnixSeconds,
    encoding,
    life::{Seen, Tally},
    sighting::Sighting,
};

const PEERS: usize = 4;
const GAP: u64 = 12;
/// Large enough for nothing to be forgotten.
const FOREVER: u64 = 1 << 40;
const BEGIN: UnixSeconds = 1_000_000;

/// Every crawl that was taken, as it was.
#[derive(Default)]
struct Model(BTreeMap<UnixSeconds, BTreeMap<PeerId, Sighting>>);

impl Model {
    /// What is known of one second.
    fn at(&self, peer: &PeerId, second: UnixSeconds) -> Option<Sighting> {
        let (before, crawl) = self.0.range(..=second).next_back()?;
        let (after, _) = self.0.range(second + 1..).next()?;
        (after - before <= GAP).then(|| crawl.get(peer).copied().unwrap_or(Sighting::Missing))
    }

    fn first_seen(&self, peer: &PeerId) -> Option<UnixSeconds> {
        self.0.iter().find(|(_, crawl)| crawl.contains_key(peer)).map(|(at, _)| *at)
    }

    /// Seconds by sighting, and those of which nothing is known.
    fn count(&self, peer: &PeerId, from: UnixSeconds, to: UnixSeconds) -> (Vec<u64>, u64) {
        let (mut seconds, mut unknown) = (vec![0; Sighting::ALL.len()], 0);
        for second in from.max(self.first_seen(peer).unwrap()).min(to)..to {
            match self.at(peer, second) {
                Some(sighting) => seconds[sighting.place()] += 1,
                None => unknown += 1,
            }
        }
        (seconds, unknown)
    }
}

fn seconds(tally: &Tally) -> Vec<u64> {
    Sighting::ALL.map(|sighting| tally.of(sighting)).to_vec()
}

fn seen(sighting: Sighting) -> Seen {
    Seen { sighting, name: None, model: None }
}

fn peers() -> Vec<PeerId> {
    let peer = |n: usize| {
        let key = libp2p::identity::Keypair::ed25519_from_bytes([n as u8 + 1; 32]).unwrap();
        key.public().to_peer_id()
    };
    (0..PEERS).map(peer).collect()
}

/// Steps of time, and how each of the peers is seen then; 4 is missing.
fn crawls() -> impl Strategy<Value = Vec<(u64, [usize; PEERS])>> {
    // Gaps that count as observed, and some that do not.
    let step = prop_oneof![6 => 0..GAP + 1, 1 => GAP + 1..4 * GAP];
    proptest::collection::vec((step, [0..5usize, 0..5, 0..5, 0..5]), 1..40)
}

fn crawl(at: UnixSeconds, peers: &[PeerId], how: &[usize]) -> Crawl {
    let there = peers.iter().zip(how).filter(|(_, how)| **how < Sighting::Missing.place());
    Crawl { at, servers: there.map(|(peer, how)| (*peer, seen(Sighting::ALL[*how]))).collect() }
}

proptest! {
    #[test]
    fn it_counts_as_the_model_does(
        crawls in crawls(), from in 0..300u64, length in 0..300u64, after in 1..40u64,
    ) {
        let peers = peers();
        let (mut chronicle, mut model) = (Chronicle::new(limits(FOREVER)), Model::default());
        let mut at = BEGIN;
        for (step, how) in &crawls {
            at += step;
            let crawl = crawl(at, &peers, how);
            chronicle.observe(&crawl);
            // Of two crawls within a second the first counts.
            model.0.entry(at).or_insert_with(|| {
                crawl.servers.iter().map(|(peer, seen)| (*peer, seen.sighting)).collect()
            });
        }
        let ever: BTreeSet<PeerId> = model.0.values().flat_map(BTreeMap::keys).copied().collect();
        prop_assert_eq!(chronicle.lives().keys().copied().collect::<BTreeSet<_>>(), ever.clone());
        for peer in &ever {
            let life = &chronicle.lives()[peer];
            prop_assert_eq!(Some(life.first_seen), model.first_seen(peer));
            let (from, to) = (BEGIN + from, BEGIN + from + length);
            let tally = life.tally(chronicle.coverage(), from, to);
            prop_assert_eq!((seconds(&tally), tally.unknown), model.count(peer, from, to));
            // What has lasted is the last run that was observed for so long.
            let (mut settled, mut run, mut length) = (None, None, 0);
            for second in life.first_seen..at {
                if let Some(crawl) = model.0.get(&second) {
                    let now = Some(crawl.get(peer).copied().unwrap_or(Sighting::Missing));
                    length = if run == now { length } else { 0 };
                    run = now;
                }
                length += u64::from(model.at(peer, second).is_some());
                if length >= after {
                    settled = run;
                }
            }
            let told = life.settled(chronicle.coverage(), at, after).map(|change| change.sighting);
            prop_assert_eq!(told, settled);
            let bytes = encoding::life_to_bytes(life);
            prop_assert_eq!(encoding::life_of_bytes(&bytes), Some(crate::history::life::Life::clone(life)));
        }
        let bytes = encoding::coverage_to_bytes(chronicle.coverage());
        prop_assert_eq!(&encoding::coverage_of_bytes(&bytes), chronicle.coverage());
        // Everything that changed has been told, and no more weighs than is there.
        let touched: BTreeSet<PeerId> = chronicle.take_touched().into_iter().map(|(peer, _)| peer).collect();
        prop_assert_eq!(touched, ever);
        let weight: u64 = chronicle.lives().values().map(|life| life.weight()).sum();
        prop_assert_eq!(chronicle.weight(), weight);
    }

    #[test]
    fn what_is_forgotten_is_unknown_and_never_wrong(
        crawls in crawls(), keep in 1..200u64, weight in 300..1500u64,
    ) {
        let peers = peers();
        let (mut chronicle, mut model) = (Chronicle::new(Limits { keep, gap: GAP, weight }), Model::default());
        let mut at = BEGIN;
        for (step, how) in &crawls {
            at += step;
            let crawl = crawl(at, &peers, how);
            chronicle.observe(&crawl);
            model.0.entry(at).or_insert_with(|| {
                crawl.servers.iter().map(|(peer, seen)| (*peer, seen.sighting)).collect()
            });
            prop_assert!(chronicle.weight() <= weight);
        }
        for (peer, life) in chronicle.lives() {
            let tally = life.tally(chronicle.coverage(), BEGIN, at);
            let (counted, _) = model.count(peer, life.first_seen, at);
            for (told, counted) in seconds(&tally).into_iter().zip(counted) {
                prop_assert!(told <= counted);
            }
            prop_assert_eq!(life.now(), *model.0.values().next_back().unwrap().get(peer).unwrap_or(&Sighting::Missing));
        }
        // What is told in bits and pieces is all that is there.
        let mut copy: BTreeMap<PeerId, Vec<u8>> = BTreeMap::new();
        for (peer, life) in chronicle.take_touched() {
            match life {
                Some(life) => drop(copy.insert(peer, encoding::life_to_bytes(&life))),
                None => drop(copy.remove(&peer)),
            }
        }
        prop_assert_eq!(copy.keys().collect::<Vec<_>>(), chronicle.lives().keys().collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Some(life) = encoding::life_of_bytes(&bytes) {
            let again = encoding::life_to_bytes(&life);
            prop_assert_eq!(encoding::life_of_bytes(&again), Some(life));
        }
        let coverage = encoding::coverage_of_bytes(&bytes);
        let again = encoding::coverage_to_bytes(&coverage);
        prop_assert_eq!(encoding::coverage_of_bytes(&again), coverage);
    }
}

fn limits(keep: u64) -> Limits {
    Limits { keep, gap: GAP, weight: u64::MAX }
}

#[test]
fn a_server_that_flaps_forgets_its_own_past() {
    let peers = peers();
    let mut chronicle = Chronicle::new(limits(FOREVER));
    for minute in 0..3000 {
        let flapping = Sighting::ALL[minute as usize % 2].place();
        chronicle.observe(&crawl(BEGIN + 10 * minute, &peers, &[flapping, 0, 4, 4]));
    }
    assert_eq!(chronicle.lives()[&peers[0]].changes().len(), super::super::life::MOST_CHANGES);
    let steady = &chronicle.lives()[&peers[1]];
    assert_eq!((steady.changes().len(), steady.first_seen), (1, BEGIN));
}

#[test]
fn a_flood_of_new_names_drives_nobody_out_who_was_known_before() {
    let (known, keep) = (peers(), FOREVER);
    let mut chronicle = Chronicle::new(Limits { keep, gap: GAP, weight: 20_000 });
    chronicle.observe(&crawl(BEGIN, &known, &[0; PEERS]));
    let mut flooded = crawl(BEGIN + 10, &known, &[0; PEERS]);
    flooded.servers.extend((0..500).map(|_| (PeerId::random(), seen(Sighting::Online))));
    chronicle.observe(&flooded);
    assert!(chronicle.weight() <= 20_000);
    assert!(known.iter().all(|peer| chronicle.lives().contains_key(peer)));
}

#[test]
fn a_clock_that_was_far_ahead_leaves_nothing_behind() {
    let peers = peers();
    let mut chronicle = Chronicle::new(limits(FOREVER));
    chronicle.observe(&crawl(BEGIN + 10_000_000, &peers, &[0; PEERS]));
    chronicle.take_touched();
    chronicle.observe(&crawl(BEGIN, &peers, &[0, 4, 4, 4]));
    assert_eq!(chronicle.coverage().end(), Some(BEGIN));
    assert_eq!(chronicle.lives().len(), 1);
    assert_eq!(chronicle.take_touched().len(), PEERS, "whoever is gone is told of, too");
    chronicle.observe(&crawl(BEGIN - 60, &peers, &[0; PEERS]));
    assert_eq!(chronicle.lives().len(), 1, "a small step back is waited out");
}
