//! What one announcement of a large model costs its peers, counted where the calls arrive.

use std::{collections::BTreeSet, time::Duration};

use crate::support::{
    alone,
    deadline::eventually,
    petald::{Config, Home},
    report,
    swarm::{StoreCall, Swarm},
};

const BLOCKS: usize = 126;
const PEERS: usize = 20;
const REPLICAS: usize = 5;
/// What one call for each key and replica would take.
const ONE_BY_ONE: usize = BLOCKS * REPLICAS;
/// Long enough for one announcement, short enough to see the next, which shows that the first was complete.
const PERIOD_SECONDS: u32 = 10;
/// Start, two announcements, and a slow machine.
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test]
async fn an_announcement_takes_a_tenth_of_the_calls() {
    let _machine = alone().await;
    let swarm = Swarm::new().await;
    let names: Vec<_> = (0..PEERS).map(|number| format!("peer-{number}")).collect();
    let nodes = swarm.start_many(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let config = Config {
        initial_peers: nodes[0].addresses.clone(),
        num_blocks: BLOCKS as u32,
        blocks: format!("0:{BLOCKS}"),
        period: format!("{PERIOD_SECONDS}s"),
        ttl: "120s".into(),
        ..Config::default()
    };
    let home = Home::new(&config);
    let petald = home.run().await;

    // The records of one announcement expire together, those of the next a period later.
    let ((first, second), _) = eventually(LIMIT, "a second announcement follows the first", async || {
        let calls = swarm.store_calls_from(&petald.peer_id).await;
        let earliest = calls.iter().flat_map(|call| &call.expirations).copied().fold(f64::INFINITY, f64::min);
        let of_first = |call: &StoreCall| {
            call.expirations.iter().all(|e| e - earliest < f64::from(PERIOD_SECONDS) / 2.0)
        };
        let (first, second): (Vec<_>, Vec<_>) = calls.into_iter().partition(of_first);
        match rows(&second) >= rows(&first) && !first.is_empty() {
            true => Ok((first, second)),
            false => Err(format!("{} and {} records", rows(&first), rows(&second))),
        }
    })
    .await;
    for (name, calls) in [("first", &first), ("second", &second)] {
        let callees: BTreeSet<_> = calls.iter().map(|call| &call.callee).collect();
        report(&format!(
            "{name} announcement of {BLOCKS} blocks into {PEERS} peers: {} rpc_store calls ({ONE_BY_ONE} one by one), {} \
             records, {} peers, {} KiB",
            calls.len(),
            rows(calls),
            callees.len(),
            calls.iter().map(|call| call.bytes).sum::<usize>() / 1024,
        ));
        // We may be one of the replicas ourselves, and some blocks' nearest.
        assert!(rows(calls) >= BLOCKS * (REPLICAS - 1), "every record has its replicas: {}", rows(calls));
        assert!(calls.len() <= ONE_BY_ONE / 10, "{} calls", calls.len());
    }
}

fn rows(calls: &[StoreCall]) -> usize {
    calls.iter().map(|call| call.rows).sum()
}
