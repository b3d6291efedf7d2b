//! What is measured: announcements, and lookups of what was announced.

use std::time::Duration;

use hivemind_proto::dht::{DhtId, Outcome, REPLICAS};
use libp2p::PeerId;

use super::{
    figures::Sample,
    records,
    swarm::{Ended, Swarm, Work},
};

/// Blocks of a server, and of the model that a reader looks through: a 70B model, each server with a tenth of it or so.
pub(crate) const BLOCKS_OF_A_SERVER: u32 = 8;
pub(crate) const BLOCKS_OF_A_MODEL: u32 = 80;

/// Tasks that begin in one second: far too few to meet each other at the nodes.
const PER_SECOND: usize = 50;

/// Longer than any measurement. Nothing is renewed within it.
const LIVES: Duration = Duration::from_secs(6 * 3600);

/// After this every task has ended.
const LAST_TASKS: Duration = Duration::from_secs(40);

/// A record that somebody may look for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Announced {
    pub(crate) key: DhtId,
    pub(crate) by: PeerId,
}

/// What many tasks of one kind took.
#[derive(Debug, Default, Clone)]
pub(crate) struct Costs {
    /// Tasks, and those of them that ended well.
    pub(crate) asked: usize,
    pub(crate) good: usize,
    /// Lookups that found nothing, and nobody held it any more.
    pub(crate) lost: usize,
    pub(crate) rounds: Sample,
    /// The round in which the first value came.
    pub(crate) found_in: Sample,
    pub(crate) calls: Sample,
    pub(crate) stores: Sample,
    pub(crate) failures: Sample,
    pub(crate) dials: Sample,
    pub(crate) bytes: Sample,
    pub(crate) seconds: Sample,
}

impl Costs {
    pub(crate) fn add(&mut self, ended: &Ended, good: bool) {
        self.asked += 1;
        self.good += usize::from(good);
        self.rounds.add(ended.trace.rounds);
        if let Some(round) = ended.trace.found_in {
            self.found_in.add(round);
        }
        self.calls.add(ended.trace.calls());
        self.stores.add(ended.trace.stores);
        self.failures.add(ended.trace.failures);
        self.dials.add(ended.trace.dials);
        self.bytes.add(ended.trace.bytes as f64);
        self.seconds.add(ended.took.as_secs_f64());
    }

    pub(crate) fn success(&self) -> f64 {
        self.good as f64 / self.asked.max(1) as f64
    }

    pub(crate) fn show(&self) -> String {
        format!(
            "{:.2} % of {} good, {} impossible; rounds {}, first value in round {:.1}; calls {}, {:.1} of them stores, \
             {:.1} failed, {:.1} dialed; {} KiB; {} s",
            100.0 * self.success(),
            self.asked,
            self.lost,
            self.rounds.show(1.0, 1),
            self.found_in.mean(),
            self.calls.show(1.0, 0),
            self.stores.mean(),
            self.failures.mean(),
            self.dials.mean(),
            self.bytes.show(1024.0, 0),
            self.seconds.show(1.0, 2),
        )
    }
}

/// Whether a store reached as many others as it should, and a lookup everything that was announced.
pub(crate) fn ended_well(outcome: &Outcome, wanted: &[Announced], others: usize) -> bool {
    match outcome {
        Outcome::Store(report) => {
            let replicas = REPLICAS.min(others);
            report.records.iter().all(|record| record.acknowledged.len() >= replicas)
        }
        Outcome::Lookup(found) => wanted.iter().all(|wanted| {
            let found = found.get(&wanted.key);
            found.is_some_and(|found| found.subkey(&records::subkey(&wanted.by)).is_some())
        }),
        Outcome::Ping(_) => false,
    }
}

/// Begins tasks one after the other, and waits for all of them. `next` gives a task and what it should find.
fn measure(
    swarm: &mut Swarm,
    count: usize,
    mut next: impl FnMut(&mut Swarm, usize) -> (u32, Work, Vec<Announced>),
) -> (Costs, Vec<Vec<Announced>>) {
    let (mut costs, mut wanted) = (Costs::default(), Vec::new());
    swarm.take_ended();
    let mut settle = |swarm: &mut Swarm, wanted: &[Vec<Announced>]| {
        let others = swarm.len() - 1;
        for ended in swarm.take_ended() {
            let good = ended_well(&ended.outcome, &wanted[ended.label], others);
            costs.add(&ended, good);
            let missed = matches!(ended.outcome, Outcome::Lookup(_)) && !good;
            let lost = missed && wanted[ended.label].iter().any(|wanted| swarm.holders(&wanted.key) == 0);
            costs.lost += usize::from(lost);
        }
    };
    while wanted.len() < count {
        let (member, work, expected) = next(swarm, wanted.len());
        if swarm.begin(member, wanted.len(), work) {
            wanted.push(expected);
        }
        swarm.run_for(Duration::from_secs(1) / PER_SECOND as u32);
        settle(swarm, &wanted);
    }
    swarm.run_for(LAST_TASKS);
    settle(swarm, &wanted);
    (costs, wanted)
}

/// Servers announce their blocks, each of a model of its own, so that what an announcement takes is the DHT's alone.
pub(crate) fn announcements(swarm: &mut Swarm, name: &str, count: usize) -> (Costs, Vec<Announced>) {
    let (costs, announced) = measure(swarm, count, |swarm, number| {
        let member = swarm.anybody();
        let peer = swarm.peer(member).expect("it is alive");
        let prefix = format!("_{name}-{number}");
        let records = records::of_server(&peer, &prefix, 0..BLOCKS_OF_A_SERVER, LIVES, swarm.time());
        let announced = records.iter().map(|record| Announced { key: record.key, by: peer }).collect();
        (member, Work::Store(records), announced)
    });
    (costs, announced.concat())
}

/// A model that as many servers serve as it takes.
pub(crate) fn model(swarm: &mut Swarm, prefix: &str) -> Vec<Announced> {
    let servers = BLOCKS_OF_A_MODEL.div_ceil(BLOCKS_OF_A_SERVER);
    let (_, announced) = measure(swarm, servers as usize, |swarm, number| {
        let member = swarm.anybody();
        let peer = swarm.peer(member).expect("it is alive");
        let first = number as u32 * BLOCKS_OF_A_SERVER;
        let blocks = first..(first + BLOCKS_OF_A_SERVER).min(BLOCKS_OF_A_MODEL);
        let records = records::of_server(&peer, prefix, blocks, LIVES, swarm.time());
        let announced = records.iter().map(|record| Announced { key: record.key, by: peer }).collect();
        (member, Work::Store(records), announced)
    });
    announced.concat()
}

/// Random nodes look for random records.
pub(crate) fn lookups(swarm: &mut Swarm, announced: &[Announced], count: usize) -> Costs {
    use rand::RngExt;
    let (costs, _) = measure(swarm, count, |swarm, _| {
        let wanted = announced[swarm.rng.random_range(0..announced.len())];
        (swarm.anybody(), Work::Lookup(vec![wanted.key]), vec![wanted])
    });
    costs
}

/// Random nodes look for all blocks of a model at once.
pub(crate) fn readings(swarm: &mut Swarm, model: &[Announced], count: usize) -> Costs {
    let keys: Vec<DhtId> = model.iter().map(|announced| announced.key).collect();
    let (costs, _) =
        measure(swarm, count, |swarm, _| (swarm.anybody(), Work::Lookup(keys.clone()), model.to_vec()));
    costs
}
