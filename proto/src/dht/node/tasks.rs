//! What the node is asked to do by its own side: pings, lookups, stores.

use std::collections::BTreeSet;

use libp2p::PeerId;
use rand::RngExt;

use super::{
    CallFailure, Effect, FIRST_REFRESH, MAX_CALLS, MAX_TASKS, Node, Outcome, Purpose, REFRESH_PERIOD,
    TASK_DEADLINE, TaskId, caching::Get,
};
use crate::{
    dht::{
        Contact, DhtId, REPLICAS, Record, Request, Row, lookup::Lookup, replication::Replication,
        routing::BUCKET_SIZE,
    },
    time::DhtTime,
};

/// Buckets that one refresh searches at most: a table of a large swarm has this many.
const MAX_REFRESHED_BUCKETS: usize = 32;

/// Nodes of each bucket that must have answered. With twenty, as any other search, a refresh would take as many calls as a
/// large announcement.
const REFRESH_BEAM: usize = 5;

/// Nodes nearest to a key that must have answered before its record goes to the first [`REPLICAS`] of them: those, and as
/// many that may fail or refuse. A search for what is there asks on, since whoever has just come may hold nothing yet;
/// here the nearest of all are enough, and the others would be asked for nothing.
const LOCATE_BEAM: usize = 2 * REPLICAS;

/// Bits that a place shares with our own when its neighbours are our neighbours: no swarm has nodes between.
const NEXT_TO_US: usize = 150;

#[derive(Debug)]
pub(super) struct Task {
    pub(super) deadline: DhtTime,
    pub(super) work: Work,
}

#[derive(Debug)]
pub(super) enum Work {
    Ping,
    /// What others hold now.
    Lookup(Lookup),
    /// What one node leads to.
    Through(Lookup),
    Get(Get),
    /// A search for what is cached and about to expire.
    RefreshCache(Lookup),
    /// A search for the node's own needs: nobody hears of its end.
    Refresh(Lookup),
    /// The records wait for the lookup of their keys.
    Locate(Lookup, Vec<Record>),
    Replicate(Replication),
}

impl Work {
    pub(super) fn lookup(&mut self) -> Option<&mut Lookup> {
        match self {
            Self::Lookup(lookup)
            | Self::Through(lookup)
            | Self::Get(Get { lookup, .. })
            | Self::RefreshCache(lookup)
            | Self::Refresh(lookup)
            | Self::Locate(lookup, _) => Some(lookup),
            Self::Ping | Self::Replicate(_) => None,
        }
    }
}

impl Work {
    fn is_over(&self) -> bool {
        match self {
            Self::Ping => false,
            Self::Get(get) => get.is_over(),
            Self::Lookup(lookup)
            | Self::Through(lookup)
            | Self::RefreshCache(lookup)
            | Self::Refresh(lookup)
            | Self::Locate(lookup, _) => lookup.is_over(),
            Self::Replicate(replication) => replication.is_over(),
        }
    }
}

impl Node {
    /// Asks `peer` who it is; an answer puts it into the table. With `validate` it is also asked to call us back, and
    /// then lists us to others.
    pub fn ping(&mut self, peer: PeerId, validate: bool, now: DhtTime) -> TaskId {
        let task = self.start(Work::Ping, now);
        if self.calls.len() < MAX_CALLS {
            self.call(peer, Request::Ping { sender: self.sender(), validate }, Purpose::Ping(task));
        } else if let Some(state) = self.tasks.remove(&task) {
            self.finish(task, state, now);
        }
        task
    }

    /// Searches for every key: the freshest value, and the nodes nearest to it.
    pub fn lookup(&mut self, keys: impl IntoIterator<Item = DhtId>, now: DhtTime) -> TaskId {
        let keys: BTreeSet<DhtId> = keys.into_iter().collect();
        let lookup = self.search(keys.iter().copied(), now);
        let task = self.start(Work::Lookup(lookup), now);
        self.share(task, keys);
        self.advance(task, now);
        task
    }

    /// The same search, but it begins with `first` and with nothing that we know: what is found is what `first` leads
    /// to.
    pub fn lookup_through(
        &mut self,
        first: Contact,
        keys: impl IntoIterator<Item = DhtId>,
        now: DhtTime,
    ) -> TaskId {
        let lookup = Lookup::new(keys, |_| vec![first]);
        let task = self.start(Work::Through(lookup), now);
        self.advance(task, now);
        task
    }

    /// Stores every record at the nodes nearest to its key.
    pub fn store(&mut self, records: Vec<Record>, now: DhtTime) -> TaskId {
        let mut lookup = self.search(records.iter().map(|record| record.key), now);
        records.iter().for_each(|record| lookup.narrow(&record.key, LOCATE_BEAM));
        let task = self.start(Work::Locate(lookup, records), now);
        self.advance(task, now);
        task
    }

    pub(super) fn start(&mut self, work: Work, now: DhtTime) -> TaskId {
        let task = TaskId(self.take_id());
        let state = Task { deadline: now + TASK_DEADLINE, work };
        match self.tasks.len() < MAX_TASKS {
            true => drop(self.tasks.insert(task, state)),
            false => self.finish(task, state, now),
        }
        task
    }

