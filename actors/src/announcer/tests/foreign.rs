//! Records under our name that are not ours.

use hivemind_proto::dht::{Record, Tag};

use super::*;

/// Lets `forger` store, under the name of `peer`, what `change` makes of the offer, for `seconds`.
async fn forge(
    forger: &Member,
    peer: PeerId,
    clock: &SharedClock,
    seconds: u64,
    change: impl FnOnce(&mut ServerInfo),
) -> DhtTime {
    let until = clock.now() + Duration::from_secs(seconds);
    let mut forged = offer();
    change(&mut forged.server);
    let mut named = records::of(&forged, peer, until);
    named.retain(|named| named.name != records::RecordName::Model);
    let forged = named.into_iter().map(|named| named.record).collect();
    forger.dht.send(Store { records: forged }).await.unwrap().unwrap();
    until
}

#[actix_rt::test]
async fn a_forgery_is_noticed_told_and_overcome_at_the_next_announcement() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 7).await;
    let server = start(members.pop().unwrap(), &clock, offer(), false);
    let peer = server.member.peer;
    sleep(Duration::from_secs(5)).await;
    let until = forge(&members[2], peer, &clock, 3600, |server| {
        server.state = ServerState::Offline;
        server.public_name = Some("mallory".into());
    })
    .await;
    assert_eq!(block(&members[1], 0, peer).await.unwrap().0.state, ServerState::Offline);
    assert_eq!(server.status().await["foreign"]["noticed"], 0);

    // The next announcement meets it, and is followed by one that outlives it.
    sleep(PERIOD + Duration::from_secs(2)).await;
    for index in 0..4 {
        let (info, expiration) = block(&members[1], index, peer).await.unwrap();
        assert_eq!(info, offer().server);
        assert!(expiration > until);
    }
    let status = server.status().await;
    assert_eq!((&status["verdict"], &status["confirmed"]), (&"confirmed".into(), &5.into()));
    assert_eq!(
        (&status["foreign"]["noticed"], &status["foreign"]["last"]["overcome"]),
        (&1.into(), &true.into())
    );
    sleep(PERIOD).await;
    assert_eq!(server.status().await["foreign"], serde_json::json!({ "noticed": 1, "last": null }));
}

#[actix_rt::test]
async fn what_differs_and_until_when_is_told_while_it_lasts() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 4).await;
    let server = start(members.pop().unwrap(), &clock, offer(), false);
    sleep(Duration::from_secs(5)).await;
    let far = 3600;
    let until = forge(&members[0], server.member.peer, &clock, far, |server| {
        server.throughput = hivemind_proto::records::Rps::try_from(9.0).unwrap();
    })
    .await;
    server.announcer.send(Announce).await.unwrap().unwrap();
    let status = server.status().await;
    let last = &status["foreign"]["last"];
    assert_eq!((&last["records"], &last["first"]), (&4.into(), &"tiny-llama-hf.0".into()));
    assert_eq!((&last["differs"], &last["overcome"]), (&serde_json::json!(["throughput"]), &false.into()));
    assert_eq!(last["expires_unix"], until.as_unix());
    // Until it is overcome nothing is called announced: readers see the forgery.
    assert_eq!((&status["verdict"], &status["confirmed"]), (&"failed".into(), &1.into()));
}

#[actix_rt::test]
async fn a_plain_value_in_place_of_a_block_is_overcome() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 6).await;
    let server = start(members.pop().unwrap(), &clock, offer(), false);
    sleep(Duration::from_secs(5)).await;
    let plain = Record {
        key: DhtId::of_text("tiny-llama-hf.1"),
        tag: Tag::Plain,
        value: b"\xa1x"[..].into(),
        expiration: clock.now() + Duration::from_secs(3600),
    };
    members[0].dht.send(Store { records: vec![plain] }).await.unwrap().unwrap();
    assert_eq!(block(&members[1], 1, server.member.peer).await, None);
    sleep(PERIOD + Duration::from_secs(2)).await;
    assert!(block(&members[1], 1, server.member.peer).await.is_some());
    assert_eq!(server.status().await["foreign"]["noticed"], 1);
}

#[actix_rt::test]
async fn our_own_past_is_not_foreign() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 5).await;
    let me = members.pop().unwrap();
    // An earlier life announced something else, for longer.
    forge(&members[0], me.peer, &clock, 1200, |server| server.public_name = Some("before".into())).await;
    let server = start(me, &clock, offer(), false);
    for tokens in 0..20 {
        let change = Change { cache_tokens_left: Some(tokens), ..Change::default() };
        server.store.send(Update { source: Source::Backend, change }).await.unwrap().unwrap();
        sleep(PERIOD / 7).await;
    }
    assert_eq!(server.status().await["foreign"]["noticed"], 0);
    assert_eq!(block(&members[1], 0, server.member.peer).await.unwrap().0.cache_tokens_left, Some(19));
}

#[actix_rt::test]
async fn servers_of_one_model_share_its_entry_whatever_their_ttl() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 6).await;
    let server = start(members.pop().unwrap(), &clock, offer(), false);
    let other = members.pop().unwrap();
    for _ in 0..10 {
        let until = clock.now() + Duration::from_secs(7200);
        let mut named = records::of(&offer(), other.peer, until);
        named.truncate(1);
        other.dht.send(Store { records: vec![named.remove(0).record] }).await.unwrap().unwrap();
        sleep(PERIOD).await;
    }
    let status = server.status().await;
    assert_eq!((&status["verdict"], &status["foreign"]["noticed"]), (&"confirmed".into(), &0.into()));
    assert!(block(&members[0], 0, server.member.peer).await.unwrap().1 <= clock.now() + TTL);
    assert!(status["attempts"].as_u64().unwrap() <= 14, "{status}");
}

#[actix_rt::test]
async fn a_farewell_outlives_a_forgery() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 7).await;
    let server = start(members.pop().unwrap(), &clock, offer(), false);
    sleep(Duration::from_secs(5)).await;
    forge(&members[2], server.member.peer, &clock, 3600, |server| server.state = ServerState::Online).await;
    server.announcer.send(Drain).await.unwrap();
    for index in 0..4 {
        let (info, _) = block(&members[1], index, server.member.peer).await.unwrap();
        assert_eq!(info.state, ServerState::Offline);
    }
}
