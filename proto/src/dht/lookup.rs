//! Many searches at once: whoever is nearest to several keys is asked for all of them in one call.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::RangeInclusive,
};

use libp2p::PeerId;

use super::{
    Contact, DhtId, Dictionary, FindResult, FoundValue, Item, Refusal, Subkey, Tag, dictionary,
    search::Search, validators::Claim, value,
};
use crate::{msgpack, time::DhtTime};

/// Keys in one call. An answer brings up to 20 neighbours and a value for each key, and must stay below a Python
/// peer's largest message, 4 MiB: 32 keys leave 128 KiB to each.
pub(super) const KEYS_PER_CALL: usize = 32;

/// Calls of one lookup under way at once, those left out that are slow: one for each key, within these bounds. In a swarm
/// of ten thousand nodes each key has its own twenty to ask, and 80 keys take more than a thousand calls: eight at a time
/// would go on far beyond the deadline of the task.
const CALLS_AT_ONCE: RangeInclusive<usize> = 8..=32;

/// Calls of one lookup under way at once, slow ones included. A table of which most has departed is gone through by
/// so many at a time.
const MAX_CALLS_AT_ONCE: usize = 64;

/// What a lookup found for one key.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The freshest value, dictionaries merged from all who answered.
    pub value: Option<FreshValue>,
    /// The nodes nearest to the key that answered, nearest first; ourselves left out.
    pub nearest: Vec<Contact>,
}

/// A value that is still alive.
#[derive(Debug, Clone, PartialEq)]
pub enum FreshValue {
    /// One value.
    Plain(Item),
    /// Entries by subkey.
    Dictionary(Dictionary),
}

/// A lookup under way.
#[derive(Debug)]
pub(super) struct Lookup {
    searches: BTreeMap<DhtId, Search>,
    values: HashMap<DhtId, FreshValue>,
    /// Who brought a value for each key.
    holders: HashMap<DhtId, HashSet<PeerId>>,
    /// A value that lives until then ends the search for its key.
    sufficient: Option<DhtTime>,
    /// Calls under way.
    calls: usize,
    /// How many of them are slow.
    slow: usize,
}

impl Lookup {
    /// Searches from the contacts that `start` names for each key.
    pub(super) fn new(
        keys: impl IntoIterator<Item = DhtId>,
        mut start: impl FnMut(&DhtId) -> Vec<Contact>,
    ) -> Self {
        let searches = keys.into_iter().map(|key| (key, Search::new(key, start(&key)))).collect();
        Self {
            searches,
            values: HashMap::new(),
            holders: HashMap::new(),
            sufficient: None,
            calls: 0,
            slow: 0,
        }
    }

    /// The search for a key ends with the first value that lives until `sufficient`.
    pub(super) fn until(mut self, sufficient: DhtTime) -> Self {
        self.sufficient = Some(sufficient);
        self
    }

    /// The search for a key is over when so many of the nearest nodes have answered.
    pub(super) fn narrow(&mut self, key: &DhtId, beam: usize) {
        if let Some(search) = self.searches.get_mut(key) {
            search.narrow(beam);
        }
    }

    fn is_satisfied(&self, key: &DhtId) -> bool {
        let value = self.values.get(key).and_then(FreshValue::expiration);
        self.sufficient.zip(value).is_some_and(|(sufficient, value)| value >= sufficient)
    }

    /// The next call to make: the peer that most searches wait for, and the keys to ask it for.
    pub(super) fn next_call(&mut self) -> Option<(PeerId, Vec<DhtId>)> {
        let at_once = self.searches.len().clamp(*CALLS_AT_ONCE.start(), *CALLS_AT_ONCE.end());
        if self.calls - self.slow >= at_once || self.calls >= MAX_CALLS_AT_ONCE {
            return None;
        }
        let mut wishes: HashMap<PeerId, Vec<DhtId>> = HashMap::new();
        for (key, search) in self.searches.iter().filter(|(key, _)| !self.is_satisfied(key)) {
            for contact in search.wanted() {
                wishes.entry(contact.peer).or_default().push(*key);
            }
        }
        // Ties go to the lower peer id, so that a simulation can be run again.
        let (peer, mut keys) =
            wishes.into_iter().max_by(|a, b| a.1.len().cmp(&b.1.len()).then(b.0.cmp(&a.0)))?;
        keys.truncate(KEYS_PER_CALL);
        for key in &keys {
            if let Some(search) = self.searches.get_mut(key) {
                search.asked(&peer);
            }
        }
        self.calls += 1;
        Some((peer, keys))
    }

