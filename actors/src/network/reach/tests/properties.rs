//! Whatever the facts are, and in whichever order.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId, identity::Keypair};
use proptest::prelude::*;

use super::super::{
    kind::Family,
    relays::{HELD, REST, Relays},
    standing::{Fact, SETTLE, Standing, Verdict},
};
use crate::network::addresses::Scope;

const ADDRESSES: [&str; 8] = [
    "/ip4/11.0.0.9/tcp/31330",
    "/ip4/11.0.0.10/tcp/31330",
    "/ip4/11.0.0.9/udp/31330/quic-v1",
    "/ip6/2a01:4f8::7/tcp/31330",
    "/ip4/192.168.1.7/tcp/31330",
    "/ip4/100.64.3.4/tcp/31330",
    "/ip4/203.0.113.5/tcp/31330",
    "/ip6/fe80::1/tcp/31330",
];

fn peer(seed: u8) -> PeerId {
    Keypair::ed25519_from_bytes([seed + 1; 32]).unwrap().public().to_peer_id()
}

fn fact() -> impl Strategy<Value = Fact> {
    let at =
        || prop::sample::select(&ADDRESSES[..]).prop_map(|address| address.parse::<Multiaddr>().unwrap());
    let by = || (0u8..5).prop_map(peer);
    let family = prop_oneof![Just(Family::V4), Just(Family::V6)];
    prop_oneof![
        at().prop_map(Fact::Listening),
        at().prop_map(Fact::NotListening),
        at().prop_map(Fact::Mapped),
        at().prop_map(Fact::Unmapped),
        (by(), at()).prop_map(|(by, at)| Fact::Reached { by, at }),
        (by(), family).prop_map(|(by, family)| Fact::NotReached { by, family, asked: Duration::MAX }),
        (by(), at()).prop_map(|(by, at)| Fact::Dialled { by, at }),
        (by(), prop::collection::vec(at(), 1..3)).prop_map(|(by, at)| Fact::Seen { by, at }),
        by().prop_map(|by| Fact::Gone { by }),
    ]
}

proptest! {
    #[test]
    fn nothing_private_is_announced_and_a_verdict_fits_its_addresses(
        facts in prop::collection::vec((fact(), 0u64..6), 0..120),
    ) {
        let mut standing = Standing::new(Scope::Public, []);
        let mut now = Duration::ZERO;
        for (fact, pause) in facts {
            now += Duration::from_secs(pause);
            standing.learn(fact, now);
            let before = standing.finding().verdict;
            let changed = standing.settle(now);
            let finding = standing.finding();
            prop_assert!(finding.addresses.iter().all(|address| Scope::Public.allows(address)));
            prop_assert_eq!(finding.addresses.is_empty(), finding.verdict != Verdict::Public);
            prop_assert!(changed || finding.verdict == before);
            prop_assert!(!(before == Verdict::Private && finding.verdict == Verdict::Unknown));
            // Asked again at once, it says the same.
            prop_assert!(!standing.settle(now));
        }
    }

    #[test]
    fn bad_news_stands_for_a_while_before_it_is_acted_on(facts in prop::collection::vec((fact(), 0u64..3), 0..120)) {
        let mut standing = Standing::new(Scope::Public, []);
        let (mut now, mut began) = (Duration::ZERO, None);
        for (fact, pause) in facts {
            now += Duration::from_secs(pause);
            if matches!(fact, Fact::NotReached { .. }) {
                began.get_or_insert(now);
            }
            standing.learn(fact, now);
            standing.settle(now);
            if standing.finding().verdict == Verdict::Private {
                let began = began.expect("somebody has failed to reach us");
                prop_assert!(now - began >= SETTLE);
            }
        }
    }

    #[test]
    fn what_is_configured_is_all_that_is_announced(facts in prop::collection::vec(fact(), 0..60)) {
        let configured: Multiaddr = "/dns/node.example.org/tcp/31330".parse().unwrap();
        let mut standing = Standing::new(Scope::Public, [configured.clone()]);
        for fact in facts {
            standing.learn(fact, Duration::ZERO);
            standing.settle(Duration::ZERO);
            prop_assert_eq!(&standing.finding().addresses, &[configured.clone()].into());
        }
    }

    /// Relays come, go, accept and refuse as they like.
    #[test]
    fn no_more_relays_than_wanted_and_no_relay_without_its_rest(
        steps in prop::collection::vec((0u8..4, 0u8..6, 0u64..20), 0..200),
    ) {
        let at = |_: u8| "/ip4/11.0.0.1/tcp/1".parse::<Multiaddr>().unwrap();
        let mut relays = Relays::new(vec![(peer(0), at(0))], 7);
        let mut now = Duration::ZERO;
        let mut lost = std::collections::HashMap::new();
        let mut open = std::collections::BTreeSet::new();
        for (step, who, pause) in steps {
            now += Duration::from_secs(pause);
            let who = peer(who);
            match step {
                0 => relays.discovered(who, at(0)),
                1 => relays.undiscovered(&who),
                2 => drop(relays.held(who, now)),
                _ => if relays.lost(&who, now).is_some() {
                    open.remove(&who);
                    lost.insert(who, now);
                },
            }
            for (asked, _) in relays.ask(now) {
                prop_assert!(open.insert(asked), "asked twice");
                let rested = lost.get(&asked).is_none_or(|since| now - *since >= REST);
                prop_assert!(rested, "asked again too soon");
            }
            prop_assert!(open.len() <= HELD);
            prop_assert!(relays.holding().all(|relay| open.contains(relay)));
        }
    }
}
