//! All servers over time, within a bound. Pure data: times are given in.
//!
//! What makes room, in this order: what is older than the operator wants to keep; the oldest changes of all; the
//! servers that have been missing for longest; and, where all are there, those that came last, so that a flood of new
//! names drives out nobody who was known before.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use libp2p::PeerId;

use super::{
    coverage::{Coverage, UnixSeconds},
    life::{Life, Seen},
    sighting::Sighting,
};

/// Of what must make room, this much more goes, so that it is not to be made again at once.
const ROOM: u64 = 8;

/// A clock that is set back by more than this was wrong before: what it wrote lies in the future, and goes.
const LARGEST_STEP_BACK: u64 = 600;

/// What a history is kept to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Seconds after which changes, and servers that are missing, are forgotten.
    pub keep: u64,
    /// Seconds between two crawls up to which what the first saw is taken to have held.
    pub gap: u64,
    /// Bytes of all lives, roughly as in memory.
    pub weight: u64,
}

/// One crawl, as far as a history cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crawl {
    /// When.
    pub at: UnixSeconds,
    /// Who was seen.
    pub servers: BTreeMap<PeerId, Seen>,
}

/// All servers over time. A copy is cheap: lives are shared until they change.
#[derive(Debug, Clone)]
pub struct Chronicle {
    limits: Limits,
    coverage: Coverage,
    lives: BTreeMap<PeerId, Arc<Life>>,
    weight: u64,
    /// What was changed since it was last asked for.
    touched: BTreeSet<PeerId>,
}

impl Chronicle {
    /// Of nobody.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            coverage: Coverage::default(),
            lives: BTreeMap::new(),
            weight: 0,
            touched: BTreeSet::new(),
        }
    }

    /// What was kept, cut to the limits.
    pub(super) fn of(
        limits: Limits,
        coverage: Coverage,
        lives: impl IntoIterator<Item = (PeerId, Life)>,
    ) -> Self {
        let mut chronicle = Self { coverage, ..Self::new(limits) };
        for (peer, life) in lives {
            chronicle.weight += life.weight();
            chronicle.lives.insert(peer, Arc::new(life));
        }
        chronicle.make_room(limits.weight);
        chronicle
    }

    /// Takes a crawl. One that is not later than the last changes nothing, unless the clock was set back by far.
    pub fn observe(&mut self, crawl: &Crawl) {
        let at = crawl.at;
        if self.coverage.end().is_some_and(|end| end > at + LARGEST_STEP_BACK) {
            self.begin_anew();
        }
        if self.coverage.end().is_some_and(|end| end >= at) {
            return;
        }
        self.coverage.note(at, self.limits.gap);
        for (peer, seen) in &crawl.servers {
            match self.lives.get(peer) {
                Some(life) if life.differs(seen) => self.change(*peer, |life| life.see(at, seen)),
                Some(_) => {}
                None => self.insert(*peer, Life::begin(at, seen)),
            }
        }
        let gone = |(peer, life): (&PeerId, &Arc<Life>)| {
            (life.now() != Sighting::Missing && !crawl.servers.contains_key(peer)).then_some(*peer)
        };
        let gone: Vec<PeerId> = self.lives.iter().filter_map(gone).collect();
        for peer in gone {
            self.change(peer, |life| life.become_(at, Sighting::Missing));
        }
        self.forget_before(at.saturating_sub(self.limits.keep));
        if self.weight > self.limits.weight {
            self.make_room(self.limits.weight - self.limits.weight / ROOM);
        }
    }

    /// The clock was wrong: nothing that it wrote can be told from what will be written now.
    fn begin_anew(&mut self) {
        self.touched.extend(self.lives.keys());
        self.lives.clear();
        (self.coverage, self.weight) = (Coverage::default(), 0);
    }

    fn insert(&mut self, peer: PeerId, life: Life) {
        self.weight += life.weight();
        self.lives.insert(peer, Arc::new(life));
        self.touched.insert(peer);
    }

    fn change<T>(&mut self, peer: PeerId, change: impl FnOnce(&mut Life) -> T) {
        if let Some(life) = self.lives.get_mut(&peer) {
            let life = Arc::make_mut(life);
            self.weight -= life.weight();
            change(life);
            self.weight += life.weight();
            self.touched.insert(peer);
        }
    }

    fn remove(&mut self, peer: PeerId) {
        if let Some(life) = self.lives.remove(&peer) {
            self.weight -= life.weight();
            self.touched.insert(peer);
        }
    }

    fn forget_before(&mut self, before: UnixSeconds) {
        let old = |(peer, life): (&PeerId, &Arc<Life>)| {
            let gone = life.now() == Sighting::Missing && life.since() < before;
            let long = life.changes().nth(1).is_some_and(|second| second.at <= before);
            (gone || long).then_some((*peer, gone))
        };
        let old: Vec<(PeerId, bool)> = self.lives.iter().filter_map(old).collect();
        for (peer, gone) in old {
            if gone { self.remove(peer) } else { self.change(peer, |life| life.forget_before(before)) }
        }
        self.coverage.forget_before(before);
    }

    /// Forgets the oldest until no more than `weight` is held.
    pub(super) fn make_room(&mut self, weight: u64) {
        if self.weight <= weight {
            return;
        }
        // Every change that is followed by another: the moment of that other is when it may be forgotten.
        let moments = self.lives.values().flat_map(|life| life.changes().skip(1)).map(|change| change.at);
        let mut moments: Vec<UnixSeconds> = moments.collect();
        moments.sort_unstable();
        let each = size_of::<super::life::Change>() as u64;
        let most = usize::try_from((self.weight - weight).div_ceil(each)).unwrap_or(usize::MAX);
        if let Some(cut) = moments.get(most.saturating_sub(1)).or(moments.last()).copied() {
            self.forget_before(cut);
        }
        if self.weight <= weight {
            return;
        }
        let mut order: Vec<(bool, u64, PeerId)> = Vec::with_capacity(self.lives.len());
        for (peer, life) in &self.lives {
            let there = life.now() != Sighting::Missing;
            // The longest missing first, then the newest.
            order.push((there, if there { u64::MAX - life.first_seen } else { life.since() }, *peer));
        }
        order.sort_unstable();
        for (_, _, peer) in order {
            if self.weight <= weight {
                break;
            }
            self.remove(peer);
        }
    }

    /// Whose lives changed since this was last asked; of one that is not there any more, `None`.
    pub(super) fn take_touched(&mut self) -> Vec<(PeerId, Option<Arc<Life>>)> {
        let touched = std::mem::take(&mut self.touched);
        touched.into_iter().map(|peer| (peer, self.lives.get(&peer).cloned())).collect()
    }

    /// These are to be told of again: what was done with them failed.
    pub(super) fn touch(&mut self, peers: impl IntoIterator<Item = PeerId>) {
        self.touched.extend(peers);
    }

    /// All are to be told of.
    pub(super) fn touch_all(&mut self) {
        self.touched.extend(self.lives.keys());
    }

    /// When we looked.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Everybody, in the order of their ids.
    pub fn lives(&self) -> &BTreeMap<PeerId, Arc<Life>> {
        &self.lives
    }

    /// Bytes that are held, roughly.
    pub fn weight(&self) -> u64 {
        self.weight
    }
}
