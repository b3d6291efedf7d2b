//! Who else is in the DHT: Kademlia buckets over node ids (`hivemind/dht/routing.py`, `RoutingTable`).
//!
//! A full bucket splits if it covers our own id, or if its depth is not a multiple of [`DEPTH_MODULO`]; otherwise the
//! newcomer waits as a replacement and the node that was heard of least recently is to be pinged.
//!
//! Differences from the original, each on purpose:
//! - a peer has one entry: when it comes back with another node id, the old one goes;
//! - a node id belongs to the peer that brought it first, until that peer fails: nobody is pushed out by a claim;
//! - replacements are bounded;
//! - a split sends the midpoint to the right half, where it belongs.

mod bucket;

use std::collections::HashMap;

use libp2p::PeerId;

use self::bucket::Bucket;
use super::DhtId;
use crate::time::DhtTime;

/// Kademlia's k: nodes in a bucket, and neighbours in an answer.
pub const BUCKET_SIZE: usize = 20;

/// Kademlia's b: buckets split beyond our own branch until their depth is a multiple of this.
pub const DEPTH_MODULO: usize = 5;

/// A node of the DHT: its place, and the peer at which it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Contact {
    /// Where the node stands in the key space.
    pub id: DhtId,
    /// Whom to call.
    pub peer: PeerId,
}

/// What became of a contact that was shown to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It is a new member of the table.
    Added,
    /// It was a member, and is now the most recently heard of.
    Refreshed,
    /// Its bucket is full: this node should be pinged, and goes if it does not answer.
    Check(Contact),
    /// Its bucket is full of nodes that are being checked already; it waits as a replacement.
    Waiting,
    /// It is ourselves.
    Ourselves,
}

/// The nodes that we know, by distance from us.
#[derive(Debug)]
pub struct RoutingTable {
    own: DhtId,
    /// Ordered by lower bound; together they cover the whole key space.
    buckets: Vec<Bucket>,
    /// Members and replacements, by peer.
    by_peer: HashMap<PeerId, DhtId>,
    /// Members, replacements left out.
    len: usize,
}

impl RoutingTable {
    /// A table for the node `own`, knowing nobody.
    pub fn new(own: DhtId, now: DhtTime) -> Self {
        Self { own, buckets: vec![Bucket::root(now)], by_peer: HashMap::new(), len: 0 }
    }

    /// Notes that `contact` has just called us or answered.
    pub fn heard(&mut self, contact: Contact, now: DhtTime) -> Heard {
        if contact.id == self.own {
            return Heard::Ourselves;
        }
        if self.by_peer.get(&contact.peer).is_some_and(|id| *id != contact.id) {
            self.remove(&contact.peer);
        }
        loop {
            let index = self.bucket_index(&contact.id);
            let bucket = &mut self.buckets[index];
            if bucket.member_under(&contact.id).is_some_and(|holder| holder != contact.peer) {
                return bucket.check_one(&contact.id).map_or(Heard::Waiting, Heard::Check);
            }
            if let Some(holder) = bucket.replacement_under(&contact.id)
                && holder != contact.peer
            {
                // Nobody has asked the one that waits whether it is still there; this one is.
                bucket.remove(&contact.id);
                self.by_peer.remove(&holder);
            }
            match bucket.insert(contact, now) {
                bucket::Inserted::Full if self.may_split(index) => self.split(index, now),
                bucket::Inserted::Full => {
                    let displaced = self.buckets[index].add_replacement(contact, now);
                    self.by_peer.insert(contact.peer, contact.id);
                    if let Some(displaced) = displaced {
                        self.by_peer.remove(&displaced.peer);
                    }
                    return self.buckets[index].check_oldest().map_or(Heard::Waiting, Heard::Check);
                }
                bucket::Inserted::Added => {
                    self.by_peer.insert(contact.peer, contact.id);
                    self.len += 1;
                    return Heard::Added;
                }
                bucket::Inserted::Refreshed => return Heard::Refreshed,
            }
        }
    }

    /// Removes a peer that failed to answer; its replacement, if there is one, takes its place.
    pub fn remove(&mut self, peer: &PeerId) -> bool {
        let Some(id) = self.by_peer.remove(peer) else { return false };
        let index = self.bucket_index(&id);
        let bucket = &mut self.buckets[index];
        let before = bucket.members().len();
        bucket.remove(&id);
        self.len -= before - bucket.members().len();
        true
    }

