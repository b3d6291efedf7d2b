//! What each node has to do for the others while everybody announces, and what becomes of it when half of them vanish.

use super::{
    Options,
    figures::Sample,
    fleet::{Fleet, PERIOD},
    swarm::Swarm,
    work::Costs,
};

/// Lookups that begin in each second of the recovery, and how long one step of it is, in seconds.
const LOOKUPS: usize = 20;
const STEP: u64 = 15;

/// Tables that are looked through for those who have gone.
const TABLES: usize = 100;

pub(crate) struct Load {
    /// Of each node: calls and bytes that it served within a second, and records that it holds.
    pub(crate) calls: Sample,
    bytes: Sample,
    records: Sample,
    announcements: Costs,
}

/// A moment after half of the swarm has vanished.
pub(crate) struct Step {
    /// The end of the step, in seconds.
    pub(crate) at: u64,
    pub(crate) lookups: Costs,
    pub(crate) announcements: Costs,
    /// Of the members of a table.
    pub(crate) gone: f64,
}

pub(crate) fn measure(swarm: &mut Swarm) -> (Fleet, Load) {
    let mut fleet = Fleet::of(swarm);
    let seconds = PERIOD.as_secs();
    fleet.run_for(swarm, seconds, 0);
    fleet.take();
    swarm.forget_served();
    fleet.run_for(swarm, seconds, 0);
    let served = swarm.served();
    let a_second = |total: u64| total as f64 / seconds as f64;
    let nodes = swarm.alive().iter().filter_map(|member| swarm.node(*member));
    let load = Load {
        calls: Sample::of(served.iter().map(|served| a_second(served.calls))),
        bytes: Sample::of(served.iter().map(|served| a_second(served.bytes))),
        records: Sample::of(nodes.map(|node| node.storage().entries() as f64)),
        announcements: fleet.take().0,
    };
    println!("{} nodes, each of which announces every {seconds} s", swarm.len());
    println!("  calls served a second by each node: {}", load.calls.show(1.0, 2));
    println!("  bytes of them: {} KiB/s", load.bytes.show(1024.0, 1));
    println!("  records held: {}", load.records.show(1.0, 0));
    println!("  announcement: {}", load.announcements.show());
    (fleet, load)
}

pub(crate) fn recovery(swarm: &mut Swarm, fleet: &mut Fleet, options: &Options) -> Vec<Step> {
    let before = step(swarm, fleet, 0);
    for _ in 0..swarm.len() / 2 {
        let gone = swarm.anybody_mortal();
        swarm.leave(gone);
    }
    println!("half of them have vanished at once; {} are left", swarm.len());
    let mut steps = vec![before];
    for number in 1..=options.recovery_seconds / STEP {
        steps.push(step(swarm, fleet, number * STEP));
    }
    steps
}

fn step(swarm: &mut Swarm, fleet: &mut Fleet, at: u64) -> Step {
    fleet.run_for(swarm, STEP, LOOKUPS);
    let (announcements, lookups) = fleet.take();
    let (mut members, mut gone) = (0, 0);
    for _ in 0..TABLES {
        let somebody = swarm.anybody();
        for member in swarm.node(somebody).into_iter().flat_map(|node| node.table().members()) {
            members += 1;
            gone += usize::from(!swarm.is_there(&member.peer));
        }
    }
    let gone = f64::from(gone as u32) / f64::from(members.max(1));
    println!("  {at:>4} s: {:.0} % of the tables are gone; lookup: {}", 100.0 * gone, lookups.show());
    println!("          announcement: {}", announcements.show());
    Step { at, lookups, announcements, gone }
}