    /// A lookup that begins with whom we know and what we hold ourselves; what is cached is left out.
    pub(super) fn search(&mut self, keys: impl IntoIterator<Item = DhtId>, now: DhtTime) -> Lookup {
        let keys: BTreeSet<DhtId> = keys.into_iter().collect();
        let mut lookup = Lookup::new(keys.iter().copied(), |key| {
            let mut known = self.table.nearest(key, 2 * BUCKET_SIZE, None);
            known.retain(|contact| !self.blacklist.contains(&contact.peer, now));
            known
        });
        for key in keys {
            if let Some(held) = self.storage.get(&key, now) {
                lookup.offer(key, held.to_fresh());
            }
        }
        lookup
    }

    /// Makes the calls that a task needs next, and ends it when it needs none.
    pub(super) fn advance(&mut self, task: TaskId, now: DhtTime) {
        let Some(mut state) = self.tasks.remove(&task) else { return };
        match &mut state.work {
            Work::Ping => {}
            Work::Lookup(lookup)
            | Work::Through(lookup)
            | Work::Get(Get { lookup, .. })
            | Work::RefreshCache(lookup)
            | Work::Refresh(lookup)
            | Work::Locate(lookup, _) => {
                while self.calls.len() < MAX_CALLS
                    && let Some((peer, keys)) = lookup.next_call()
                {
                    let request = Request::Find { sender: self.sender(), keys: keys.clone() };
                    self.call(peer, request, Purpose::Find(task, keys));
                }
            }
            Work::Replicate(replication) => {
                let own_peer = self.own_peer;
                replication.plan(|record| self.hold(&Row::from(record), own_peer, now));
                while self.calls.len() < MAX_CALLS
                    && let Some((peer, indexes)) = replication.next_call()
                {
                    let request = Request::Store { sender: self.sender(), rows: replication.rows(&indexes) };
                    self.call(peer, request, Purpose::Store(task, indexes));
                }
            }
        }
        let over = state.work.is_over();
        if !over && self.calls.len() >= MAX_CALLS {
            self.starved.insert(task);
        }
        match over {
            true => self.finish(task, state, now),
            false => drop(self.tasks.insert(task, state)),
        }
    }

    /// A task ends, with what it has. A store goes on from its lookup to its replicas.
    fn finish(&mut self, task: TaskId, state: Task, now: DhtTime) {
        let outcome = match state.work {
            Work::Ping => Outcome::Ping(Err(CallFailure("no answer in time".into()))),
            Work::Refresh(_) => return,
            work @ Work::RefreshCache(_) => return drop(self.found(task, work, now)),
            work @ (Work::Lookup(_) | Work::Get(_)) => Outcome::Lookup(self.found(task, work, now)),
            Work::Through(lookup) => Outcome::Lookup(lookup.finish()),
            Work::Locate(lookup, records) => {
                let replication = Replication::new(records, &lookup.finish(), self.sender());
                self.tasks
                    .insert(task, Task { deadline: now + TASK_DEADLINE, work: Work::Replicate(replication) });
                return self.advance(task, now);
            }
            Work::Replicate(replication) => {
                // Not earlier: a node that was handed a record would refuse it when the store comes to it.
                self.handover.remember(replication.records());
                let report = replication.report();
                self.stored(&replication, &report, now);
                Outcome::Store(report)
            }
        };
        self.effects.push_back(Effect::Done { task, outcome });
    }

    /// Calls that have not been answered by now no longer keep searches from going on.
    pub(super) fn hurry_searches(&mut self, now: DhtTime) {
        let slow = self.tasks.iter_mut().filter_map(|(id, task)| Some((*id, task.work.lookup()?)));
        let mut slow: Vec<TaskId> = slow.filter_map(|(id, lookup)| lookup.hurry().then_some(id)).collect();
        slow.sort_unstable();
        for task in slow {
            self.advance(task, now);
        }
    }

    pub(super) fn end_overdue_tasks(&mut self, now: DhtTime) {
        let overdue = self.tasks.iter().filter(|(_, task)| task.deadline < now).map(|(id, _)| *id);
        let mut overdue: Vec<TaskId> = overdue.collect();
        overdue.sort_by_key(|task| task.0);
        for task in overdue {
            if let Some(state) = self.tasks.remove(&task) {
                self.finish(task, state, now);
            }
        }
    }

    /// Searches for a random place in each bucket from which nothing was heard for long, and for our own neighbours:
    /// some may have come while others that told us of their neighbours did not know them yet.
    pub(super) fn refresh(&mut self, now: DhtTime) {
        if self.table.is_empty() {
            self.next_refresh = now + FIRST_REFRESH;
            return;
        }
        // They must not meet all at once who started together.
        let period = REFRESH_PERIOD.mul_f64(self.rng.random_range(1.0..1.1));
        self.next_refresh = now + period;
        let stale = match std::mem::replace(&mut self.refreshed, true) {
            true => self.table.stale_buckets(now - REFRESH_PERIOD),
            false => self.table.stale_buckets(now + REFRESH_PERIOD),
        };
        let places = stale.into_iter().take(MAX_REFRESHED_BUCKETS);
        let places: Vec<DhtId> =
            places.map(|(lower, depth)| lower.random_within(depth, &mut self.rng)).collect();
        // Whoever searches for itself alone is taken for one that has just started.
        let next_to_us = self.id.random_within(NEXT_TO_US, &mut self.rng);
        let mut lookup = self.search(places.iter().copied().chain([next_to_us]), now);
        places.iter().for_each(|place| lookup.narrow(place, REFRESH_BEAM));
        let task = self.start(Work::Refresh(lookup), now);
        self.advance(task, now);
    }
}
