//! A month on a simulated swarm. Whatever the weather was: once it clears, every record is back within two periods
//! and stays; there is never a second announcer; a stop ends in time; what the node holds is bounded.
//!
//! `PETALD_CHAOS_SEED` runs one seed again, `PETALD_CHAOS_DAYS` for so many days. The seed decides the weather; the
//! order of what happens in the same instant, and the supervisor's jitter, it does not.

use std::{collections::BTreeMap, rc::Rc, sync::Once, time::Duration};

use hivemind_proto::{
    dht::{DhtId, Subkey},
    records::{MODEL_INDEX_KEY, ServerInfo, ServerState},
};
use libp2p::PeerId;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    announcers::Announcers,
    process::{PERIOD, Process, served},
    storms::{Blow, Storm},
    surroundings::{PEERS, Surroundings, peer_id},
};
use crate::{
    clock::SharedClock,
    dht::tests::virtual_clock,
    simulated::{SimulatedNetwork, Weather},
};

/// Records are back within this time after the weather has cleared.
const PROMISE: Duration = PERIOD.saturating_mul(2);

/// How often a stranger looks while it waits for the records, and when they have been seen: no lapse that is too long
/// goes unnoticed.
const LOOK: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = PROMISE;

/// How long a stranger gives the bootstraps to list others to it.
const JOINING: Duration = Duration::from_secs(1);

/// A debug build takes some five seconds for a day.
const DAYS: f64 = if cfg!(debug_assertions) { 1.5 } else { 30.0 };

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What the node's parts may hold, after any weather: its own nine records and those of nobody else.
const MOST_HELD: [(&str, &str, u64); 6] = [
    ("dht", "known_nodes", 64),
    ("dht", "stored_entries", 16),
    ("dht", "cached_entries", 16),
    ("dht", "tasks", 16),
    ("announcer", "records", 5),
    ("bootstrap", "known_nodes", 64),
];

/// Everything that takes part.
struct World {
    rng: SmallRng,
    network: SimulatedNetwork,
    clock: SharedClock,
    around: Surroundings,
    peer: PeerId,
    id: DhtId,
    process: Option<Process>,
    announcers: Rc<Announcers>,
    log: Tally,
}

