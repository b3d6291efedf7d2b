//! Whoever is first met is handed the records that it should hold (`hivemind/dht/protocol.py`,
//! `update_routing_table`): from the node that is nearest to a key, everything that it holds under it; and from us,
//! wherever we stand, the records that our own side has announced. So a node that was restarted holds again what it
//! held, before those who announced it come round to it.
//!
//! Differences from the original, each on purpose:
//! - it sends everything in one message, whatever its size; here it goes in batches, and no more at once and in all
//!   than is bounded here, so that a flood of new nodes cannot make us send without end;
//! - it looks at every key for every node; here only at those that no other node is nearer to as a whole;
//! - it sends dictionaries whole, of which a Python node then takes only what comes before the first refused subkey;
//! - a node that we know and that searches for itself has just started, and counts as new;
//! - while there are fewer nodes than replicas, every one of them should hold everything.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    ops::Bound,
    time::Duration,
};

use libp2p::PeerId;

use super::{Node, Purpose};
use crate::{
    dht::{Contact, DhtId, Held, REPLICAS, Record, Request, Row, Tag},
    time::DhtTime,
};

/// Between two handovers to one peer, however often it comes with another node id.
const PAUSE: Duration = Duration::from_secs(30);

/// Peers that are remembered for that pause. When so many came within it, further ones get nothing: those who
/// announce come round to them.
const MAX_REMEMBERED: usize = 2048;

/// Nodes that wait for their handover at once.
const MAX_NEWCOMERS: usize = 256;

/// Handovers under way at once, each with one call.
const AT_ONCE: usize = 4;

/// Rows of the first call of each part. A node that has everything already refuses them, and is left alone.
const FIRST_ROWS: usize = 64;

/// Rows of each further call. A Python peer handles each in some 20 µs, and has other callers too.
const ROWS: usize = 1000;

/// Bytes of one call, as far as one record allows: a tenth of what a Python peer takes.
const BYTES: usize = 400 * 1024;

/// Calls that one node gets at most: 25 MB, a hundred thousand records of Petals.
const MAX_CALLS: usize = 64;

/// What all of them get within a second. It is a third of a line of 100 Mbit/s.
const BYTES_A_SECOND: usize = 4 * 1024 * 1024;

/// Keys that are looked at within a second, for all handovers together. A look takes 1 to 2 µs, so this is a
/// twentieth of a core at the most.
const LOOKS_A_SECOND: usize = 25_000;

/// Records of our own side that are remembered. A server announces one a block.
const MAX_OWN: usize = 8192;

/// Who is to be handed what.
#[derive(Debug)]
pub(super) struct Handover {
    /// What our own side has stored, until it expires.
    own: BTreeMap<(DhtId, Tag), Record>,
    newcomers: VecDeque<Newcomer>,
    under_way: usize,
    last: HashMap<PeerId, DhtTime>,
    /// Bytes that may still be sent, and keys that may still be looked at, until they are refilled.
    allowance: usize,
    looks: usize,
    refilled: DhtTime,
}

/// A handover.
#[derive(Debug)]
pub(super) struct Newcomer {
    contact: Contact,
    calls: usize,
    part: Part,
    /// Whether the last call brought records of our own.
    sent_own: bool,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    /// Records of our own, after this one.
    Own(Option<(DhtId, Tag)>),
    /// What we hold for others, after this key, and this subkey of it if it was not finished.
    Held(Option<(DhtId, Option<Box<[u8]>>)>),
    Done,
}

/// Rows on their way into one call.
#[derive(Default)]
struct Batch {
    rows: Vec<Row>,
    bytes: usize,
}

impl Batch {
    fn is_full(&self, rows: usize) -> bool {
        self.rows.len() >= rows || self.bytes >= BYTES
    }

    fn push(&mut self, key: &DhtId, tag: Vec<u8>, value: &[u8], expiration: DhtTime) {
        self.bytes += value.len() + tag.len() + DhtId::MIN.as_bytes().len();
        let key = key.as_bytes().to_vec();
        let (value, expiration) = (value.into(), expiration.as_unix());
        self.rows.push(Row { key, tag, value, expiration, in_cache: false });
    }
}

impl Handover {
    pub(super) fn new(now: DhtTime) -> Self {
        Self {
            own: BTreeMap::new(),
            newcomers: VecDeque::new(),
            under_way: 0,
            last: HashMap::new(),
            allowance: BYTES_A_SECOND,
            looks: LOOKS_A_SECOND,
            refilled: now,
        }
    }