    /// Takes in an answer of `peer`, whose node id is `sender` unless it is a client. `usable` says which of the named
    /// neighbours may be asked, `valid` which values count.
    #[expect(clippy::too_many_arguments, reason = "an answer, and the three things that judge it")]
    pub(super) fn answered(
        &mut self,
        peer: &PeerId,
        sender: Option<DhtId>,
        keys: &[DhtId],
        results: Vec<FindResult>,
        now: DhtTime,
        usable: impl Fn(&Contact) -> bool,
        mut valid: impl FnMut(&Claim<'_>) -> bool,
    ) {
        self.ended();
        for (key, result) in keys.iter().zip(results) {
            if let Some(search) = self.searches.get_mut(key) {
                search.answered(peer, sender);
                search.learned(result.neighbours.into_iter().filter(&usable));
            }
            if let Some(value) = result.value.and_then(|value| fresh(key, value, now, &mut valid).ok()) {
                self.holders.entry(*key).or_default().insert(*peer);
                self.offer(*key, value);
            }
        }
    }

    /// Notes that a call failed: nobody waits for that peer any longer.
    pub(super) fn failed(&mut self, peer: &PeerId) {
        self.ended();
        self.searches.values_mut().for_each(|search| search.failed(peer));
    }

    fn ended(&mut self) {
        self.calls -= 1;
        self.slow = self.slow.min(self.calls);
    }

    /// All calls that are under way are slow; whether there are any.
    pub(super) fn hurry(&mut self) -> bool {
        self.slow = self.calls;
        self.calls > 0
    }

    /// Takes a value into account, wherever it comes from.
    pub(super) fn offer(&mut self, key: DhtId, value: FreshValue) {
        match (self.values.get_mut(&key), value) {
            (Some(FreshValue::Dictionary(held)), FreshValue::Dictionary(new)) => {
                new.iter().for_each(|(subkey, item)| held.merge(subkey.clone(), item.clone()));
            }
            (Some(held), new) if new.expiration() <= held.expiration() => {}
            (_, new) => drop(self.values.insert(key, new)),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        match self.sufficient {
            None => self.calls == 0 && self.searches.values().all(Search::is_over),
            // Nobody waits for what is not needed any more.
            Some(_) => self.searches.iter().all(|(key, search)| search.is_over() || self.is_satisfied(key)),
        }
    }

    /// The values that were found.
    pub(super) fn values(&self) -> impl Iterator<Item = (&DhtId, &FreshValue)> {
        self.values.iter()
    }

    /// The nodes that answered without a value for `key`, nearest first.
    pub(super) fn lacking(&self, key: &DhtId) -> impl Iterator<Item = PeerId> {
        let found = self.searches.get(key).map(Search::found).unwrap_or_default();
        let holders = self.holders.get(key);
        let lacks = move |peer: &PeerId| holders.is_none_or(|holders| !holders.contains(peer));
        found.into_iter().map(|contact| contact.peer).filter(lacks)
    }

    /// What was found, by key. A lookup may be ended before it is over.
    pub(super) fn finish(mut self) -> HashMap<DhtId, Found> {
        let found = |(key, search): (DhtId, Search)| {
            (key, Found { value: self.values.remove(&key), nearest: search.found() })
        };
        self.searches.into_iter().map(found).collect()
    }
}

impl FreshValue {
    /// When the last of it expires.
    pub fn expiration(&self) -> Option<DhtTime> {
        match self {
            Self::Plain(item) => Some(item.expiration),
            Self::Dictionary(dictionary) => dictionary.expiration(),
        }
    }
}

/// Checks a value that a peer sent: well-formed, finite, still alive, and valid. Entries that are not are left out.
fn fresh(
    key: &DhtId,
    value: FoundValue,
    now: DhtTime,
    mut valid: impl FnMut(&Claim<'_>) -> bool,
) -> Result<FreshValue, Refusal> {
    let key = key.as_bytes();
    match value {
        FoundValue::Plain(bytes, expiration) => {
            let expiration = DhtTime::from_unix(expiration).ok_or(Refusal::NotFinite)?;
            if expiration < now {
                return Err(Refusal::Expired);
            }
            if !value::is_readable(&bytes) {
                return Err(Refusal::Malformed);
            }
            let claim = Claim { key, subkey: &msgpack::NIL, value: &bytes, expiration: expiration.as_unix() };
            if !valid(&claim) {
                return Err(Refusal::BadSignature);
            }
            Ok(FreshValue::Plain(Item { value: bytes.into(), expiration }))
        }
        FoundValue::Dictionary(bytes, _) => {
            let items = dictionary::decode(&bytes, usize::MAX).map_err(|_| Refusal::Malformed)?;
            let mut fresh = Dictionary::default();
            for item in items.into_iter().filter(|item| value::is_readable(item.value)) {
                let claim = Claim {
                    key,
                    subkey: item.subkey.as_bytes(),
                    value: item.value,
                    expiration: item.expiration,
                };
                if let Some(expiration) = DhtTime::from_unix(item.expiration).filter(|at| *at >= now)
                    && valid(&claim)
                {
                    fresh.merge(item.subkey, Item { value: item.value.into(), expiration });
                }
            }
            if fresh.is_empty() { Err(Refusal::Expired) } else { Ok(FreshValue::Dictionary(fresh)) }
        }
    }
}

impl Found {
    /// What stands where a record with this tag belongs. A plain value in place of a dictionary counts: it keeps every
    /// subkey out until it expires.
    pub fn in_place_of(&self, tag: &Tag) -> Option<&Item> {
        match (&self.value, tag) {
            (Some(FreshValue::Plain(item)), _) => Some(item),
            (_, Tag::Subkey(subkey)) => self.subkey(subkey),
            (_, Tag::Plain | Tag::Dictionary) => None,
        }
    }

    /// The entry under `subkey`, if the key holds a dictionary with it.
    pub fn subkey(&self, subkey: &Subkey) -> Option<&Item> {
        match &self.value {
            Some(FreshValue::Dictionary(dictionary)) => dictionary.get(subkey),
            _ => None,
        }
    }
}
