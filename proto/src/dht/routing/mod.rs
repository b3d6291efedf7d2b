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
}

impl RoutingTable {
    /// A table for the node `own`, knowing nobody.
    pub fn new(own: DhtId, now: DhtTime) -> Self {
        Self { own, buckets: vec![Bucket::root(now)], by_peer: HashMap::new() }
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
            if let Some(holder) = bucket.peer_of(&contact.id)
                && holder != contact.peer
            {
                return bucket.check_one(&contact.id).map_or(Heard::Waiting, Heard::Check);
            }
            match bucket.insert(contact, now) {
                bucket::Inserted::Full if self.may_split(index) => self.split(index, now),
                bucket::Inserted::Full => {
                    let displaced = self.buckets[index].add_replacement(contact);
                    self.by_peer.insert(contact.peer, contact.id);
                    if let Some(displaced) = displaced {
                        self.by_peer.remove(&displaced.peer);
                    }
                    return self.buckets[index].check_oldest().map_or(Heard::Waiting, Heard::Check);
                }
                bucket::Inserted::Added => {
                    self.by_peer.insert(contact.peer, contact.id);
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
        self.buckets[index].remove(&id);
        true
    }

    /// The node id under which `peer` is known.
    pub fn id_of(&self, peer: &PeerId) -> Option<DhtId> {
        self.by_peer.get(peer).copied()
    }

    /// The `count` members nearest to `target`, nearest first, without `exclude`.
    pub fn nearest(&self, target: &DhtId, count: usize, exclude: Option<&DhtId>) -> Vec<Contact> {
        let members = self.members().filter(|contact| Some(&contact.id) != exclude);
        let mut nearest: Vec<Contact> = members.collect();
        if count < nearest.len() {
            nearest.select_nth_unstable_by_key(count, |contact| contact.id.distance(target));
            nearest.truncate(count);
        }
        nearest.sort_unstable_by_key(|contact| contact.id.distance(target));
        nearest
    }

    /// Every member, in no particular order.
    pub fn members(&self) -> impl Iterator<Item = Contact> {
        self.buckets.iter().flat_map(Bucket::members)
    }

    /// How many members there are, replacements left out.
    pub fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.members().len()).sum()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.members().len() == 0)
    }

    /// For each bucket that nobody was heard of in since `before`: its lower bound and its depth.
    pub fn stale_buckets(&self, before: DhtTime) -> Vec<(DhtId, usize)> {
        let stale = self.buckets.iter().filter(|bucket| bucket.last_heard() < before);
        stale.map(|bucket| (bucket.lower(), bucket.depth())).collect()
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
        let upper = self.buckets[index].split(now);
        self.buckets.insert(index + 1, upper);
    }
}

#[cfg(test)]
mod tests;
