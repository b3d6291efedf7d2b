//! A search for all keys of a swarm at once, by somebody who wants to see everything: thousands of keys, and in the end
//! every node.
//!
//! A [`super::lookup`] knows whom it was told of for each key. Here whoever is heard of for one key counts for all: a node
//! is asked once, for all keys that it is among the nearest to. Where there are as many nodes as keys, that makes a call
//! or two of what would otherwise be one for each key and each of its nearest nodes.
//!
//! Fact: a record is at the [`super::REPLICAS`] nodes nearest to its key (`hivemind/dht/node.py`, `store_many`).

use std::collections::HashMap;

use libp2p::PeerId;

use super::{Contact, DhtId, id::Distance, lookup::KEYS_PER_CALL};

/// Nodes that are remembered. Beyond, whoever is named is not heard of: a swarm that large is not seen whole.
const MOST_NODES: usize = 20_000;

/// Calls of one node under way at once.
const CALLS_A_NODE: usize = 2;

/// A node that has answered before is given up after so many failures in a row.
const STRIKES: u32 = 3;

/// A sweep under way. Whoever drives it makes the calls of [`Sweep::next_call`], and reports the end of each.
#[derive(Debug)]
pub struct Sweep {
    own: PeerId,
    /// Nodes nearest to a key that are asked for it.
    breadth: usize,
    keys: Vec<Key>,
    by_id: HashMap<DhtId, usize>,
    nodes: Vec<Member>,
    by_peer: HashMap<PeerId, usize>,
}

#[derive(Debug)]
struct Key {
    id: DhtId,
    head: u64,
    /// The nearest nodes that have not failed, nearest first.
    nearest: Vec<(Distance, usize)>,
    asked: Vec<usize>,
}

#[derive(Debug)]
struct Member {
    contact: Contact,
    failed: bool,
    answered: bool,
    /// Failures in a row.
    strikes: u32,
    calls: usize,
    keys_a_call: usize,
    /// Keys for which it may have to be asked.
    wishes: Vec<usize>,
}

