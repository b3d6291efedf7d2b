//! What follows from which facts.

use std::{collections::BTreeSet, time::Duration};

use libp2p::{Multiaddr, PeerId};

use super::super::{
    evidence::ALONE,
    kind::Family,
    standing::{Fact, Finding, SEEN_BY, SETTLE, Standing, UNPROVED, Verdict},
};
use crate::network::addresses::Scope;

const HOME: &str = "/ip4/192.168.1.7/tcp/31330";
const MAPPED: &str = "/ip4/11.0.0.9/tcp/31330";
const OTHER: &str = "/ip4/11.0.0.10/tcp/31330";
const HOST: &str = "/ip4/44.0.0.7/tcp/31330";
const HOST_V6: &str = "/ip6/2a01:4f8::7/tcp/31330";

fn at(address: &str) -> Multiaddr {
    address.parse().unwrap()
}

struct Lab {
    standing: Standing,
    now: Duration,
    peers: Vec<PeerId>,
}

impl Lab {
    fn new(scope: Scope, configured: &[&str]) -> Self {
        let standing = Standing::new(scope, configured.iter().map(|address| at(address)));
        Self { standing, now: Duration::ZERO, peers: (0..6).map(|_| PeerId::random()).collect() }
    }

    fn public() -> Self {
        Self::new(Scope::Public, &[])
    }

    fn learn(&mut self, fact: Fact) {
        self.standing.learn(fact, self.now);
        self.standing.settle(self.now);
    }

    fn reached(&mut self, by: usize, address: &str) {
        self.learn(Fact::Reached { by: self.peers[by], at: at(address) });
    }

    fn not_reached(&mut self, by: usize) {
        self.learn(Fact::NotReached { by: self.peers[by], family: Family::V4, asked: self.now });
    }

    fn seen(&mut self, by: usize, address: &str) {
        self.learn(Fact::Seen { by: self.peers[by], at: vec![at(address)] });
    }

    /// A second at a time, as the driver does.
    fn pass(&mut self, time: Duration) -> &Finding {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_secs(1);
            self.standing.settle(self.now);
        }
        self.standing.finding()
    }

    #[track_caller]
    fn expect(&mut self, verdict: Verdict, addresses: &[&str]) {
        let finding = self.pass(SETTLE + Duration::from_secs(1));
        let addresses: BTreeSet<_> = addresses.iter().map(|address| at(address)).collect();
        assert_eq!(finding, &Finding { verdict, addresses });
    }
}

#[test]
fn what_is_configured_is_announced_whatever_others_say() {
    let mut lab = Lab::new(Scope::Public, &[MAPPED, "/ip4/10.0.0.1/tcp/1"]);
    lab.standing.settle(Duration::ZERO);
    assert_eq!(lab.standing.finding().addresses, [at(MAPPED)].into(), "at once, and without the private one");
    lab.learn(Fact::Listening(at(HOST)));
    (0..4).for_each(|peer| lab.not_reached(peer));
    lab.expect(Verdict::Public, &[MAPPED]);
}

#[test]
fn a_private_network_needs_no_witness() {
    let mut lab = Lab::new(Scope::Private, &[]);
    lab.learn(Fact::Listening(at(HOME)));
    assert_eq!(lab.standing.finding().addresses, [at(HOME)].into());
    (0..4).for_each(|peer| lab.not_reached(peer));
    lab.expect(Verdict::Public, &[HOME]);
    lab.learn(Fact::NotListening(at(HOME)));
    assert_eq!(lab.standing.finding(), &Finding::default());
}

#[test]
fn an_address_of_the_machine_is_announced_at_once_and_taken_back_by_two() {
    let mut lab = Lab::public();
    lab.learn(Fact::Listening(at(HOME)));
    assert_eq!(lab.standing.finding(), &Finding::default());
    lab.learn(Fact::Listening(at(HOST)));
    assert_eq!(lab.standing.finding().addresses, [at(HOST)].into());
    lab.not_reached(0);
    lab.expect(Verdict::Public, &[HOST]);
    lab.not_reached(1);
    lab.expect(Verdict::Private, &[]);
}

#[test]
fn one_witness_alone_is_believed_after_a_while() {
    let mut lab = Lab::public();
    lab.learn(Fact::Listening(at(HOME)));
    lab.not_reached(0);
    lab.expect(Verdict::Unknown, &[]);
    lab.pass(ALONE);
    lab.expect(Verdict::Private, &[]);
}

#[test]
fn what_was_reached_is_announced_once_it_has_settled() {
    let mut lab = Lab::public();
    lab.seen(0, MAPPED);
    lab.reached(0, MAPPED);
    assert_eq!(lab.standing.finding(), &Finding::default());
    lab.expect(Verdict::Public, &[MAPPED]);
    lab.not_reached(1);
    lab.pass(ALONE * 2);
    lab.expect(Verdict::Public, &[MAPPED]);
    lab.not_reached(2);
    lab.expect(Verdict::Private, &[]);
    lab.reached(3, MAPPED);
    lab.expect(Verdict::Public, &[MAPPED]);
}

#[test]
fn a_witness_whom_the_others_contradict_is_not_believed() {
    let mut lab = Lab::public();
    lab.seen(0, OTHER);
    lab.reached(0, OTHER);
    lab.seen(1, MAPPED);
    lab.seen(2, MAPPED);
    lab.expect(Verdict::Unknown, &[]);
}