    /// Our own side has stored these.
    pub(super) fn remember<'a>(&mut self, records: impl Iterator<Item = &'a Record>) {
        for record in records {
            let place = (record.key, record.tag.clone());
            if self.own.len() < MAX_OWN || self.own.contains_key(&place) {
                self.own.insert(place, record.clone());
            }
        }
    }

    pub(super) fn tick(&mut self, now: DhtTime) {
        self.own.retain(|_, record| record.expiration > now);
        self.last.retain(|_, last| now.seconds_since(*last) < PAUSE.as_secs_f64());
        if now.seconds_since(self.refilled) >= 1.0 {
            (self.allowance, self.looks, self.refilled) = (BYTES_A_SECOND, LOOKS_A_SECOND, now);
        }
    }

    /// The time has leapt to `now`.
    pub(super) fn time_leapt(&mut self, now: DhtTime) {
        self.last.values_mut().for_each(|last| *last = now);
        self.refilled = now;
    }

    fn admit(&mut self, contact: Contact, now: DhtTime) {
        let paused = self.last.get(&contact.peer);
        let paused = paused.is_some_and(|last| now.seconds_since(*last) < PAUSE.as_secs_f64());
        if paused || self.last.len() >= MAX_REMEMBERED || self.newcomers.len() >= MAX_NEWCOMERS {
            return;
        }
        self.last.insert(contact.peer, now);
        self.newcomers.push_back(Newcomer { contact, calls: 0, part: Part::Own(None), sent_own: false });
    }
}

impl Node {
    /// `contact` is new to us, or starts anew.
    pub(super) fn met(&mut self, contact: Contact, now: DhtTime) {
        self.handover.admit(contact, now);
        self.hand_over(now);
    }

    /// Makes the calls that may be made now.
    pub(super) fn hand_over(&mut self, now: DhtTime) {
        for _ in 0..self.handover.newcomers.len() {
            let Handover { under_way, allowance, looks, .. } = self.handover;
            let busy = under_way >= AT_ONCE || self.calls.len() >= super::MAX_CALLS;
            if busy || allowance == 0 || looks == 0 {
                return;
            }
            let Some(mut newcomer) = self.handover.newcomers.pop_front() else { return };
            let mut looks = looks;
            let batch = self.next_batch(&mut newcomer, &mut looks, now);
            self.handover.looks = looks;
            if batch.rows.is_empty() {
                if newcomer.part != Part::Done {
                    self.handover.newcomers.push_back(newcomer);
                }
                continue;
            }
            newcomer.calls += 1;
            self.counters.records_handed_over += batch.rows.len() as u64;
            self.handover.under_way += 1;
            self.handover.allowance = self.handover.allowance.saturating_sub(batch.bytes);
            let peer = newcomer.contact.peer;
            let request = Request::Store { sender: self.sender(), rows: batch.rows };
            self.call(peer, request, Purpose::HandOver(newcomer));
        }
    }

    /// A call of a handover has ended: `stored` says what the node took of it, unless it failed.
    pub(super) fn handed_over(&mut self, mut newcomer: Newcomer, stored: Option<Vec<bool>>, now: DhtTime) {
        self.handover.under_way -= 1;
        if let Some(stored) = stored
            && newcomer.calls < MAX_CALLS
        {
            if !stored.contains(&true) {
                newcomer.part = if newcomer.sent_own { Part::Held(None) } else { Part::Done };
            }
            if newcomer.part != Part::Done {
                self.handover.newcomers.push_front(newcomer);
            }
        }
        self.hand_over(now);
    }

    /// What goes with the next call. Nothing, if it is done, or if more keys are to be looked at later.
    fn next_batch(&self, newcomer: &mut Newcomer, looks: &mut usize, now: DhtTime) -> Batch {
        let mut batch = Batch::default();
        if let Part::Own(after) = &newcomer.part {
            let after = self.own_rows(newcomer, after.clone(), &mut batch, looks, now);
            newcomer.part = after.map_or(Part::Held(None), |after| Part::Own(Some(after)));
        }
        newcomer.sent_own = !batch.rows.is_empty();
        if batch.rows.is_empty()
            && let Part::Held(after) = &newcomer.part
        {
            let after = self.held_rows(newcomer, after.clone(), &mut batch, looks, now);
            newcomer.part = after.map_or(Part::Done, |after| Part::Held(Some(after)));
        }
        batch
    }

