//! A node of the DHT among peers that say whatever they like.

use std::{collections::VecDeque, time::Duration};

use libp2p::{PeerId, multihash::Multihash};

use crate::{
    dht::{
        Acceptance, Caching, CallFailure, CallId, DhtId, Effect, FIND_HANDLER, InboundId, Node, PING_HANDLER,
        Request, Response, STORE_HANDLER, Settings, storage::Limits,
    },
    time::DhtTime,
};

/// Small, so that they are reached.
fn limits() -> Limits {
    Limits {
        keys: 16,
        subkeys: 8,
        dictionary_bytes: 2048,
        value_bytes: 512,
        total_bytes: 8192,
        peer_bytes: 4096,
        horizon: Duration::from_secs(3600),
    }
}

/// Around the time at which the messages were recorded that a run begins with.
const NOW: f64 = 1_795_370_000.0;

/// Calls that wait for their end; the oldest fails when there are more.
const CALLS: usize = 8;

/// Calls until all tasks of a run must have ended.
const MOST_CALLS: usize = 100_000;

/// A node and its driver.
struct Driven {
    node: Node,
    calls: VecDeque<(CallId, Request)>,
    asked: u64,
    answered: u64,
}

/// A node answers whatever it is asked, once, and keeps within its bounds. The bytes are steps: what is done, by whom,
/// how many bytes follow (in two bytes), and these.
pub fn node(mut bytes: &[u8]) {
    let settings = Settings {
        id: DhtId::of_text("node"),
        client_mode: false,
        storage: limits(),
        cache: limits(),
        acceptance: Acceptance { signatures: true, first_hand: true },
        caching: Caching::default(),
        seed: 0,
    };
    let (Some(mut now), Some(own)) = (DhtTime::from_unix(NOW), peer(0)) else { return };
    let node = Node::new(settings, own, now);
    let mut driven = Driven { node, calls: VecDeque::new(), asked: 0, answered: 0 };
    while let Some(([what, who, high, low], rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (content, rest) = rest.split_at(length);
        bytes = rest;
        if *what == CLOCK {
            now = now + Duration::from_secs(u64::from(*who) * 30);
        }
        driven.step(*what, *who, content, now);
        while driven.calls.len() > CALLS {
            driven.fail_oldest(now);
        }
        driven.check();
    }
    for _ in 0..MOST_CALLS {
        if !driven.fail_oldest(now) {
            assert_eq!(driven.answered, driven.asked, "somebody was not answered");
            return;
        }
    }
    panic!("calls follow calls without an end");
}

/// Moves the clock.
const CLOCK: u8 = 7;

impl Driven {
    fn step(&mut self, what: u8, who: u8, content: &[u8], now: DhtTime) {
        let Some(caller) = peer(who) else { return };
        match what % 8 {
            kind @ 0..3 => {
                let handler = [PING_HANDLER, STORE_HANDLER, FIND_HANDLER][usize::from(kind)];
                let Ok(request) = Request::decode(handler, content) else { return };
                self.asked += 1;
                self.node.request(InboundId(self.asked), caller, request, now);
            }
            3 | 4 => {
                let Some((call, request)) = self.calls.pop_front() else { return };
                let result = Response::decode(&request, content).map_err(|e| CallFailure(e.to_string()));
                self.node.call_ended(call, result, now);
            }
            5 => drop(self.node.lookup(content.chunks(20).take(16).map(DhtId::of_bytes), now)),
            6 => drop(self.node.ping(caller, true, now)),
            _ => {
                self.node.evict(now);
                self.node.tick(now);
            }
        }
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.node.next_effect() {
            match effect {
                Effect::Call { call, request, .. } => self.calls.push_back((call, request)),
                Effect::Answer { .. } => self.answered += 1,
                Effect::Done { .. } => {}
            }
        }
    }

    /// Whether there was a call left.
    fn fail_oldest(&mut self, now: DhtTime) -> bool {
        let Some((call, _)) = self.calls.pop_front() else { return false };
        self.node.call_ended(call, Err(CallFailure("nobody is there".to_owned())), now);
        self.carry_out();
        true
    }

    fn check(&self) {
        for storage in [self.node.storage(), self.node.cache()] {
            let limits = limits();
            assert!(storage.keys() <= limits.keys && storage.bytes() <= limits.total_bytes);
        }
        assert!(self.answered <= self.asked);
    }
}

/// One of 256 peers.
fn peer(number: u8) -> Option<PeerId> {
    PeerId::from_multihash(Multihash::wrap(0, &[number; 32]).ok()?).ok()
}