#[test]
fn enough_who_see_us_make_up_for_a_proof_until_somebody_fails_to_reach_us() {
    let mut lab = Lab::public();
    lab.learn(Fact::Listening(at(HOME)));
    (1..SEEN_BY).for_each(|peer| lab.seen(peer, MAPPED));
    lab.expect(Verdict::Unknown, &[]);
    lab.seen(0, MAPPED);
    lab.expect(Verdict::Unknown, &[]);
    lab.pass(UNPROVED);
    lab.expect(Verdict::Public, &[MAPPED]);
    lab.not_reached(4);
    lab.not_reached(5);
    lab.expect(Verdict::Private, &[]);
}

#[test]
fn strangers_who_come_in_prove_an_address() {
    let mut lab = Lab::public();
    let dialled = |by: PeerId| Fact::Dialled { by, at: at(MAPPED) };
    lab.learn(dialled(lab.peers[0]));
    lab.learn(dialled(lab.peers[0]));
    lab.expect(Verdict::Unknown, &[]);
    lab.learn(dialled(lab.peers[1]));
    lab.expect(Verdict::Public, &[MAPPED]);
}

#[test]
fn a_mapping_of_the_router_counts_while_it_is_there() {
    let mut lab = Lab::public();
    lab.learn(Fact::Mapped(at(MAPPED)));
    lab.expect(Verdict::Public, &[MAPPED]);
    lab.learn(Fact::Unmapped(at(MAPPED)));
    lab.expect(Verdict::Unknown, &[]);
}

#[test]
fn what_a_router_forwards_no_more_is_not_announced_because_we_are_seen_there() {
    let mut lab = Lab::public();
    lab.learn(Fact::Mapped(at(MAPPED)));
    (0..SEEN_BY).for_each(|peer| lab.seen(peer, MAPPED));
    lab.reached(0, MAPPED);
    lab.pass(UNPROVED);
    lab.expect(Verdict::Public, &[MAPPED]);
    lab.learn(Fact::Unmapped(at(MAPPED)));
    lab.pass(UNPROVED);
    lab.expect(Verdict::Unknown, &[]);
    lab.reached(1, MAPPED);
    lab.expect(Verdict::Public, &[MAPPED]);
}

#[test]
fn a_router_that_forwards_another_port_does_not_let_others_in_at_ours() {
    const ELSEWHERE: &str = "/ip4/11.0.0.9/tcp/45571";
    const QUIC: &str = "/ip4/11.0.0.9/udp/31330/quic-v1";
    let mut lab = Lab::public();
    for by in lab.peers.clone() {
        lab.learn(Fact::Seen { by, at: vec![at(MAPPED), at(QUIC)] });
    }
    lab.pass(UNPROVED);
    lab.expect(Verdict::Public, &[MAPPED, QUIC]);
    lab.learn(Fact::Mapped(at(ELSEWHERE)));
    lab.expect(Verdict::Public, &[ELSEWHERE, QUIC]);
    lab.reached(0, ELSEWHERE);
    lab.expect(Verdict::Public, &[ELSEWHERE, QUIC]);
}

#[test]
fn a_router_that_begins_to_forward_takes_back_what_was_said_before() {
    let mut lab = Lab::public();
    (0..2).for_each(|peer| lab.not_reached(peer));
    lab.expect(Verdict::Private, &[]);
    let asked = lab.now;
    lab.pass(SETTLE);
    lab.learn(Fact::Mapped(at(MAPPED)));
    for by in lab.peers.clone() {
        lab.learn(Fact::NotReached { by, family: Family::V4, asked });
    }
    lab.expect(Verdict::Public, &[MAPPED]);
    (0..2).for_each(|peer| lab.not_reached(peer));
    lab.expect(Verdict::Private, &[]);
}

#[test]
fn a_new_external_address_takes_the_place_of_the_old_one() {
    let mut lab = Lab::public();
    for peer in 0..2 {
        lab.seen(peer, MAPPED);
    }
    lab.reached(0, MAPPED);
    lab.expect(Verdict::Public, &[MAPPED]);
    for peer in 0..2 {
        lab.learn(Fact::Gone { by: lab.peers[peer] });
    }
    lab.expect(Verdict::Public, &[MAPPED]);
    for peer in 0..2 {
        lab.seen(peer, OTHER);
    }
    lab.pass(SETTLE);
    assert!(!lab.standing.finding().addresses.contains(&at(MAPPED)), "nobody sees us there any more");
    lab.reached(1, OTHER);
    lab.expect(Verdict::Public, &[OTHER]);
}

#[test]
fn the_machine_moves() {
    let mut lab = Lab::public();
    lab.learn(Fact::Listening(at(HOST)));
    lab.reached(0, HOST);
    lab.expect(Verdict::Public, &[HOST]);
    lab.learn(Fact::NotListening(at(HOST)));
    lab.learn(Fact::Listening(at(OTHER)));
    lab.expect(Verdict::Public, &[OTHER]);
}

#[test]
fn a_nat_stands_before_one_family_only() {
    let mut lab = Lab::public();
    lab.learn(Fact::Listening(at(HOME)));
    lab.learn(Fact::Listening(at(HOST_V6)));
    lab.not_reached(0);
    lab.not_reached(1);
    lab.expect(Verdict::Public, &[HOST_V6]);
    for by in [lab.peers[0], lab.peers[1]] {
        lab.learn(Fact::NotReached { by, family: Family::V6, asked: lab.now });
    }
    lab.expect(Verdict::Private, &[]);
}

#[test]
fn quic_is_announced_where_tcp_was_proved_and_enough_see_it() {
    let quic = "/ip4/11.0.0.9/udp/31330/quic-v1";
    let mut lab = Lab::public();
    for peer in 0..SEEN_BY {
        lab.learn(Fact::Seen { by: lab.peers[peer], at: vec![at(quic)] });
    }
    lab.reached(0, MAPPED);
    lab.expect(Verdict::Public, &[MAPPED, quic]);
}
