//! What others say about a peer, and what it said itself.
//!
//! In Petals' records of blocks a subkey is a peer id: the record is about that peer, and only it knows the truth. The
//! original takes any record from anybody, so one call from anywhere can announce a server OFFLINE, or elsewhere, for as
//! long as a record may live. A caller's peer id is proven by its connection, also through a relay and from another
//! process with the same identity, which allows these rules:
//!
//! - A record that its peer brings itself is *first-hand*. It replaces what others said of it, even what expires later:
//!   who forges a record that outlives the true ones must not silence the peer. Against its own records the usual order
//!   of expirations holds. Records that our own node stores here are first-hand of us.
//! - From anybody else it is *hearsay*, and needed: nodes hand over what they hold to newcomers, whole dictionaries at
//!   once, and leave copies in caches. Hearsay is taken as the original does, with two bounds.
//! - While a first-hand record lives, hearsay with another value that expires later is refused, wherever it was to go. An
//!   honest copy is such only if the peer renewed its record elsewhere and not here, and then it does so again within
//!   minutes. The same value with a later expiration is such a renewal, and is taken.
//!   It says nothing new, and the peer itself still replaces it. Nor may a plain value take the place of a dictionary in
//!   which a first-hand record lives: it would hide it.
//! - Hearsay that changes something is rationed by its sender. The ration lets pass all that a newcomer is handed, and then a trickle; a repetition of what is held costs nothing.
//!
//! What this leaves to an attacker: a peer of whom nothing first-hand lives here can be spoken of. It is not silenced,
//! since its own next word replaces all that. Readers that merge several nodes' answers by expiration may meet a forged
//! one at a node that does not follow these rules.
//!
//! Only a fingerprint of what is first-hand is kept beside the storage, and only while it lives.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher, RandomState},
};

use libp2p::PeerId;

use super::{DhtId, Refusal, Subkey};
use crate::{
    allowance::{Allowances, Rate},
    time::DhtTime,
};

/// Hearsay of one sender. A call brings 4 MiB at most, in which some 50,000 of the smallest records of peers fit, and
/// some 12,000 of Petals; a node of our own kind hands over up to 64,000 in all. Beyond, 50 a second are far more than any
/// cache sends.
const HEARSAY: Rate = Rate { burst: 100_000.0, per_second: 50.0 };

/// Senders whose rations are told apart: more than there are connections.
const SENDERS: usize = 4096;

/// First-hand records that are told apart, 17 bytes each. What comes beyond is held like hearsay.
const MOST_FIRST_HAND: usize = 900_000;

/// How often what has expired is forgotten, in seconds: looking through all of it takes some milliseconds.
const SWEEP_SECONDS: f64 = 60.0;

/// Who brings a record about a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// The record is not about a peer.
    Nobodys,
    /// The peer that it is about.
    FirstHand,
    /// Anybody else.
    Hearsay,
}

/// What is held in the place of a record that comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct InPlace<'a> {
    pub(super) value: &'a [u8],
    pub(super) expiration: DhtTime,
}

/// What was said first-hand and lives, and who spoke how much about others.
#[derive(Debug)]
pub(super) struct Hearsay {
    /// Expirations by the fingerprint of key and subkey.
    first_hand: HashMap<u64, DhtTime>,
    /// The latest of them under each key.
    keys: HashMap<DhtId, DhtTime>,
    senders: Allowances<PeerId>,
    /// Secret, so that nobody can choose subkeys with equal fingerprints.
    fingerprints: RandomState,
    next_sweep: f64,
}

/// Whose voice a record under `subkey` is when `sender` brings it.
pub(super) fn voice(subkey: &Subkey, sender: PeerId) -> Voice {
    match subject(subkey) {
        None => Voice::Nobodys,
        Some(peer) if peer == sender => Voice::FirstHand,
        Some(_) => Voice::Hearsay,
    }
}

/// The peer that a subkey names: its id in base58, as msgpack str.
fn subject(subkey: &Subkey) -> Option<PeerId> {
    // `Qm…` and `12D3Koo…`, in a fixstr or str8: most other subkeys need not be read.
    let likely = matches!(subkey.as_bytes(), [0xd9, _, b'Q' | b'1', ..]);
    subkey.as_text().filter(|_| likely)?.parse().ok()
}

impl Hearsay {
    pub(super) fn new(now: DhtTime) -> Self {
        Self::rationed(HEARSAY, now)
    }

    /// With another ration for each sender.
    pub(super) fn rationed(ration: Rate, now: DhtTime) -> Self {
        let now = now.as_unix();
        Self {
            first_hand: HashMap::new(),
            keys: HashMap::new(),
            senders: Allowances::new(ration, SENDERS, now),
            fingerprints: RandomState::new(),
            next_sweep: now + SWEEP_SECONDS,
        }
    }

