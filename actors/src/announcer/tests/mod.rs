//! Announcements on a simulated swarm, in virtual time.

mod foreign;
mod losses;
mod reload;

use hivemind_proto::{
    dht::{DhtId, Found, Subkey},
    records::{MODEL_INDEX_KEY, ServerInfo},
};
use tokio::time::sleep;

use super::*;
use crate::{
    dht::{
        messages::Lookup,
        tests::{Member, join, member, swarm_of, time::SetClock, virtual_clock},
    },
    server_info::{
        self, Offer,
        messages::{Change, Source, Update},
        tests::offer,
    },
    simulated::SimulatedNetwork,
};

const PERIOD: Duration = Duration::from_secs(60);
const TTL: Duration = Duration::from_secs(300);

struct Server {
    member: Member,
    store: Addr<ServerInfoStore>,
    announcer: Addr<Announcer>,
}

fn start(member: Member, clock: &SharedClock, offer: Offer, may_be_alone: bool) -> Server {
    let settings = server_info::Settings::volatile(Some(offer));
    let store = ServerInfoStore::new(settings, Birth::detached().0).start();
    let settings = Settings {
        own_peer: member.peer,
        period: PERIOD,
        ttl: TTL,
        retry: Backoff { cap: Duration::from_secs(10), ..Backoff::default() },
        may_be_alone,
        seed: 1,
    };
    let (birth, _) = Birth::detached();
    let announcer = Announcer::new(settings, member.dht.clone(), store.clone(), clock.clone(), birth).start();
    Server { member, store, announcer }
}

impl Server {
    async fn status(&self) -> serde_json::Value {
        self.announcer.send(Probe).await.unwrap().0
    }
}

/// What `reader` finds of block `index` under the name of `peer`.
async fn block(reader: &Member, index: u32, peer: PeerId) -> Option<(ServerInfo, DhtTime)> {
    let key = DhtId::of_text(&format!("tiny-llama-hf.{index}"));
    let found = reader.dht.send(Lookup { keys: vec![key] }).await.unwrap().unwrap();
    let item = found[&key].subkey(&Subkey::text(&peer.to_base58()))?;
    Some((ServerInfo::decode(&item.value).unwrap(), item.expiration))
}

#[actix_rt::test]
async fn every_record_is_found_by_others_and_outlives_every_period() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 7).await;
    let server = start(members.pop().unwrap(), &clock, offer(), false);
    sleep(Duration::from_secs(1)).await;
    let peer = server.member.peer;
    let mut last = clock.now();
    for _ in 0..20 {
        for index in 0..4 {
            let (info, expiration) = block(&members[2], index, peer).await.unwrap();
            assert_eq!(info, offer().server);
            assert!(expiration.seconds_since(clock.now()) > (TTL - PERIOD).as_secs_f64() - 2.0);
            assert!(expiration >= last);
            last = expiration;
        }
        sleep(PERIOD / 2).await;
    }
    let index = DhtId::of_text(MODEL_INDEX_KEY);
    let found = members[0].dht.send(Lookup { keys: vec![index] }).await.unwrap().unwrap();
    assert!(found[&index].subkey(&Subkey::text("tiny-llama-hf")).is_some());
    let status = server.status().await;
    assert_eq!((&status["verdict"], &status["records"]), (&"confirmed".into(), &5.into()));
    assert_eq!(status["failed_attempts"], 0);
}

#[actix_rt::test]
async fn a_private_model_stays_out_of_the_index() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 3).await;
    let hidden = Offer { prefix: "_mine".parse().unwrap(), ..offer() };
    let server = start(members.pop().unwrap(), &clock, hidden, false);
    sleep(Duration::from_secs(1)).await;
    let index = DhtId::of_text(MODEL_INDEX_KEY);
    let found = members[0].dht.send(Lookup { keys: vec![index] }).await.unwrap().unwrap();
    assert_eq!(found[&index], Found { nearest: found[&index].nearest.clone(), value: None });
    assert_eq!(server.status().await["records"], 4);
}