/// The first bytes, by which most comparisons are decided.
fn head(id: &DhtId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *id.as_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl Sweep {
    /// A search for `keys` by `own`, who is a client, at the `breadth` nodes nearest to each; it begins with `known`.
    pub fn new(
        own: PeerId,
        keys: impl IntoIterator<Item = DhtId>,
        breadth: usize,
        known: impl IntoIterator<Item = Contact>,
    ) -> Self {
        let key = |id| Key { id, head: head(&id), nearest: Vec::new(), asked: Vec::new() };
        let mut by_id = HashMap::new();
        let mut all = Vec::new();
        for id in keys {
            by_id.entry(id).or_insert_with(|| {
                all.push(key(id));
                all.len() - 1
            });
        }
        let (nodes, by_peer) = (Vec::new(), HashMap::new());
        let mut sweep = Self { own, breadth: breadth.max(1), keys: all, by_id, nodes, by_peer };
        known.into_iter().for_each(|contact| sweep.learned(contact));
        sweep
    }

    /// The next call to make: the node that most keys wait for, and those keys.
    pub fn next_call(&mut self) -> Option<(PeerId, Vec<DhtId>)> {
        loop {
            let is_free =
                |node: &Member| !node.failed && node.calls < CALLS_A_NODE && !node.wishes.is_empty();
            let free = (0..self.nodes.len()).filter(|node| is_free(&self.nodes[*node]));
            let node = free.max_by_key(|node| self.nodes[*node].wishes.len())?;
            let mut keys = Vec::new();
            while keys.len() < self.nodes[node].keys_a_call
                && let Some(key) = self.nodes[node].wishes.pop()
            {
                let search = &mut self.keys[key];
                let wanted = search.nearest.iter().any(|(_, near)| *near == node);
                if wanted && !search.asked.contains(&node) {
                    search.asked.push(node);
                    keys.push(search.id);
                }
            }
            if !keys.is_empty() {
                self.nodes[node].calls += 1;
                return Some((self.nodes[node].contact.peer, keys));
            }
        }
    }

    /// Notes that a call was answered by `peer`, who says that its node id is `sender`, and names `neighbours`.
    pub fn answered(
        &mut self,
        peer: &PeerId,
        sender: Option<DhtId>,
        neighbours: impl IntoIterator<Item = Contact>,
    ) {
        if let Some(&node) = self.by_peer.get(peer) {
            let member = &mut self.nodes[node];
            member.calls = member.calls.saturating_sub(1);
            (member.answered, member.strikes) = (true, 0);
            if let Some(id) = sender.filter(|id| *id != member.contact.id) {
                member.contact.id = id;
                self.vacate(node);
                self.place(node);
            }
        }
        neighbours.into_iter().for_each(|contact| self.learned(contact));
    }

    /// Notes that a call failed. A node that has answered before may have been asked for more than fits into an answer:
    /// it is asked again, for fewer keys at a time.
    pub fn failed(&mut self, peer: &PeerId, keys: &[DhtId]) {
        let Some(&node) = self.by_peer.get(peer) else { return };
        let member = &mut self.nodes[node];
        member.calls = member.calls.saturating_sub(1);
        member.strikes += 1;
        if !member.answered || member.strikes > STRIKES {
            member.failed = true;
            member.wishes = Vec::new();
            return self.vacate(node);
        }
        if let [_, _, ..] = keys {
            member.keys_a_call = (keys.len() / 2).min(member.keys_a_call);
            for key in keys.iter().filter_map(|key| self.by_id.get(key)) {
                self.keys[*key].asked.retain(|asked| *asked != node);
                self.nodes[node].wishes.push(*key);
            }
        }
    }

    /// Every node that has not failed.
    pub fn contacts(&self) -> impl Iterator<Item = Contact> {
        self.nodes.iter().filter(|node| !node.failed).map(|node| node.contact)
    }

    /// How many nodes have answered.
    pub fn answers(&self) -> usize {
        self.nodes.iter().filter(|node| node.answered).count()
    }

    /// Whether a call to `peer` is under way.
    pub fn is_calling(&self, peer: &PeerId) -> bool {
        self.by_peer.get(peer).is_some_and(|node| self.nodes[*node].calls > 0)
    }

    fn learned(&mut self, contact: Contact) {
        if contact.peer == self.own || self.nodes.len() >= MOST_NODES {
            return;
        }
        let node = self.nodes.len();
        if *self.by_peer.entry(contact.peer).or_insert(node) == node {
            self.nodes.push(Member {
                contact,
                failed: false,
                answered: false,
                strikes: 0,
                calls: 0,
                keys_a_call: KEYS_PER_CALL,
                wishes: Vec::new(),
            });
            self.place(node);
        }
    }

    /// Lets a node be asked for the keys that it is near to.
    fn place(&mut self, node: usize) {
        let id = self.nodes[node].contact.id;
        let own_head = head(&id);
        for (index, key) in self.keys.iter_mut().enumerate() {
            let is_full = key.nearest.len() >= self.breadth;
            if is_full && key.nearest.last().is_some_and(|(last, _)| last.head() < (own_head ^ key.head)) {
                continue;
            }
            let distance = id.distance(&key.id);
            let at = key.nearest.partition_point(|(nearer, _)| *nearer < distance);
            if at < self.breadth {
                key.nearest.insert(at, (distance, node));
                key.nearest.truncate(self.breadth);
                self.nodes[node].wishes.push(index);
            }
        }
    }

    /// Takes a node out wherever it was near, and lets the next one in.
    fn vacate(&mut self, node: usize) {
        for index in 0..self.keys.len() {
            let before = self.keys[index].nearest.len();
            self.keys[index].nearest.retain(|(_, near)| *near != node);
            if self.keys[index].nearest.len() < before {
                self.refill(index, node);
            }
        }
    }

    fn refill(&mut self, index: usize, gone: usize) {
        let key = &self.keys[index];
        let next = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(node, member)| !member.failed && *node != gone)
            .filter(|(node, _)| key.nearest.iter().all(|(_, near)| near != node))
            .map(|(node, member)| (member.contact.id.distance(&key.id), node))
            .min();
        if let Some((distance, node)) = next {
            let key = &mut self.keys[index];
            let at = key.nearest.partition_point(|(nearer, _)| *nearer < distance);
            key.nearest.insert(at, (distance, node));
            self.nodes[node].wishes.push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::{SeedableRng, rngs::SmallRng};

    use super::*;

    const BREADTH: usize = 8;

    /// Nodes of which each knows those nearest to any key, and some that are gone.
    struct Swarm {
        nodes: Vec<Contact>,
        gone: HashSet<PeerId>,
    }

    impl Swarm {
        fn of(size: usize, gone: usize) -> Self {
            let mut rng = SmallRng::seed_from_u64(7);
            let contact = |_| Contact { id: DhtId::random(&mut rng), peer: PeerId::random() };
            let nodes: Vec<Contact> = (0..size).map(contact).collect();
            let gone = nodes[1..=gone].iter().map(|node| node.peer).collect();
            Self { nodes, gone }
        }

        fn nearest(&self, key: &DhtId, count: usize) -> Vec<Contact> {
            let mut nodes = self.nodes.clone();
            nodes.sort_by_key(|node| node.id.distance(key));
            nodes.truncate(count);
            nodes
        }

        /// Sweeps, and tells who was asked for what, and in how many calls.
        fn sweep(&self, sweep: &mut Sweep) -> (HashMap<DhtId, HashSet<PeerId>>, usize) {
            let (mut asked, mut calls) = (HashMap::<DhtId, HashSet<PeerId>>::new(), 0);
            while let Some((peer, keys)) = sweep.next_call() {
                calls += 1;
                if self.gone.contains(&peer) {
                    sweep.failed(&peer, &keys);
                    continue;
                }
                assert!(keys.len() <= KEYS_PER_CALL);
                for key in &keys {
                    assert!(asked.entry(*key).or_default().insert(peer), "asked twice");
                }
                let named: Vec<Contact> = keys.iter().flat_map(|key| self.nearest(key, 20)).collect();
                let id = self.nodes.iter().find(|node| node.peer == peer).map(|node| node.id);
                sweep.answered(&peer, id, named);
            }
            (asked, calls)
        }
    }

    fn keys(count: usize) -> Vec<DhtId> {
        (0..count).map(|key| DhtId::of_text(&format!("model.{key}"))).collect()
    }

    #[test]
    fn every_key_is_asked_for_at_its_nearest_living_nodes() {
        let swarm = Swarm::of(120, 20);
        let keys = keys(60);
        let mut sweep = Sweep::new(PeerId::random(), keys.clone(), BREADTH, [swarm.nodes[0]]);
        let (asked, calls) = swarm.sweep(&mut sweep);
        for key in &keys {
            let living = swarm.nearest(key, 120).into_iter().map(|node| node.peer);
            let living: Vec<_> = living.filter(|peer| !swarm.gone.contains(peer)).take(BREADTH).collect();
            assert!(living.iter().all(|peer| asked[key].contains(peer)), "{key:?}");
        }
        // Far fewer than a call for each key and node.
        assert!(calls < 60 * BREADTH / 2, "{calls} calls");
    }

    #[test]
    fn answers_that_do_not_fit_are_asked_for_in_parts() {
        let node = Contact { id: DhtId::MIN, peer: PeerId::random() };
        let mut sweep = Sweep::new(PeerId::random(), keys(80), BREADTH, [node]);
        let (mut found, mut calls) = (HashSet::new(), 0);
        while let Some((peer, keys)) = sweep.next_call() {
            calls += 1;
            match keys.len() > 4 && calls > 1 {
                true => sweep.failed(&peer, &keys),
                false => {
                    found.extend(keys);
                    sweep.answered(&peer, Some(node.id), []);
                }
            }
        }
        assert_eq!(found.len(), 80, "in {calls} calls");
    }

    #[test]
    fn who_stands_elsewhere_than_was_said_is_asked_for_what_is_near_there() {
        let key = keys(1)[0];
        let (liar, other) = (PeerId::random(), Contact { id: key, peer: PeerId::random() });
        let named = Contact { id: DhtId::MIN, peer: liar };
        let mut sweep = Sweep::new(PeerId::random(), [key], 1, [named]);
        assert_eq!(sweep.next_call(), Some((liar, vec![key])));
        sweep.answered(&liar, Some(DhtId::MIN.with_bit(0)), [other]);
        assert_eq!(sweep.next_call(), Some((other.peer, vec![key])));
        sweep.answered(&other.peer, Some(key), [Contact { id: key, peer: sweep.own }]);
        assert_eq!(sweep.next_call(), None);
        assert_eq!(sweep.answers(), 2);
    }
}
