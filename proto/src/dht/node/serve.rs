//! Answering others.

use libp2p::PeerId;

use super::{Counters, Effect, InboundId, MAX_CALL_BACKS, Node, Purpose};
use crate::{
    dht::{
        DhtId, FindResult, FoundValue, Held, Refusal, Request, Response, Row, Storage, Tag, dictionary,
        routing::BUCKET_SIZE, value,
    },
    time::DhtTime,
};

impl Node {
    /// Takes in a request of `caller`. Its answer follows as an [`Effect::Answer`], at once or after a call-back.
    pub fn request(&mut self, inbound: InboundId, caller: PeerId, request: Request, now: DhtTime) {
        let sender = request.sender();
        let response = match request {
            Request::Ping { validate: true, .. } => {
                self.counters.pings_served += 1;
                return self.call_back(inbound, caller, sender, now);
            }
            Request::Ping { .. } => {
                self.counters.pings_served += 1;
                self.pong(now, false)
            }
            Request::Store { rows, .. } => {
                self.counters.stores_served += 1;
                let stored = rows.into_iter().map(|row| self.hold(row, now)).collect();
                Response::Store { sender: self.sender(), stored }
            }
            Request::Find { keys, .. } => {
                self.counters.finds_served += 1;
                let results = keys.iter().map(|key| self.find(key, sender.as_ref(), now)).collect();
                Response::Find { sender: self.sender(), results }
            }
        };
        self.effects.push_back(Effect::Answer { inbound, response });
        self.heard(sender, caller, now);
    }

    /// Somebody wants to know whether it can be called: only an answer under the node id that it claims counts.
    fn call_back(&mut self, inbound: InboundId, caller: PeerId, sender: Option<DhtId>, now: DhtTime) {
        let calling_back =
            self.calls.values().filter(|call| matches!(call.purpose, Purpose::CallBack { .. }));
        match sender {
            Some(claimed) if calling_back.count() < MAX_CALL_BACKS => {
                let request = Request::Ping { sender: self.sender(), validate: false };
                self.call(caller, request, Purpose::CallBack { inbound, claimed });
            }
            _ => {
                let response = self.pong(now, false);
                self.effects.push_back(Effect::Answer { inbound, response });
            }
        }
    }

    pub(super) fn pong(&self, now: DhtTime, available: bool) -> Response {
        Response::Ping { sender: self.sender(), time: Some(now), available }
    }

    fn hold(&mut self, row: Row, now: DhtTime) -> bool {
        let storage = if row.in_cache { &mut self.cache } else { &mut self.storage };
        hold(storage, &mut self.counters, &row, now)
    }

    fn find(&mut self, key: &DhtId, asker: Option<&DhtId>, now: DhtTime) -> FindResult {
        let neighbours = self.table.nearest(key, BUCKET_SIZE, asker);
        let (stored, cached) = (self.storage.get(key, now), self.cache.get(key, now));
        let freshest = match (stored, cached) {
            (Some(stored), Some(cached)) if cached.expiration() > stored.expiration() => Some(cached),
            (Some(stored), _) => Some(stored),
            (None, cached) => cached,
        };
        let value = freshest.and_then(|held| {
            let expiration = held.expiration()?.as_unix();
            Some(match held {
                Held::Plain(item) => FoundValue::Plain(item.value.to_vec(), expiration),
                Held::Dictionary(dictionary) => FoundValue::Dictionary(dictionary.encode(), expiration),
            })
        });
        FindResult { value, neighbours }
    }
}

/// Stores a row, and counts what became of it. A whole dictionary is held if every subkey of it is.
pub(super) fn hold(storage: &mut Storage, counters: &mut Counters, row: &Row, now: DhtTime) -> bool {
    let mut count = |outcome: Result<(), Refusal>| {
        match outcome {
            Ok(()) => counters.rows_stored += 1,
            Err(refusal) => counters.rows_refused.count(refusal),
        }
        outcome.is_ok()
    };
    let (Some(key), Ok(tag)) = (DhtId::from_bytes(&row.key), Tag::decode(&row.tag)) else {
        return count(Err(Refusal::Malformed));
    };
    if tag == Tag::Dictionary {
        let Ok(items) = dictionary::decode(&row.value, storage.max_subkeys()) else {
            return count(Err(Refusal::Malformed));
        };
        let mut every = true;
        for item in items {
            every &=
                count(hold_value(storage, key, Tag::Subkey(item.subkey), item.value, item.expiration, now));
        }
        return every;
    }
    count(hold_value(storage, key, tag, &row.value, row.expiration, now))
}

fn hold_value(
    storage: &mut Storage,
    key: DhtId,
    tag: Tag,
    bytes: &[u8],
    expiration: f64,
    now: DhtTime,
) -> Result<(), Refusal> {
    let expiration = DhtTime::from_unix(expiration).ok_or(Refusal::NotFinite)?;
    if !value::is_readable(bytes) {
        return Err(Refusal::Malformed);
    }
    match tag {
        Tag::Plain => storage.store(key, bytes, expiration, now),
        Tag::Subkey(subkey) => storage.store_subkey(key, subkey, bytes, expiration, now),
        Tag::Dictionary => Err(Refusal::Malformed),
    }
}
