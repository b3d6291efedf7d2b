//! Every node is a server that announces its blocks over and over, as in a swarm of Petals.

use std::{collections::HashMap, time::Duration};

use rand::RngExt;

use super::{
    records,
    swarm::{Ended, Swarm, Work},
    work::{Announced, BLOCKS_OF_A_MODEL, BLOCKS_OF_A_SERVER, Costs, ended_well},
};

/// Between two announcements of a server (petals: `update_period`), and how long the records live.
pub(crate) const PERIOD: Duration = Duration::from_secs(120);
const LIVES: Duration = Duration::from_secs(240);

/// Servers of one model. With ten parts of a model, each block has ten of them.
const SERVERS_OF_A_MODEL: usize = 100;

/// Labels of readers begin here; those of servers are their own numbers.
const READERS: usize = 1 << 32;

/// Beyond, no reader is waited for.
const MOST_READERS: usize = 100_000;

struct Server {
    member: u32,
    prefix: String,
    first: u32,
    next: Duration,
}

pub(crate) struct Fleet {
    servers: Vec<Server>,
    wanted: HashMap<usize, Announced>,
    readers: usize,
    /// Since they were taken.
    pub(crate) announcements: Costs,
    pub(crate) lookups: Costs,
}

impl Fleet {
    /// Everybody who is alive; their announcements are spread over the period.
    pub(crate) fn of(swarm: &mut Swarm) -> Self {
        let members: Vec<u32> = swarm.alive().to_vec();
        let parts = BLOCKS_OF_A_MODEL / BLOCKS_OF_A_SERVER;
        let server = |(number, member): (usize, u32)| Server {
            member,
            prefix: format!("fleet-{}", number / SERVERS_OF_A_MODEL),
            first: number as u32 % parts * BLOCKS_OF_A_SERVER,
            next: swarm.now() + PERIOD.mul_f64(swarm.rng.random()),
        };
        let servers = members.into_iter().enumerate().map(server).collect();
        let (announcements, lookups) = (Costs::default(), Costs::default());
        Self { servers, wanted: HashMap::new(), readers: 0, announcements, lookups }
    }

    /// Lets time pass, with so many lookups of living servers' records a second.
    pub(crate) fn run_for(&mut self, swarm: &mut Swarm, seconds: u64, lookups: usize) {
        for _ in 0..seconds {
            let now = swarm.now();
            for number in 0..self.servers.len() {
                if self.servers[number].next <= now && swarm.is_alive(self.servers[number].member) {
                    self.announce(swarm, number);
                }
            }
            for _ in 0..lookups {
                self.read(swarm);
            }
            swarm.run_for(Duration::from_secs(1));
            for ended in swarm.take_ended() {
                self.ended(&ended, swarm.len() - 1);
            }
        }
    }

    fn announce(&mut self, swarm: &mut Swarm, number: usize) {
        let server = &mut self.servers[number];
        let Some(peer) = swarm.peer(server.member) else { return };
        let blocks = server.first..server.first + BLOCKS_OF_A_SERVER;
        let records = records::of_server(&peer, &server.prefix, blocks, LIVES, swarm.time());
        let (member, next) = (server.member, swarm.now() + PERIOD);
        // It may be reading.
        server.next = if swarm.begin(member, number, Work::Store(records)) { next } else { server.next };
    }

    fn read(&mut self, swarm: &mut Swarm) {
        let server = &self.servers[swarm.rng.random_range(0..self.servers.len())];
        let Some(by) = swarm.peer(server.member) else { return };
        let key = records::block_key(&server.prefix, server.first);
        let (reader, label) = (swarm.anybody(), READERS + self.readers);
        if self.wanted.len() < MOST_READERS && swarm.begin(reader, label, Work::Lookup(vec![key])) {
            self.wanted.insert(label, Announced { key, by });
            self.readers += 1;
        }
    }

    fn ended(&mut self, ended: &Ended, others: usize) {
        match self.wanted.remove(&ended.label) {
            None => self.announcements.add(ended, ended_well(&ended.outcome, &[], others)),
            Some(wanted) => self.lookups.add(ended, ended_well(&ended.outcome, &[wanted], others)),
        }
    }

    pub(crate) fn take(&mut self) -> (Costs, Costs) {
        (std::mem::take(&mut self.announcements), std::mem::take(&mut self.lookups))
    }
}
