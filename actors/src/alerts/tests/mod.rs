//! When somebody is told, in a history that the test writes; and that it arrives, at real targets.

mod targets;

use std::collections::BTreeMap;

use libp2p::PeerId;

use super::{
    outbox::{MOST_WAITING, Next, Outbox},
    rule::Watch,
    *,
};
use crate::history::messages::{Chronicle, Crawl, Limits, Seen, Sighting};

const BEGIN: u64 = 1_800_000_000;
const MINUTE: u64 = 60;
const AFTER: u64 = 2 * MINUTE;

/// A history that grows by a crawl a minute.
struct Times {
    chronicle: Chronicle,
    at: u64,
    peer: PeerId,
}

impl Times {
    fn begin() -> Self {
        let limits = Limits { keep: 1 << 40, gap: 3 * MINUTE, weight: 1 << 20 };
        Self { chronicle: Chronicle::new(limits), at: BEGIN, peer: PeerId::random() }
    }

    /// The next crawl sees the peer so.
    fn see(&mut self, sighting: Sighting) -> &Chronicle {
        self.at += MINUTE;
        let seen = Seen { sighting, name: Some("\"; rm -rf /".into()), model: Some("m".into()) };
        let there = (sighting != Sighting::Missing).then_some((self.peer, seen));
        self.chronicle.observe(&Crawl { at: self.at, servers: BTreeMap::from_iter(there) });
        &self.chronicle
    }

    fn rule(&self, target: Target) -> Rule {
        let on = Sighting::ALL.to_vec();
        Rule { name: "mine".into(), peer: self.peer, on, after: AFTER, target }
    }

    fn watch(&self) -> Watch {
        Watch::new(self.rule(Target::Command(vec!["true".into()])))
    }
}

/// Each crawl by a letter, and after which of them somebody is told of what.
fn told(times: &mut Times, watch: &mut Watch, crawls: &str) -> Vec<(usize, Option<Sighting>, Sighting)> {
    let mut told = Vec::new();
    for (number, crawl) in crawls.chars().enumerate() {
        let sighting = match crawl {
            'o' => Sighting::Online,
            'j' => Sighting::Joining,
            'u' => Sighting::Unreachable,
            '-' => Sighting::Missing,
            // Nobody looks for an hour.
            ' ' => {
                times.at += 60 * MINUTE;
                continue;
            }
            other => panic!("{other}"),
        };
        if let Some(notice) = watch.look(times.see(sighting)) {
            told.push((number, notice.from, notice.to));
        }
    }
    told
}

#[test]
fn a_change_is_told_once_when_it_has_lasted() {
    let mut times = Times::begin();
    let mut watch = times.watch();
    let expected = [
        (6, Some(Sighting::Online), Sighting::Unreachable),
        (10, Some(Sighting::Unreachable), Sighting::Missing),
        (13, Some(Sighting::Missing), Sighting::Online),
    ];
    assert_eq!(told(&mut times, &mut watch, "oooouuuu---ooo"), expected);
}

#[test]
fn one_that_flaps_is_not_told_of() {
    let mut times = Times::begin();
    let mut watch = times.watch();
    assert_eq!(told(&mut times, &mut watch, "ooo-o-o-u-o-oj-ooo"), []);
    assert_eq!(told(&mut times, &mut watch, "u-u-u-u---").len(), 1, "until it stays away");
}

#[test]
fn time_in_which_nobody_looked_counts_for_nothing() {
    let mut times = Times::begin();
    let mut watch = times.watch();
    assert_eq!(told(&mut times, &mut watch, "oooo- - - oo"), []);
}

#[test]
fn what_was_so_before_a_restart_is_not_told_again() {
    let mut times = Times::begin();
    let mut watch = times.watch();
    assert_eq!(told(&mut times, &mut watch, "oooo----").len(), 1);
    let mut next = times.watch();
    assert_eq!(next.look(&times.chronicle), None);
    assert_eq!(told(&mut times, &mut next, "--ooo"), [(4, Some(Sighting::Missing), Sighting::Online)]);
    // And what had begun before is told after.
    let (mut other, mut next) = (times.watch(), times.watch());
    assert_eq!(told(&mut times, &mut other, "--"), []);
    assert_eq!(next.look(&times.chronicle), None);
    assert_eq!(told(&mut times, &mut next, "-"), [(0, Some(Sighting::Online), Sighting::Missing)]);
}

#[test]
fn one_that_never_came_is_missing() {
    let mut times = Times::begin();
    let mut watch = times.watch();
    assert_eq!(told(&mut times, &mut watch, "----"), [(2, None, Sighting::Missing)]);
    let mut times = Times::begin();
    let mut watch = times.watch();
    assert_eq!(told(&mut times, &mut watch, "oooo"), [], "one that is there is as it should be");
}

#[test]
fn only_what_is_asked_for_is_told() {
    let mut times = Times::begin();
    let target = Target::Command(vec!["true".into()]);
    let mut watch = Watch::new(Rule { on: vec![Sighting::Online], ..times.rule(target) });
    assert_eq!(told(&mut times, &mut watch, "ooo---ooo"), [(8, Some(Sighting::Missing), Sighting::Online)]);
}

#[test]
fn an_outbox_is_bounded_and_gives_up_at_last() {
    let mut times = Times::begin();
    let mut watch = times.watch();
    let mut notice = None;
    for _ in 0..4 {
        notice = notice.or(watch.look(times.see(Sighting::Missing)));
    }
    let notice = |number: u64| Notice { at: number, ..notice.clone().unwrap() };
    let mut outbox = Outbox::default();
    outbox.put(notice(0));
    assert_eq!(outbox.begin(), Some(notice(0)));
    assert_eq!(outbox.begin(), None, "one at a time");
    let dropped: u64 = (1..40).map(|number| outbox.put(notice(number))).sum();
    assert_eq!((outbox.len(), dropped), (MOST_WAITING, 40 - MOST_WAITING as u64));
    let mut pauses = Vec::new();
    while let Next::Again(pause) = outbox.failed(0.0) {
        pauses.push(pause.as_secs());
        outbox.rested();
        assert_eq!(outbox.begin(), Some(notice(0)), "the one on its way stays");
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 90]);
    assert_eq!(outbox.begin(), Some(notice(40 - MOST_WAITING as u64 + 1)));
    let again = outbox.failed(1.0);
    assert_eq!(again, Next::Again(Duration::from_millis(1600)), "jitter only shortens");
}
