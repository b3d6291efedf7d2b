//! Very many records that expire together.

use hivemind_proto::dht::Row;
use tokio::time::sleep;

use super::*;

const RECORDS: u64 = 20_000;

/// Rows of one store.
const ROWS: u64 = 500;

async fn held(member: &Member) -> u64 {
    let ProbeReport(status) = member.dht.send(Probe).await.unwrap();
    status["stored_entries"].as_u64().unwrap()
}

#[actix_rt::test]
async fn very_many_that_expire_together_have_gone_within_two_seconds_and_nobody_waits_for_all_of_them() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let member = member(&swarm, &clock, 1);
    // Wait until the handlers are served.
    member.dht.send(Membership).await.unwrap();
    let (handler, sender) = (HandlerName::new(STORE_HANDLER).unwrap(), PeerId::random());
    let expiration = clock.now() + Duration::from_secs(30);
    for first in (0..RECORDS).step_by(ROWS as usize) {
        let rows = (first..first + ROWS).map(|n| Row {
            key: DhtId::of_bytes(&n.to_be_bytes()).as_bytes().to_vec(),
            tag: Tag::Plain.encode(),
            value: b"\x01"[..].into(),
            expiration: expiration.as_unix(),
            in_cache: false,
        });
        let store = Request::Store { sender: None, rows: rows.collect() };
        member.network.registry().deliver(sender, &handler, store.encode()).await.unwrap();
    }
    assert_eq!(held(&member).await, RECORDS);
    sleep(Duration::from_secs_f64(expiration.seconds_since(clock.now()))).await;
    let expired = Instant::now();
    let mut left = RECORDS;
    while left > 0 {
        sleep(Duration::from_millis(1)).await;
        let now = held(&member).await;
        assert!(left - now <= RECORDS / 50, "{} were dropped at once", left - now);
        assert!(expired.elapsed() < Duration::from_secs(2), "{now} are left after {:?}", expired.elapsed());
        left = now;
    }
}