    /// The node id under which `peer` is known.
    pub fn id_of(&self, peer: &PeerId) -> Option<DhtId> {
        self.by_peer.get(peer).copied()
    }

    /// The `count` members nearest to `target`, nearest first, without `exclude`.
    pub fn nearest(&self, target: &DhtId, count: usize, exclude: Option<&DhtId>) -> Vec<Contact> {
        let mut nearest = Vec::with_capacity(count.min(self.len));
        self.approach(target, 0, self.buckets.len(), 0, &mut |bucket| {
            let members = bucket.members().filter(|contact| Some(&contact.id) != exclude);
            let first = nearest.len();
            nearest.extend(members);
            nearest[first..].sort_unstable_by_key(|contact: &Contact| contact.id.distance(target));
            nearest.truncate(count);
            nearest.len() < count
        });
        nearest
    }

    /// Shows the buckets from `first` to before `end`, which share their first `depth` bits, to `visit`, nearest
    /// first, until it has seen enough. Whoever is in one bucket is nearer than anybody in the next one shown: the
    /// buckets are the leaves of a tree, and at each fork one side is nearer as a whole.
    fn approach(
        &self,
        target: &DhtId,
        first: usize,
        end: usize,
        depth: usize,
        visit: &mut impl FnMut(&Bucket) -> bool,
    ) -> bool {
        if end - first == 1 {
            return visit(&self.buckets[first]);
        }
        let fork = first + self.buckets[first..end].partition_point(|bucket| !bucket.lower().bit(depth));
        let (near, far) = match target.bit(depth) {
            false => ((first, fork), (fork, end)),
            true => ((fork, end), (first, fork)),
        };
        self.approach(target, near.0, near.1, depth + 1, visit)
            && self.approach(target, far.0, far.1, depth + 1, visit)
    }

    /// Every member, in no particular order.
    pub fn members(&self) -> impl Iterator<Item = Contact> {
        self.buckets.iter().flat_map(Bucket::members)
    }

    /// How many members there are, replacements left out.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// For each bucket that nobody was heard of in since `before`: its lower bound and its depth.
    pub fn stale_buckets(&self, before: DhtTime) -> Vec<(DhtId, usize)> {
        let stale = self.buckets.iter().filter(|bucket| bucket.last_heard() < before);
        stale.map(|bucket| (bucket.lower(), bucket.depth())).collect()
    }

    /// Up to `most` members that were not heard of since `before`, at most one of each bucket: the least recent. Each is to be
    /// pinged, and counts as being checked from now on.
    pub fn check_silent(&mut self, before: DhtTime, most: usize) -> Vec<Contact> {
        let silent = self.buckets.iter().enumerate();
        let silent = silent.filter_map(|(index, bucket)| Some((bucket.oldest()?, index)));
        let mut silent: Vec<(DhtTime, usize)> = silent.filter(|(heard, _)| *heard < before).collect();
        silent.sort_unstable();
        silent.truncate(most);
        silent.into_iter().filter_map(|(_, index)| self.buckets[index].check_oldest()).collect()
    }

    /// `contact` cannot be pinged now: it counts as being checked no longer.
    pub fn leave_unchecked(&mut self, contact: &Contact) {
        let index = self.bucket_index(&contact.id);
        self.buckets[index].leave_unchecked(&contact.id);
    }

    /// The time that is handed in has leapt to `now`. Nobody was heard of later than that.
    pub fn time_leapt(&mut self, now: DhtTime) {
        self.buckets.iter_mut().for_each(|bucket| bucket.time_leapt(now));
    }

    fn bucket_index(&self, id: &DhtId) -> usize {
        self.buckets.partition_point(|bucket| bucket.lower() <= *id) - 1
    }

    fn may_split(&self, index: usize) -> bool {
        let bucket = &self.buckets[index];
        let deepest = bucket.depth() >= super::id::ID_BITS;
        !deepest && (self.bucket_index(&self.own) == index || !bucket.depth().is_multiple_of(DEPTH_MODULO))
    }

    fn split(&mut self, index: usize, now: DhtTime) {
        let before = self.buckets[index].members().len();
        let upper = self.buckets[index].split(now);
        self.len += self.buckets[index].members().len() + upper.members().len() - before;
        self.buckets.insert(index + 1, upper);
    }
}

#[cfg(test)]
mod tests;
