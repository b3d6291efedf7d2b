//! The table against a slow, obvious model of itself.

use proptest::prelude::*;
use rand::{SeedableRng, rngs::SmallRng};

use super::*;

#[derive(Debug, Clone, PartialEq)]
struct Seen {
    contact: Contact,
    heard: u32,
    checking: bool,
}

/// A bucket by the bits that its ids begin with.
#[derive(Debug, Clone, Default)]
struct Leaf {
    prefix: Vec<bool>,
    members: Vec<Seen>,
    waiting: Vec<Seen>,
}

struct Model {
    own: DhtId,
    leaves: Vec<Leaf>,
}

fn covers(prefix: &[bool], id: &DhtId) -> bool {
    prefix.iter().enumerate().all(|(index, bit)| id.bit(index) == *bit)
}

impl Model {
    fn heard(&mut self, contact: Contact, now: u32) -> Heard {
        if contact.id == self.own {
            return Heard::Ourselves;
        }
        self.drop_peer(contact.peer, Some(contact.id));
        loop {
            let own = self.own;
            let leaf = self.leaves.iter_mut().find(|leaf| covers(&leaf.prefix, &contact.id)).unwrap();
            let seen = Seen { contact, heard: now, checking: false };
            if let Some(member) = leaf.members.iter_mut().find(|member| member.contact.id == contact.id) {
                if member.contact.peer != contact.peer {
                    return match std::mem::replace(&mut member.checking, true) {
                        true => Heard::Waiting,
                        false => Heard::Check(member.contact),
                    };
                }
                leaf.members.retain(|member| member.contact != contact);
                leaf.members.push(seen);
                return Heard::Refreshed;
            }
            leaf.waiting.retain(|waiting| waiting.contact.id != contact.id);
            if leaf.members.len() < BUCKET_SIZE {
                leaf.members.push(seen);
                return Heard::Added;
            }
            if covers(&leaf.prefix, &own) || leaf.prefix.len() % DEPTH_MODULO != 0 {
                let whole = leaf.clone();
                self.leaves.retain(|leaf| leaf.prefix != whole.prefix);
                for bit in [false, true] {
                    let prefix = [&whole.prefix[..], &[bit]].concat();
                    let pick = |seen: &[Seen]| -> Vec<Seen> {
                        seen.iter().filter(|seen| covers(&prefix, &seen.contact.id)).cloned().collect()
                    };
                    let mut half =
                        Leaf { members: pick(&whole.members), waiting: pick(&whole.waiting), prefix };
                    half.fill();
                    self.leaves.push(half);
                }
                continue;
            }
            leaf.waiting.push(seen);
            if leaf.waiting.len() > BUCKET_SIZE {
                leaf.waiting.remove(0);
            }
            return match leaf.members.iter_mut().find(|member| !member.checking) {
                Some(oldest) => {
                    oldest.checking = true;
                    Heard::Check(oldest.contact)
                }
                None => Heard::Waiting,
            };
        }
    }

    /// Forgets `peer`, unless it is known under `unless`.
    fn drop_peer(&mut self, peer: PeerId, unless: Option<DhtId>) {
        let gone = |seen: &Seen| seen.contact.peer == peer && Some(seen.contact.id) != unless;
        for leaf in &mut self.leaves {
            leaf.waiting.retain(|seen| !gone(seen));
            let before = leaf.members.len();
            leaf.members.retain(|seen| !gone(seen));
            if leaf.members.len() < before {
                leaf.fill();
            }
        }
    }
}

impl Leaf {
    /// The most recent of those that wait take the free places.
    fn fill(&mut self) {
        while self.members.len() < BUCKET_SIZE
            && let Some(seen) = self.waiting.pop()
        {
            self.members.push(seen);
            // Stable: of two that were heard of at once, the earlier member stays ahead.
            self.members.sort_by_key(|seen| seen.heard);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Heard { id: u64, peer: u64 },
    Failed { peer: u64 },
}

/// Few enough peers that most of them are known, with ids that crowd around our own, where the buckets are deep.
fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..600u64).prop_map(|n| Step::Heard { id: n, peer: n }),
        1 => (0..600u64, 0..600u64).prop_map(|(id, peer)| Step::Heard { id, peer }),
        4 => (0..600u64).prop_map(|peer| Step::Failed { peer }),
    ]
}

fn id(n: u64) -> DhtId {
    let shared = usize::try_from(n % 9).unwrap();
    own().random_within(shared, &mut SmallRng::seed_from_u64(n))
}

fn own() -> DhtId {
    DhtId::of_bytes(b"own")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn agrees_with_the_obvious_model(
        steps in prop::collection::vec(step(), 0..900),
        targets in prop::collection::vec((any::<u64>(), 0..45usize), 8),
    ) {
        let mut table = table();
        let mut model = Model { own: own(), leaves: vec![Leaf::default()] };
        for (clock, step) in steps.into_iter().enumerate() {
            let moment = now() + std::time::Duration::from_secs(clock as u64 / 3);
            match step {
                Step::Heard { id: n, peer: p } => {
                    let contact = Contact { id: id(n), peer: peer(p) };
                    prop_assert_eq!(table.heard(contact, moment), model.heard(contact, clock as u32 / 3));
                }
                Step::Failed { peer: p } => {
                    table.remove(&peer(p));
                    model.drop_peer(peer(p), None);
                }
            }
        }
        let everybody = |pick: fn(&Leaf) -> &Vec<Seen>| -> Vec<Contact> {
            model.leaves.iter().flat_map(|leaf| pick(leaf).iter().map(|seen| seen.contact)).collect()
        };
        let mut members = everybody(|leaf| &leaf.members);
        let waiting = everybody(|leaf| &leaf.waiting);
        prop_assert_eq!((table.len(), table.buckets.len()), (members.len(), model.leaves.len()));
        prop_assert_eq!(table.by_peer.len(), members.len() + waiting.len());
        for contact in members.iter().chain(&waiting) {
            prop_assert_eq!(table.id_of(&contact.peer), Some(contact.id));
        }
        for (seed, count) in targets {
            let target = id(seed);
            members.sort_by_key(|contact| contact.id.distance(&target));
            let exclude = members.get(seed as usize % 7).map(|contact| contact.id);
            let expected = members.iter().filter(|contact| Some(contact.id) != exclude).take(count);
            let expected: Vec<Contact> = expected.copied().collect();
            prop_assert_eq!(table.nearest(&target, count, exclude.as_ref()), expected);
        }
    }
}