#[actix_rt::test]
async fn a_change_is_announced_at_once_and_many_changes_once() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 4).await;
    let server = start(members.pop().unwrap(), &clock, offer(), false);
    sleep(Duration::from_secs(5)).await;
    let before = server.status().await["attempts"].as_u64().unwrap();
    for tokens in 0..100 {
        let change =
            Change { state: Some(ServerState::Online), cache_tokens_left: Some(tokens), ..Change::default() };
        server.store.send(Update { source: Source::Backend, change }).await.unwrap().unwrap();
    }
    sleep(Duration::from_secs(1)).await;
    let (info, _) = block(&members[0], 3, server.member.peer).await.unwrap();
    assert_eq!((info.state, info.cache_tokens_left), (ServerState::Online, Some(99)));
    assert!(server.status().await["attempts"].as_u64().unwrap() <= before + 2);
}

#[actix_rt::test]
async fn whoever_asks_for_an_announcement_is_told_of_one_that_began_later() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 5).await;
    let server = start(members.pop().unwrap(), &clock, offer(), false);
    sleep(Duration::from_secs(5)).await;
    let announced = server.announcer.send(Announce).await.unwrap().unwrap();
    let Announced { verdict, summary } = announced;
    assert_eq!((verdict, summary.state), (Verdict::Confirmed, Some(ServerState::Joining)));
    assert_eq!((summary.records, summary.confirmed, summary.least_replicas), (5, 5, 4));
    assert!(summary.seconds_to_expiry.is_some_and(|seconds| seconds > TTL.as_secs_f64() - 2.0));
    // The first is under way with the old state when the second is asked for.
    let first = server.announcer.send(Announce);
    let change = Change { state: Some(ServerState::Online), ..Change::default() };
    server.store.send(Update { source: Source::Backend, change }).await.unwrap().unwrap();
    let second = server.announcer.send(Announce);
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.unwrap().unwrap().summary.state, Some(ServerState::Joining));
    assert_eq!(second.unwrap().unwrap().summary.state, Some(ServerState::Online));

    swarm.cut(server.member.peer);
    let cut_off = server.announcer.send(Announce).await.unwrap().unwrap();
    assert_ne!(cut_off.verdict, Verdict::Confirmed);
    let many: Vec<_> = (0..MOST_ASKERS + 5).map(|_| server.announcer.send(Announce)).collect();
    let told = futures::future::join_all(many).await;
    let busy = told.iter().filter(|told| matches!(told, Ok(Err(AnnounceError::Busy)))).count();
    assert!(busy > 0 && busy <= 5, "{busy} of them are too many");
}

#[actix_rt::test]
async fn what_nobody_acknowledged_is_a_failure_and_is_tried_again_until_somebody_does() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 3).await;
    let lonely = members.pop().unwrap();
    let peer = lonely.peer;
    swarm.cut(peer);
    let server = start(lonely, &clock, offer(), false);
    sleep(Duration::from_secs(90)).await;
    let status = server.status().await;
    assert_ne!(status["verdict"], "confirmed");
    assert!(status["failed_attempts"].as_u64().unwrap() >= 5, "{status}");
    assert_eq!(status["confirmed"], 0);

    swarm.heal(peer);
    join(&server.member, &members[0]).await;
    sleep(Duration::from_secs(11)).await;
    assert_eq!(server.status().await["verdict"], "confirmed");
    assert!(block(&members[1], 0, peer).await.is_some());
}

#[actix_rt::test]
async fn a_seed_is_alone_until_somebody_joins_and_then_announces_at_once() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let server = start(member(&swarm, &clock, 1), &clock, offer(), true);
    sleep(Duration::from_secs(2)).await;
    let status = server.status().await;
    assert_eq!((&status["verdict"], &status["confirmed"]), (&"alone".into(), &0.into()));
    assert_eq!((&status["attempts"], &status["failed_attempts"]), (&1.into(), &0.into()));

    let newcomer = member(&swarm, &clock, 2);
    join(&newcomer, &server.member).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(server.status().await["verdict"], "confirmed");
    assert!(block(&newcomer, 2, server.member.peer).await.is_some());
}

