//! Beam search towards one key: ask the nearest nodes that are known, learn of nearer ones, until the nearest
//! [`BEAM`] have all answered (`hivemind/dht/traverse.py`).

use std::collections::{BTreeMap, HashMap};

use libp2p::PeerId;

use super::{Contact, DhtId, id::Distance, routing::BUCKET_SIZE};

/// How many of the nearest nodes must have answered before a search is over.
pub(super) const BEAM: usize = BUCKET_SIZE;

/// Candidates remembered by one search. Farther ones are forgotten: nearer ones are known by then.
const MAX_CANDIDATES: usize = 4 * BEAM;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Asked,
    Answered,
    Failed,
}

#[derive(Debug)]
struct Candidate {
    contact: Contact,
    state: State,
}

/// One search. A peer is in it once: a node that was restarted with another node id is still named with its old ones by
/// those who have not noticed, and would take as many places as it has had names.
#[derive(Debug)]
pub(super) struct Search {
    target: DhtId,
    /// How many of the nearest nodes must have answered.
    beam: usize,
    /// Nearest first.
    candidates: BTreeMap<Distance, Candidate>,
    /// Where each peer stands.
    places: HashMap<PeerId, Distance>,
}

impl Search {
    pub(super) fn new(target: DhtId, start: impl IntoIterator<Item = Contact>) -> Self {
        let mut search = Self { target, beam: BEAM, candidates: BTreeMap::new(), places: HashMap::new() };
        search.learned(start);
        search
    }

    /// The search is over when so many have answered.
    pub(super) fn narrow(&mut self, beam: usize) {
        self.beam = beam;
    }

    /// Adds nodes that somebody named. A node id keeps the peer that it was first named with; a peer that has not been
    /// asked yet stands where it is said to be nearest, and any other stays where it is.
    pub(super) fn learned(&mut self, contacts: impl IntoIterator<Item = Contact>) {
        for contact in contacts {
            let distance = contact.id.distance(&self.target);
            if self.candidates.contains_key(&distance) {
                continue;
            }
            if let Some(place) = self.places.get(&contact.peer).copied() {
                let is_new = self.candidates.get(&place).is_some_and(|known| known.state == State::New);
                if !is_new || place < distance {
                    continue;
                }
                self.candidates.remove(&place);
            }
            self.places.insert(contact.peer, distance);
            self.candidates.insert(distance, Candidate { contact, state: State::New });
        }
        while self.candidates.len() > MAX_CANDIDATES {
            if let Some((_, forgotten)) = self.candidates.pop_last() {
                self.places.remove(&forgotten.contact.peer);
            }
        }
    }

    /// Nodes within the beam that have not been asked, nearest first.
    pub(super) fn wanted(&self) -> impl Iterator<Item = Contact> {
        self.beam().filter(|candidate| candidate.state == State::New).map(|candidate| candidate.contact)
    }

    /// Whether nobody within the beam is left to ask or to wait for.
    pub(super) fn is_over(&self) -> bool {
        self.beam().all(|candidate| candidate.state == State::Answered)
    }

    /// The nodes that answered, nearest first.
    pub(super) fn found(&self) -> Vec<Contact> {
        self.beam().filter(|candidate| candidate.state == State::Answered).map(|c| c.contact).collect()
    }

    pub(super) fn asked(&mut self, peer: &PeerId) {
        self.set(peer, State::Asked);
    }

    /// `peer` has answered, and says that its node id is `id`: it stands there from now on.
    pub(super) fn answered(&mut self, peer: &PeerId, id: Option<DhtId>) {
        self.set(peer, State::Answered);
        let Some((place, id)) = self.places.get(peer).copied().zip(id) else { return };
        let true_place = id.distance(&self.target);
        // Two peers that claim one node id share it as they were named.
        if !self.candidates.contains_key(&true_place)
            && let Some(mut candidate) = self.candidates.remove(&place)
        {
            candidate.contact.id = id;
            self.candidates.insert(true_place, candidate);
            self.places.insert(*peer, true_place);
        }
    }

    pub(super) fn failed(&mut self, peer: &PeerId) {
        self.set(peer, State::Failed);
    }

    fn set(&mut self, peer: &PeerId, state: State) {
        let candidate = self.places.get(peer).and_then(|place| self.candidates.get_mut(place));
        if let Some(candidate) = candidate {
            candidate.state = state;
        }
    }

    fn beam(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.values().filter(|candidate| candidate.state != State::Failed).take(self.beam)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact(n: u8) -> Contact {
        Contact { id: DhtId::from_bytes(&[n; 20]).unwrap(), peer: PeerId::random() }
    }

    #[test]
    fn the_nearest_are_asked_first_and_failures_make_room() {
        let crowd: Vec<Contact> = (1..=30).map(contact).collect();
        let mut search = Search::new(DhtId::MIN, crowd.iter().rev().copied());
        assert_eq!(search.wanted().collect::<Vec<_>>(), crowd[..BEAM]);
        search.asked(&crowd[0].peer);
        search.failed(&crowd[0].peer);
        assert_eq!(search.wanted().last(), Some(crowd[BEAM]));
        for contact in &crowd[1..=BEAM] {
            assert!(!search.is_over());
            search.asked(&contact.peer);
            search.answered(&contact.peer, Some(contact.id));
        }
        assert!(search.is_over());
        assert_eq!(search.found(), crowd[1..=BEAM]);
    }

    #[test]
    fn a_nearer_node_reopens_the_search() {
        let (far, near) = (contact(9), contact(1));
        let mut search = Search::new(DhtId::MIN, [far]);
        search.answered(&far.peer, Some(far.id));
        assert!(search.is_over());
        search.learned([near]);
        assert!(!search.is_over());
        search.answered(&near.peer, Some(near.id));
        assert_eq!(search.found(), [near, far]);
    }

    #[test]
    fn a_peer_takes_one_place_however_many_names_it_has_had() {
        let (restarted, other) = (contact(3), contact(4));
        let named = |n: u8| Contact { id: contact(n).id, peer: restarted.peer };
        let mut search = Search::new(DhtId::MIN, [named(7), other, named(2), named(9)]);
        assert_eq!(search.wanted().collect::<Vec<_>>(), [named(2), other]);
        search.asked(&restarted.peer);
        search.learned([named(1)]);
        assert_eq!(search.wanted().collect::<Vec<_>>(), [other]);
        // Its answer tells where it really stands.
        search.answered(&restarted.peer, Some(restarted.id));
        search.learned([named(1), named(8)]);
        search.answered(&other.peer, None);
        assert!(search.is_over());
        assert_eq!(search.found(), [restarted, other]);
    }

    #[test]
    fn a_node_id_that_another_peer_holds_is_not_taken_from_it() {
        let (holder, claimant) = (contact(1), contact(5));
        let mut search = Search::new(DhtId::MIN, [holder, claimant]);
        search.answered(&holder.peer, Some(holder.id));
        search.answered(&claimant.peer, Some(holder.id));
        assert_eq!(search.found(), [holder, claimant]);
    }

    #[test]
    fn a_flood_of_names_is_forgotten_from_the_far_end() {
        let mut search = Search::new(DhtId::MIN, []);
        for n in 0..=255 {
            search.learned((0..=255).map(|m| {
                let mut id = [n; 20];
                id[19] = m;
                Contact { id: DhtId::from_bytes(&id).unwrap(), peer: contact(0).peer }
            }));
        }
        assert_eq!(search.candidates.len(), MAX_CANDIDATES);
        assert!(search.beam().all(|candidate| candidate.contact.id.as_bytes()[0] == 0));
    }
}
