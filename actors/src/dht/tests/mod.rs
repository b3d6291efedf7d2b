//! The actor on a simulated network, in virtual time.

mod departures;
mod expiry;
pub(crate) mod time;

use std::sync::Arc;

use actix::Addr;
use hivemind_proto::{
    dht::{Record, Subkey, Tag},
    time::DhtTime,
    unary::CallError,
};

use super::*;
use crate::{clock::TokioClock, simulated::SimulatedNetwork};

/// Pauses tokio's clock, and gives one of swarm time that moves with it.
pub(crate) fn virtual_clock() -> SharedClock {
    tokio::time::pause();
    Arc::new(TokioClock::starting_at(DhtTime::from_unix(1_700_000_000.0).unwrap()))
}

/// One node of a simulated swarm.
pub(crate) struct Member {
    pub(crate) peer: PeerId,
    pub(crate) network: network::Handle,
    pub(crate) dht: Addr<Dht>,
}

/// Starts a node that knows nobody.
pub(crate) fn member(swarm: &SimulatedNetwork, clock: &SharedClock, seed: u64) -> Member {
    member_as(PeerId::random(), swarm, clock, seed)
}

/// Starts, or restarts, the node of `peer`, in a place that follows from `seed`. It takes anything from anybody, as the
/// nodes do among which we live.
pub(crate) fn member_as(peer: PeerId, swarm: &SimulatedNetwork, clock: &SharedClock, seed: u64) -> Member {
    let network = swarm.join(peer);
    let node = dht::Settings {
        id: DhtId::of_bytes(&seed.to_be_bytes()),
        client_mode: false,
        storage: dht::storage::Limits::default(),
        cache: dht::storage::Limits::of_cache(),
        acceptance: dht::Acceptance::ANYTHING,
        caching: dht::Caching::default(),
        seed,
    };
    let settings = Settings { node, call_deadline: Duration::from_secs(3) };
    let (birth, _) = Birth::detached();
    let dht = Dht::new(settings, network.clone(), clock.clone(), birth).start();
    Member { peer, network, dht }
}

/// Starts `count` nodes that have all joined through the first.
pub(crate) async fn swarm_of(swarm: &SimulatedNetwork, clock: &SharedClock, count: u64) -> Vec<Member> {
    let members: Vec<Member> = (0..count).map(|seed| member(swarm, clock, seed)).collect();
    for member in &members[1..] {
        join(member, &members[0]).await;
    }
    members
}

/// Lets `member` join through `other`.
pub(crate) async fn join(member: &Member, other: &Member) {
    let pong = member.dht.send(Ping { peer: other.peer, validate: true }).await.unwrap().unwrap();
    assert!(pong.available);
    let own = member.dht.send(Membership).await.unwrap().id;
    member.dht.send(Lookup { keys: vec![own] }).await.unwrap().unwrap();
}

fn record(key: &str, clock: &SharedClock) -> Record {
    Record {
        key: DhtId::of_text(key),
        tag: Tag::Subkey(Subkey::text("me")),
        value: b"\x01"[..].into(),
        expiration: clock.now() + Duration::from_secs(60),
    }
}

#[actix_rt::test]
async fn what_one_stores_another_finds() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &clock, 8).await;
    let report = members[3].dht.send(Store { records: vec![record("k", &clock)] }).await.unwrap().unwrap();
    assert!(report.is_success());
    let key = DhtId::of_text("k");
    let found = members[6].dht.send(Lookup { keys: vec![key] }).await.unwrap().unwrap();
    assert!(found[&key].subkey(&Subkey::text("me")).is_some());
    tokio::time::sleep(Duration::from_secs(61)).await;
    let found = members[6].dht.send(Lookup { keys: vec![key] }).await.unwrap().unwrap();
    assert_eq!(found[&key].value, None);
}

#[actix_rt::test]
async fn a_peer_that_is_gone_costs_one_deadline_and_leaves_the_table() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &clock, 4).await;
    let mut known = members[0].dht.send(Membership).await.unwrap().known;
    assert_eq!(*known.borrow_and_update(), 3);
    swarm.cut(members[2].peer);
    let started = tokio::time::Instant::now();
    let report = members[0].dht.send(Store { records: vec![record("k", &clock)] }).await.unwrap().unwrap();
    assert!(report.is_success());
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(*known.borrow_and_update(), 2);
}

#[actix_rt::test]
async fn a_malformed_request_is_answered_with_an_error_and_changes_nothing() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let member = member(&swarm, &clock, 1);
    let handler = HandlerName::new(STORE_HANDLER).unwrap();
    // Wait until the handlers are served.
    member.dht.send(Membership).await.unwrap();
    for bytes in [&b"\xff\xff"[..], b"\x12\x03abc"] {
        let answer = member.network.registry().deliver(PeerId::random(), &handler, bytes.to_vec()).await;
        assert!(matches!(answer, Err(CallError::Handler(_))), "{answer:?}");
    }
    let ProbeReport(status) = member.dht.send(Probe).await.unwrap();
    assert_eq!(status["malformed_requests"], 2);
    assert_eq!(status["stored_keys"], 0);
}

#[actix_rt::test]
async fn a_call_whose_caller_has_gone_is_not_worked_on() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let member = member(&swarm, &clock, 1);
    member.dht.send(Membership).await.unwrap();
    let request = Request::Ping { sender: None, validate: false };
    let handler = HandlerName::new(PING_HANDLER).unwrap();
    drop(member.network.registry().deliver(PeerId::random(), &handler, request.encode()));
    member.network.registry().deliver(PeerId::random(), &handler, request.encode()).await.unwrap();
    let ProbeReport(status) = member.dht.send(Probe).await.unwrap();
    assert_eq!(status["pings_served"], 1);
}
