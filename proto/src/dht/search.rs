//! Beam search towards one key: ask the nearest nodes that are known, learn of nearer ones, until the nearest
//! [`BEAM`] have all answered (`hivemind/dht/traverse.py`).

use std::collections::BTreeMap;

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

/// One search.
#[derive(Debug)]
pub(super) struct Search {
    target: DhtId,
    /// Nearest first.
    candidates: BTreeMap<Distance, Candidate>,
}

impl Search {
    pub(super) fn new(target: DhtId, start: impl IntoIterator<Item = Contact>) -> Self {
        let mut search = Self { target, candidates: BTreeMap::new() };
        search.learned(start);
        search
    }

    /// Adds nodes that somebody named. A node id keeps the peer that it was first named with.
    pub(super) fn learned(&mut self, contacts: impl IntoIterator<Item = Contact>) {
        for contact in contacts {
            let distance = contact.id.distance(&self.target);
            self.candidates.entry(distance).or_insert(Candidate { contact, state: State::New });
        }
        while self.candidates.len() > MAX_CANDIDATES {
            self.candidates.pop_last();
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

    pub(super) fn answered(&mut self, peer: &PeerId) {
        self.set(peer, State::Answered);
    }

    pub(super) fn failed(&mut self, peer: &PeerId) {
        self.set(peer, State::Failed);
    }

    fn set(&mut self, peer: &PeerId, state: State) {
        // The same peer may have been named with several node ids; one answer of it stands for all of them.
        for candidate in self.candidates.values_mut().filter(|candidate| candidate.contact.peer == *peer) {
            candidate.state = state;
        }
    }

    fn beam(&self) -> impl Iterator<Item = &Candidate> {
        self.candidates.values().filter(|candidate| candidate.state != State::Failed).take(BEAM)
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
            search.answered(&contact.peer);
        }
        assert!(search.is_over());
        assert_eq!(search.found(), crowd[1..=BEAM]);
    }

    #[test]
    fn a_nearer_node_reopens_the_search() {
        let (far, near) = (contact(9), contact(1));
        let mut search = Search::new(DhtId::MIN, [far]);
        search.answered(&far.peer);
        assert!(search.is_over());
        search.learned([near]);
        assert!(!search.is_over());
        search.answered(&near.peer);
        assert_eq!(search.found(), [near, far]);
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
