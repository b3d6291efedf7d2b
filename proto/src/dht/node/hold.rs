//! Taking in what is to be held: rows that others bring, and records of our own side.

use libp2p::PeerId;

use super::Node;
use crate::{
    dht::{
        DhtId, Held, Item, Refusal, Row, Storage, Subkey, Tag, dictionary,
        hearsay::{InPlace, Voice, voice},
        validators::{Claim, Occasion},
        value,
    },
    msgpack,
    time::DhtTime,
};

impl Node {
    /// Stores a row that `sender` brings, and counts what became of it. A whole dictionary is held if every subkey of
    /// it is.
    pub(super) fn hold(&mut self, row: &Row, sender: PeerId, now: DhtTime) -> bool {
        let count = |node: &mut Self, outcome: Result<(), Refusal>| {
            match outcome {
                Ok(()) => node.counters.rows_stored += 1,
                Err(refusal) => node.counters.rows_refused.count(refusal),
            }
            outcome.is_ok()
        };
        let (Some(key), Ok(tag)) = (DhtId::from_bytes(&row.key), Tag::decode(&row.tag)) else {
            return count(self, Err(Refusal::Malformed));
        };
        if tag == Tag::Dictionary {
            let max_subkeys = if row.in_cache { &self.cache } else { &self.storage }.max_subkeys();
            let Ok(items) = dictionary::decode(&row.value, max_subkeys) else {
                return count(self, Err(Refusal::Malformed));
            };
            let mut every = true;
            for item in items {
                let record = Incoming {
                    key,
                    subkey: Some(item.subkey),
                    value: item.value,
                    expiration: item.expiration,
                    in_cache: row.in_cache,
                    sender,
                };
                let outcome = self.hold_record(record, now);
                every &= count(self, outcome);
            }
            return every;
        }
        let subkey = match tag {
            Tag::Subkey(subkey) => Some(subkey),
            Tag::Plain | Tag::Dictionary => None,
        };
        let (value, expiration, in_cache) = (&row.value[..], row.expiration, row.in_cache);
        let outcome = self.hold_record(Incoming { key, subkey, value, expiration, in_cache, sender }, now);
        count(self, outcome)
    }

    fn hold_record(&mut self, record: Incoming<'_>, now: DhtTime) -> Result<(), Refusal> {
        let Incoming { key, ref subkey, value, in_cache, sender, .. } = record;
        let expiration = DhtTime::from_unix(record.expiration).ok_or(Refusal::NotFinite)?;
        if !value::is_readable(value) {
            return Err(Refusal::Malformed);
        }
        if let Some(validator) = &mut self.validator {
            let subkey = subkey.as_ref().map_or(&msgpack::NIL[..], Subkey::as_bytes);
            let claim = Claim { key: key.as_bytes(), subkey, value, expiration: record.expiration };
            validator.check(&claim, Occasion::Store(sender), now)?;
        }
        let voice = self.listen(&record, expiration, now)?;
        let from = Some(&sender).filter(|sender| **sender != self.own_peer);
        let storage = if in_cache { &mut self.cache } else { &mut self.storage };
        match subkey {
            None => storage.store(key, value, expiration, from, now),
            Some(subkey) => {
                storage.store_subkey(key, subkey, value, expiration, from, now)?;
                if voice == Voice::FirstHand
                    && !in_cache
                    && let Some(hearsay) = &mut self.hearsay
                {
                    hearsay.note(key, subkey, expiration);
                }
                Ok(())
            }
        }
    }

    /// Whether what was found may be cached: it hides nothing that a peer has said itself.
    pub(super) fn may_cache(
        &mut self,
        key: &DhtId,
        subkey: Option<&Subkey>,
        item: &Item,
        now: DhtTime,
    ) -> bool {
        let Some(hearsay) = &self.hearsay else { return true };
        let Some(subkey) = subkey else { return hearsay.admit_plain(key, now).is_ok() };
        let said = (&item.value[..], item.expiration);
        held_entry(&mut self.storage, key, subkey, now)
            .is_none_or(|stored| !hearsay.contradicts((key, subkey), said, stored, now))
    }

    /// Whose word a record is, and whether it is to be heard: see [`crate::dht::hearsay`].
    fn listen(&mut self, record: &Incoming<'_>, expiration: DhtTime, now: DhtTime) -> Result<Voice, Refusal> {
        let key = &record.key;
        let Some(hearsay) = &mut self.hearsay else { return Ok(Voice::Nobodys) };
        let Some(subkey) = &record.subkey else {
            hearsay.admit_plain(key, now)?;
            return Ok(Voice::Nobodys);
        };
        let voice = voice(subkey, record.sender);
        if voice == Voice::Nobodys {
            return Ok(voice);
        }
        let cached = held_entry(&mut self.cache, key, subkey, now).map(|held| held.expiration);
        let stored = held_entry(&mut self.storage, key, subkey, now);
        if voice == Voice::Hearsay {
            let replaced = if record.in_cache { cached } else { stored.map(|held| held.expiration) };
            let said = (record.value, expiration);
            hearsay.admit((key, subkey), said, stored, replaced, record.sender, now)?;
        } else if !record.in_cache {
            // The peer's own word replaces what others said, whatever expires first.
            let stored = stored.map(|held| held.expiration);
            if stored.is_some_and(|held| held >= expiration && hearsay.yields(key, subkey, held)) {
                self.storage.withdraw(key, subkey);
            }
            if cached.is_some_and(|held| held >= expiration) {
                self.cache.withdraw(key, subkey);
            }
        }
        Ok(voice)
    }
}

/// One value or one entry of a dictionary that a peer wants held.
struct Incoming<'a> {
    key: DhtId,
    subkey: Option<Subkey>,
    value: &'a [u8],
    /// Unix seconds, perhaps not finite.
    expiration: f64,
    in_cache: bool,
    sender: PeerId,
}

/// The entry under `subkey`, if the key holds a dictionary with it.
fn held_entry<'a>(
    storage: &'a mut Storage,
    key: &DhtId,
    subkey: &Subkey,
    now: DhtTime,
) -> Option<InPlace<'a>> {
    match storage.get(key, now)? {
        Held::Plain(..) => None,
        Held::Dictionary(entries) => {
            let entry = entries.get(subkey)?;
            Some(InPlace { value: entry.value(), expiration: entry.expiration() })
        }
    }
}
