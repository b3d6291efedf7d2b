//! Hours in which nothing happens: what the operator reads of them.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use hivemind_proto::dht::DhtId;
use rand::{SeedableRng, rngs::SmallRng};
use tokio::time::sleep;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::{
    process::Process,
    surroundings::{Surroundings, peer_id},
};
use crate::{dht::tests::virtual_clock, simulated::SimulatedNetwork};

const HOURS: usize = if cfg!(debug_assertions) { 3 } else { 24 };
/// The promise, of a day. What a start and a stop bring comes once.
const MOST_LINES: usize = 200;

/// Counts the events from info upwards by their texts.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<BTreeMap<String, usize>>>);

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        *self.0.lock().unwrap().entry(text.0).or_default() += 1;
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[actix_rt::test]
async fn a_quiet_day_is_under_two_hundred_lines() {
    let lines = Lines::default();
    let _logging = tracing::subscriber::set_default(lines.clone());
    let (clock, network) = (virtual_clock(), SimulatedNetwork::seeded(1));
    let mut rng = SmallRng::seed_from_u64(1);
    let around = Surroundings::new(&network, &clock, &mut rng);
    // What the others say of themselves is not ours.
    sleep(Duration::from_secs(60)).await;
    lines.0.lock().unwrap().clear();
    let (peer, id) = (peer_id(&mut rng), DhtId::of_text("ours"));
    let process = Process::start(&network, &clock, peer, id, around.bootstraps(), 1);
    let told = || {
        let lines = lines.0.lock().unwrap().clone();
        (lines.values().sum::<usize>(), lines)
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