#[actix_rt::test]
async fn a_farewell_is_offline_everywhere_when_the_drain_ends() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 5).await;
    let server = start(members.pop().unwrap(), &clock, offer(), false);
    sleep(Duration::from_secs(3)).await;
    let started = tokio::time::Instant::now();
    server.announcer.send(Drain).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(1));
    for index in 0..4 {
        let (info, expiration) = block(&members[1], index, server.member.peer).await.unwrap();
        assert_eq!(info.state, ServerState::Offline);
        assert!(expiration.seconds_since(clock.now()) > TTL.as_secs_f64() - 5.0);
    }
    // Nothing is announced after it.
    sleep(3 * PERIOD).await;
    assert_eq!(block(&members[1], 0, server.member.peer).await.unwrap().0.state, ServerState::Offline);
}

#[actix_rt::test]
async fn a_farewell_that_nobody_hears_ends_in_time() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 3).await;
    let server = start(members.pop().unwrap(), &clock, offer(), false);
    sleep(Duration::from_secs(3)).await;
    swarm.cut(server.member.peer);
    let started = tokio::time::Instant::now();
    server.announcer.send(Drain).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[actix_rt::test]
async fn an_earlier_life_with_a_longer_ttl_is_outlived() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 4).await;
    let me = members.pop().unwrap();
    let long = clock.now() + Duration::from_secs(3600);
    let mut old = offer();
    old.server.state = ServerState::Offline;
    let records = records::of(&old, me.peer, long).into_iter().map(|named| named.record).collect();
    members[0].dht.send(Store { records }).await.unwrap().unwrap();
    let server = start(me, &clock, offer(), false);
    sleep(Duration::from_secs(5)).await;
    let (info, expiration) = block(&members[1], 0, server.member.peer).await.unwrap();
    assert_eq!(info.state, ServerState::Joining);
    assert!(expiration > long);
    assert_eq!(server.status().await["verdict"], "confirmed");
}

#[actix_rt::test]
async fn with_a_clock_that_is_wrong_records_last_as_long_as_with_a_right_one() {
    let (right, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &right, 5).await;
    for (seed, off) in [(101, -10), (102, 10), (103, -86_400), (104, 3600), (105, 172_800)] {
        let wrong: SharedClock = SetClock::ahead(&right, off);
        let odd = member(&swarm, &wrong, seed);
        join(&odd, &members[0]).await;
        let server = start(odd, &wrong, offer(), false);
        sleep(Duration::from_secs(3)).await;
        let (_, expiration) = block(&members[1], 0, server.member.peer).await.unwrap();
        let left = expiration.seconds_since(right.now());
        // What was announced ahead of time, before the others were asked, cannot be taken back.
        let most = TTL.as_secs_f64() + off.max(0) as f64 + 0.1;
        assert!(left > TTL.as_secs_f64() - 5.0 && left < most, "{off}: {left}");
        assert_eq!(server.status().await["verdict"], "confirmed", "{off}");
        sleep(Duration::from_secs(4000)).await;
        let (_, expiration) = block(&members[1], 0, server.member.peer).await.unwrap();
        let left = expiration.seconds_since(right.now());
        assert!(left > (TTL - PERIOD).as_secs_f64() - 5.0 && left < TTL.as_secs_f64() + 0.1, "{off}: {left}");
        let told = server.status().await["seconds_to_expiry"].as_f64().unwrap();
        assert!((told - left).abs() < 1.0, "{told} {left}");
    }
}

#[actix_rt::test]
async fn round_trips_ride_along_and_are_no_reason_to_announce() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 4).await;
    let server = start(members.pop().unwrap(), &clock, offer(), false);
    sleep(Duration::from_secs(5)).await;
    let before = server.status().await["attempts"].as_u64().unwrap();
    for _ in 0..10 {
        let next_pings = Some([(members[0].peer, clock.now().as_unix())].into());
        let change = Change { next_pings, ..Change::default() };
        server.store.send(Update { source: Source::Pinger, change }).await.unwrap().unwrap();
        sleep(Duration::from_secs(4)).await;
    }
    assert_eq!(server.status().await["attempts"], before);
    sleep(PERIOD).await;
    let told = block(&members[0], 0, server.member.peer).await.unwrap().0.next_pings.unwrap();
    assert!(told.contains_key(&members[0].peer));
    server.announcer.send(Drain).await.unwrap();
    assert_eq!(block(&members[0], 0, server.member.peer).await.unwrap().0.next_pings, None);
}