    /// Whether `sender` may say this of another peer. `stored` is what the storage holds in the record's place, and
    /// `replaced` when that expires which the record would replace, in the storage or in the cache.
    pub(super) fn admit(
        &mut self,
        (key, subkey): (&DhtId, &Subkey),
        (value, expiration): (&[u8], DhtTime),
        stored: Option<InPlace<'_>>,
        replaced: Option<DhtTime>,
        sender: PeerId,
        now: DhtTime,
    ) -> Result<(), Refusal> {
        if replaced.is_some_and(|replaced| replaced >= expiration) {
            return Err(Refusal::Stale);
        }
        if stored.is_some_and(|stored| self.contradicts((key, subkey), (value, expiration), stored, now)) {
            return Err(Refusal::Contradiction);
        }
        if !self.senders.take(sender, 1.0, now.as_unix()) {
            return Err(Refusal::Hearsay);
        }
        if stored.is_none() {
            // What was first-hand has been dropped for another reason than its age.
            self.first_hand.remove(&self.fingerprint(key, subkey));
        }
        Ok(())
    }

    /// Whether this would outlive, with another value, what is stored in its place and is the peer's own living word.
    pub(super) fn contradicts(
        &self,
        (key, subkey): (&DhtId, &Subkey),
        (value, expiration): (&[u8], DhtTime),
        stored: InPlace<'_>,
        now: DhtTime,
    ) -> bool {
        stored.value != value && stored.expiration < expiration && self.is_first_hand(key, subkey, now)
    }

    /// Whether a plain value may be stored under `key`.
    pub(super) fn admit_plain(&self, key: &DhtId, now: DhtTime) -> Result<(), Refusal> {
        match self.keys.get(key) {
            Some(expiration) if *expiration > now => Err(Refusal::Contradiction),
            _ => Ok(()),
        }
    }

    /// Whether what is held until `held` has to give way to what its peer brings, whatever expires first: it is not the
    /// peer's own last word.
    pub(super) fn yields(&self, key: &DhtId, subkey: &Subkey, held: DhtTime) -> bool {
        self.first_hand.get(&self.fingerprint(key, subkey)) != Some(&held)
    }

    /// Notes that the peer itself brought what is held now.
    pub(super) fn note(&mut self, key: DhtId, subkey: &Subkey, expiration: DhtTime) {
        let fingerprint = self.fingerprint(&key, subkey);
        if self.first_hand.len() >= MOST_FIRST_HAND && !self.first_hand.contains_key(&fingerprint) {
            return;
        }
        self.first_hand.insert(fingerprint, expiration);
        let latest = self.keys.entry(key).or_insert(expiration);
        *latest = expiration.max(*latest);
    }

    /// Forgets what has expired, once in a while.
    pub(super) fn tick(&mut self, now: DhtTime) {
        if now.as_unix() >= self.next_sweep {
            self.next_sweep = now.as_unix() + SWEEP_SECONDS;
            self.first_hand.retain(|_, expiration| *expiration > now);
            self.keys.retain(|_, expiration| *expiration > now);
            // Whoever spoke of very much is not paid for when it is over.
            self.first_hand.shrink_to(2 * self.first_hand.len());
            self.keys.shrink_to(2 * self.keys.len());
        }
    }

    /// The time that is handed in has leapt. What is first-hand stays so, as long as it is held.
    pub(super) fn time_leapt(&mut self, now: DhtTime) {
        self.next_sweep = self.next_sweep.min(now.as_unix() + SWEEP_SECONDS);
    }

    fn is_first_hand(&self, key: &DhtId, subkey: &Subkey, now: DhtTime) -> bool {
        let said = self.first_hand.get(&self.fingerprint(key, subkey));
        said.is_some_and(|expiration| *expiration > now)
    }

    fn fingerprint(&self, key: &DhtId, subkey: &Subkey) -> u64 {
        let mut hasher = self.fingerprints.build_hasher();
        hasher.write(key.as_bytes());
        hasher.write(subkey.as_bytes());
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_has_expired_leaves_no_room_behind() {
        let now = DhtTime::from_unix(1_700_000_000.0).unwrap();
        let mut hearsay = Hearsay::new(now);
        let subkey = Subkey::text("peer");
        for number in 0..10_000u32 {
            let key = DhtId::of_bytes(&number.to_be_bytes());
            hearsay.note(key, &subkey, now + Duration::from_secs(30));
        }
        let capacity = |hearsay: &Hearsay| (hearsay.first_hand.capacity(), hearsay.keys.capacity());
        assert!(capacity(&hearsay) >= (10_000, 10_000));
        hearsay.tick(now + Duration::from_secs(61));
        assert_eq!(capacity(&hearsay), (0, 0));
    }
}
