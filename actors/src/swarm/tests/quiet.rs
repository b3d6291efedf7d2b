//! Hours in which nothing happens: what the operator reads of them.

use std::{collections::BTreeMap, time::Duration};

use hivemind_proto::dht::DhtId;
use rand::{SeedableRng, rngs::SmallRng};
use tokio::time::sleep;

use super::{
    process::Process,
    surroundings::{Surroundings, peer_id},
};
use crate::{dht::tests::virtual_clock, logged::Logged, simulated::SimulatedNetwork};

const HOURS: usize = if cfg!(debug_assertions) { 3 } else { 24 };
/// The promise, of a day. What a start and a stop bring comes once.
const MOST_LINES: usize = 200;

#[actix_rt::test]
async fn a_quiet_day_is_under_two_hundred_lines() {
    let (logged, _logging) = Logged::of("");
    let (clock, network) = (virtual_clock(), SimulatedNetwork::seeded(1));
    let mut rng = SmallRng::seed_from_u64(1);
    let around = Surroundings::new(&network, &clock, &mut rng);
    // What the others say of themselves is not ours.
    sleep(Duration::from_secs(60)).await;
    logged.take();
    let (peer, id) = (peer_id(&mut rng), DhtId::of_text("ours"));
    let process = Process::start(&network, &clock, peer, id, around.bootstraps(), 1);
    let told = || {
        let (lines, mut by_text) = (logged.lines(), BTreeMap::<String, usize>::new());
        for line in &lines {
            *by_text.entry(line.message.clone()).or_default() += 1;
        }
        (lines.len(), by_text)
    };
    sleep(Duration::from_secs(60)).await;
    let (at_the_start, first) = told();
    assert!(first.contains_key("joined the swarm"), "{first:#?}");
    sleep(Duration::from_secs(3600) * HOURS as u32).await;
    let (after, all) = told();
    process.stop().await;
    let (in_all, _) = told();
    let quiet = after - at_the_start;
    println!("{at_the_start} lines at the start, {quiet} in {HOURS} hours, {} at the end", in_all - after);
    assert!(quiet * 24 + (in_all - quiet) * HOURS < MOST_LINES * HOURS, "{all:#?}");
}