/// What came of it.
#[derive(Debug, Default)]
struct Tally {
    storms: usize,
    looks: usize,
    panics: usize,
    kills: usize,
    stops: usize,
    slowest_return: Duration,
    slowest_stop: Duration,
    largest: BTreeMap<String, u64>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let (clock, network) = (virtual_clock(), SimulatedNetwork::seeded(rng.random()));
        let around = Surroundings::new(&network, &clock, &mut rng);
        let (peer, id) = (peer_id(&mut rng), DhtId::of_bytes(&rng.random::<[u8; 20]>()));
        let announcers = Announcers::watch(&network, peer);
        let log = Tally::default();
        let mut world = Self { rng, network, clock, around, peer, id, process: None, announcers, log };
        world.start();
        world
    }

    fn start(&mut self) {
        assert!(self.process.is_none());
        let (initial, seed) = (self.around.bootstraps().to_vec(), self.rng.random());
        self.process = Some(Process::start(&self.network, &self.clock, self.peer, self.id, &initial, seed));
    }

    /// Which records a stranger does not find ONLINE and alive, or why it cannot look.
    async fn missing(&mut self) -> Vec<String> {
        self.log.looks += 1;
        let stranger = self.around.stranger(&mut self.rng);
        sleep(JOINING).await;
        let offer = served();
        let index = DhtId::of_text(MODEL_INDEX_KEY);
        let blocks: Vec<String> = offer.blocks().map(|uid| uid.to_string()).collect();
        let keys = blocks.iter().map(|uid| DhtId::of_text(uid)).chain([index]).collect();
        let found = stranger.lookup(keys).await;
        let now = self.clock.now();
        let alive = |key: &str, subkey: &str| {
            let item = found.get(&DhtId::of_text(key))?.subkey(&Subkey::text(subkey))?;
            (item.expiration > now).then(|| item.value.clone())
        };
        let mut missing = Vec::new();
        if alive(MODEL_INDEX_KEY, offer.prefix.as_str()).is_none() {
            missing.push(MODEL_INDEX_KEY.to_owned());
        }
        for uid in blocks {
            let value = alive(&uid, &self.peer.to_base58());
            let server = value.and_then(|value| ServerInfo::decode(&value).ok());
            if server.is_none_or(|server| server.state != ServerState::Online) {
                missing.push(uid);
            }
        }
        missing
    }

    /// Nothing happens for so long, after something did. The records come back, and stay.
    async fn calm(&mut self, lasts: Duration) {
        let began = Instant::now();
        let end = began + lasts;
        loop {
            let missing = self.missing().await;
            if missing.is_empty() {
                break;
            }
            assert!(
                began.elapsed() < PROMISE,
                "{missing:?} not back {:?} after the weather",
                began.elapsed()
            );
            sleep(LOOK).await;
        }
        self.log.slowest_return = self.log.slowest_return.max(began.elapsed());
        // Whoever was left behind by a crash has ended by now.
        sleep_until(began + PROMISE).await;
        self.announcers.set_calm(true);
        let (since, before) = (Instant::now(), self.announcers.announcements());
        loop {
            let missing = self.missing().await;
            assert!(missing.is_empty(), "{missing:?} lapsed in fair weather, after {:?}", began.elapsed());
            if Instant::now() >= end {
                break;
            }
            sleep_until(end.min(Instant::now() + LOOK_AGAIN)).await;
        }
        // One announcement a period, shortened by its jitter; two announcers would make twice as many.
        let announcements = self.announcers.announcements() - before;
        let most = since.elapsed().as_secs_f64() / PERIOD.mul_f64(0.9).as_secs_f64() + 2.0;
        assert!(announcements as f64 <= most, "{announcements} announcements within {:?}", since.elapsed());
        self.announcers.set_calm(false);
        self.look_at_sizes().await;
    }

    async fn look_at_sizes(&mut self) {
        let process = self.process.as_mut().expect("it runs in a calm");
        assert_eq!(process.ended(), None);
        let status = process.status().await;
        for (actor, size, most) in MOST_HELD {
            let report = status.actors.iter().find(|status| status.name == actor).unwrap().report.clone();
            let held = report.and_then(|report| report[size].as_u64());
            let held = held.unwrap_or_else(|| panic!("{actor} does not tell {size}: {status:#?}"));
            assert!(held <= most, "{actor} holds {held} {size}");
            let largest = self.log.largest.entry(format!("{actor}.{size}")).or_default();
            *largest = held.max(*largest);
        }
    }

    async fn storm(&mut self, storm: &Storm) {
        self.log.storms += 1;
        let end = Instant::now() + storm.lasts;
        for blow in &storm.blows {
            self.begin(blow).await;
        }
        sleep_until(end).await;
        // All of it is undone at once.
        for place in 0..PEERS {
            self.network.heal(self.around.peer(place));
        }
        self.network.heal(self.peer);
        self.network.part([]);
        self.network.set_weather(Weather::FAIR);
        self.around.fill(&mut self.rng);
    }

    async fn begin(&mut self, blow: &Blow) {
        match blow {
            Blow::PeersDie(places) => places.iter().for_each(|place| self.around.kill(*place)),
            Blow::PeersCut(places) => {
                places.iter().for_each(|place| self.network.cut(self.around.peer(*place)));
            }
            Blow::WeAreCut => self.network.cut(self.peer),
            Blow::Island(places) => {
                let others = places.iter().map(|place| self.around.peer(*place));
                self.network.part(others.chain([self.peer]));
            }
            Blow::Rough { latency, loss } => {
                self.network.set_weather(Weather { latency: *latency / 2..*latency, loss: *loss });
            }
            Blow::Panics { actors, apart } => {
                for actor in actors {
                    self.process.as_ref().expect("it runs").crash(actor).await;
                    self.log.panics += 1;
                    sleep(*apart).await;
                }
            }
            Blow::Killed { away } => {
                self.process = None;
                self.log.kills += 1;
                sleep(*away).await;
                self.start();
            }
            Blow::Stopped { away } => {
                let took = self.process.take().expect("it runs").stop().await;
                self.log.stops += 1;
                self.log.slowest_stop = self.log.slowest_stop.max(took);
                sleep(*away).await;
                self.start();
            }
        }
    }
}

/// Lives through so much weather; panics with what went wrong.
async fn live(seed: u64, lasts: Duration) -> Tally {
    let mut world = World::new(seed).await;
    let begun = Instant::now();
    let mut forecast = SmallRng::seed_from_u64(seed);
    // So that a failure tells what came before it.
    while begun.elapsed() < lasts {
        let storm = Storm::next(&mut forecast);
        world.calm(storm.calm).await;
        println!("at {:?}: {storm:?}", begun.elapsed());
        world.storm(&storm).await;
    }
    world.calm(3 * PERIOD).await;
    let took = world.process.take().expect("it runs").stop().await;
    world.log.slowest_stop = world.log.slowest_stop.max(took);
    world.log
}

fn run(seed: u64, lasts: Duration) {
    quiet_crashes();
    #[expect(clippy::disallowed_methods, reason = "how long it took in real time is what is told")]
    let begun = std::time::Instant::now();
    println!("PETALD_CHAOS_SEED={seed} PETALD_CHAOS_DAYS={}", lasts.as_secs_f64() / DAY.as_secs_f64());
    let tally = actix_rt::System::new().block_on(live(seed, lasts));
    println!("seed {seed}: {lasts:?} in {:?}: {tally:?}", begun.elapsed());
}

/// Keeps the text of the panics that a storm asked for out of the output: there are thousands in a month.
fn quiet_crashes() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if info.payload_as_str() != Some("crashed on request") {
                before(info);
            }
        }));
    });
}

/// What the environment asks for, if it does.
fn asked<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().ok().expect("a number"))
}

#[test]
fn a_month_of_weather_and_crashes() {
    let seed = asked("PETALD_CHAOS_SEED").unwrap_or(1);
    run(seed, DAY.mul_f64(asked("PETALD_CHAOS_DAYS").unwrap_or(DAYS)));
}

#[test]
fn half_a_day_under_other_skies() {
    for seed in 100..103 {
        run(seed, DAY / 2);
    }
}
