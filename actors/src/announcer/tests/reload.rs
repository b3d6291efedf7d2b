//! Other settings, and other blocks, while it runs.

use hivemind_proto::records::BlockRange;

use super::*;
use crate::config_keeper::messages::{Apply, Validate};

impl Server {
    fn settings(&self, period: Duration, ttl: Duration) -> Arc<Settings> {
        let retry = Backoff::default();
        Arc::new(Settings { own_peer: self.member.peer, period, ttl, retry, may_be_alone: false, seed: 1 })
    }
}

#[actix_rt::test]
async fn a_longer_time_to_live_holds_for_every_record_at_once() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 4).await;
    let server = start(members.pop().unwrap(), &clock, offer(), false);
    sleep(Duration::from_secs(10)).await;
    let settings = server.settings(Duration::from_secs(600), Duration::from_secs(3600));
    server.announcer.send(Validate(Arc::clone(&settings))).await.unwrap().unwrap();
    let before = server.status().await["attempts"].clone();
    server.announcer.send(Apply(settings)).await.unwrap();
    sleep(Duration::from_secs(1)).await;
    for index in 0..4 {
        let (_, expiration) = block(&members[0], index, server.member.peer).await.unwrap();
        assert!(expiration.seconds_since(clock.now()) > 3590.0);
    }
    // And the new period is kept.
    sleep(Duration::from_secs(500)).await;
    assert_eq!(server.status().await["attempts"].as_u64().unwrap(), before.as_u64().unwrap() + 1);
}

#[actix_rt::test]
async fn a_time_to_live_that_could_never_be_kept_is_refused() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 2).await;
    let server = start(members.pop().unwrap(), &clock, offer(), false);
    let settings = server.settings(Duration::from_secs(60), Duration::from_secs(60));
    assert!(server.announcer.send(Validate(settings)).await.unwrap().is_err());
}

#[actix_rt::test]
async fn blocks_that_are_no_longer_served_are_offline() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 4).await;
    let mut served = offer();
    served.server.state = ServerState::Online;
    let server = start(members.pop().unwrap(), &clock, served.clone(), false);
    sleep(Duration::from_secs(5)).await;
    served.server.blocks = BlockRange::new(2, 6).unwrap();
    let settings = server_info::Settings::volatile(Some(served));
    server.store.send(Apply(Arc::new(settings))).await.unwrap();
    sleep(Duration::from_secs(2)).await;
    for (index, expected) in [
        (0, ServerState::Offline),
        (1, ServerState::Offline),
        (2, ServerState::Online),
        (5, ServerState::Online),
    ] {
        let (info, _) = block(&members[0], index, server.member.peer).await.unwrap();
        assert_eq!(info.state, expected, "block {index}");
    }
    let status = server.status().await;
    assert_eq!((&status["verdict"], &status["records"]), (&"confirmed".into(), &5.into()), "{status}");
    // They are not renewed.
    sleep(TTL + Duration::from_secs(5)).await;
    assert!(block(&members[0], 0, server.member.peer).await.is_none());
    assert!(block(&members[0], 2, server.member.peer).await.is_some());
}