    /// Adds records of our own; gives back the last one if there are more.
    fn own_rows(
        &self,
        newcomer: &Newcomer,
        after: Option<(DhtId, Tag)>,
        batch: &mut Batch,
        looks: &mut usize,
        now: DhtTime,
    ) -> Option<(DhtId, Tag)> {
        let rows = if after.is_none() { FIRST_ROWS } else { ROWS };
        let first = after.map_or(Bound::Unbounded, Bound::Excluded);
        // Records of one key stand together.
        let mut belongs = None;
        for (place, record) in self.handover.own.range((first, Bound::Unbounded)) {
            if belongs.is_none_or(|(key, _)| key != record.key) {
                // All of them, whatever is left: this is what must not wait.
                *looks = looks.saturating_sub(1);
                belongs = Some((record.key, self.should_hold(&newcomer.contact, &record.key)));
            }
            if belongs.is_some_and(|(_, belongs)| belongs) && record.expiration > now {
                batch.push(&record.key, record.tag.encode(), &record.value, record.expiration);
                if batch.is_full(rows) {
                    return Some(place.clone());
                }
            }
        }
        None
    }

    /// Adds what we hold and are responsible for; gives back where to go on if there may be more.
    fn held_rows(
        &self,
        newcomer: &Newcomer,
        after: Option<(DhtId, Option<Box<[u8]>>)>,
        batch: &mut Batch,
        looks: &mut usize,
        now: DhtTime,
    ) -> Option<(DhtId, Option<Box<[u8]>>)> {
        let rows = if after.is_none() { FIRST_ROWS } else { ROWS };
        let (mut from, mut within) = match after {
            None => (DhtId::MIN, None),
            Some((key, Some(subkey))) => (key, Some(subkey)),
            Some((key, None)) => (key.next()?, None),
        };
        while *looks > 0 {
            *looks -= 1;
            let (key, held) = self.storage.from(from).next()?;
            let within = within.take().filter(|_| *key == from);
            match self.responsibility(&newcomer.contact, key) {
                Responsibility::Ours => match held {
                    Held::Plain(value, expiration) => {
                        if expiration > now && !self.is_own(key, &[]) {
                            batch.push(key, Tag::Plain.encode(), value, expiration);
                        }
                    }
                    Held::Dictionary(entries) => {
                        for entry in entries.after(within.as_deref().unwrap_or_default()) {
                            if entry.expiration() > now && !self.is_own(key, entry.subkey()) {
                                batch.push(key, entry.subkey().to_vec(), entry.value(), entry.expiration());
                            }
                            if batch.is_full(rows) {
                                return Some((*key, Some(entry.subkey().into())));
                            }
                        }
                    }
                },
                Responsibility::Others => {}
                Responsibility::OthersUpTo(last) => {
                    from = last.next()?;
                    continue;
                }
            }
            if batch.is_full(rows) {
                return Some((*key, None));
            }
            from = key.next()?;
        }
        // Begin there again, as if the key before had been finished.
        Some((from.previous()?, None))
    }

    /// Whether our own side has announced this: then it was handed over as that.
    fn is_own(&self, key: &DhtId, subkey: &[u8]) -> bool {
        let own = &self.handover.own;
        let first = own.range((*key, Tag::Plain)..).next();
        let is_ours = first.is_some_and(|((own, _), _)| own == key);
        let tag = if subkey.is_empty() { Ok(Tag::Plain) } else { Tag::decode(subkey) };
        is_ours && tag.is_ok_and(|tag| own.contains_key(&(*key, tag)))
    }

    /// Whether fewer than [`REPLICAS`] other nodes are nearer to `key`.
    fn should_hold(&self, newcomer: &Contact, key: &DhtId) -> bool {
        let nearest = self.table.nearest(key, REPLICAS, Some(&newcomer.id));
        let farthest = nearest.get(REPLICAS - 1);
        farthest.is_none_or(|farthest| newcomer.id.distance(key) < farthest.id.distance(key))
    }

    /// Who is to hand over what lies under `key`: whoever is nearest to it.
    fn responsibility(&self, newcomer: &Contact, key: &DhtId) -> Responsibility {
        let nearest = self.table.nearest(key, 1, Some(&newcomer.id));
        match nearest.first() {
            Some(nearest) if nearest.id.distance(key) < self.id.distance(key) => {
                // If both share as much with us, so do all keys between, and that node is nearer to them too.
                let branch = self.id.distance(key).shared_bits();
                match self.id.distance(&nearest.id).shared_bits() == branch {
                    true => Responsibility::OthersUpTo(key.last_within(branch + 1)),
                    false => Responsibility::Others,
                }
            }
            _ if self.should_hold(newcomer, key) => Responsibility::Ours,
            _ => Responsibility::Others,
        }
    }
}

/// Who hands over the values under a key.
enum Responsibility {
    /// We do, and the newcomer should hold them.
    Ours,
    /// Nobody, or another node.
    Others,
    /// Another node, and for all keys up to this one too.
    OthersUpTo(DhtId),
}
