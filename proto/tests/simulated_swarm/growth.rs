//! What a lookup, an announcement and an idle node cost, in a swarm that has grown to its size and that nobody leaves.

use std::time::Duration;

use super::{
    Options,
    figures::Sample,
    swarm::Swarm,
    work::{self, Costs},
};

/// Nodes search their stale buckets once within this (`dht/node/mod.rs`, `REFRESH_PERIOD`).
const REFRESH_PERIOD: Duration = Duration::from_secs(600);

/// Announcements that are measured, and readings of a whole model.
const ANNOUNCEMENTS: usize = 300;
const READINGS: usize = 50;

pub(crate) struct Growth {
    pub(crate) nodes: usize,
    /// Calls that a node makes and gets within a minute while nobody reads or writes, and their bytes.
    pub(crate) idle_calls: f64,
    pub(crate) idle_bytes: f64,
    /// Members of a routing table.
    pub(crate) members: Sample,
    pub(crate) lookup: Costs,
    pub(crate) announcement: Costs,
    pub(crate) reading: Costs,
}

pub(crate) fn measure(swarm: &mut Swarm, options: &Options) -> Growth {
    swarm.forget_served();
    swarm.run_for(REFRESH_PERIOD);
    let minutes = REFRESH_PERIOD.as_secs_f64() / 60.0;
    let served = swarm.served();
    let a_minute = |total: u64| total as f64 / served.len() as f64 / minutes;
    let idle_calls = a_minute(served.iter().map(|served| served.calls).sum());
    let idle_bytes = a_minute(served.iter().map(|served| served.bytes).sum());
    let (announcement, announced) = work::announcements(swarm, "growth", ANNOUNCEMENTS);
    let lookup = work::lookups(swarm, &announced, options.lookups);
    let model = work::model(swarm, "a-model");
    let reading = work::readings(swarm, &model, READINGS);
    let tables = swarm.alive().iter().filter_map(|member| swarm.node(*member));
    let members = Sample::of(tables.map(|node| node.table().len() as f64));
    let growth =
        Growth { nodes: swarm.len(), idle_calls, idle_bytes, members, lookup, announcement, reading };
    growth.print();
    growth
}

impl Growth {
    fn print(&self) {
        println!("{} nodes, nobody leaves", self.nodes);
        println!("  table: {} members", self.members.show(1.0, 0));
        println!(
            "  idle: {:.1} calls served a minute by each node, {:.1} KiB",
            self.idle_calls,
            self.idle_bytes / 1024.0
        );
        println!("  lookup of 1 key: {}", self.lookup.show());
        println!("  lookup of {} keys: {}", work::BLOCKS_OF_A_MODEL, self.reading.show());
        println!("  announcement of {} records: {}", work::BLOCKS_OF_A_SERVER, self.announcement.show());
    }
}
