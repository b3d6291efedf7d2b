//! Answering others. What a find brings is in [`super::find`].

use libp2p::PeerId;

use super::{Counters, Effect, InboundId, MAX_CALL_BACKS, MAX_CALLS, Node, Purpose};
use crate::{
    dht::{Contact, DhtId, Refusal, Request, Response, Row, Storage, Tag, dictionary, value},
    time::DhtTime,
};

impl Node {
    /// Takes in a request of `caller`. Its answer follows as an [`Effect::Answer`], at once or after a call-back.
    pub fn request(&mut self, inbound: InboundId, caller: PeerId, request: Request, now: DhtTime) {
        let sender = request.sender();
        // The first thing that a node does when it starts is to search for itself.
        let starts = matches!(&request, Request::Find { keys, .. } if keys.len() == 1 && keys.first() == sender.as_ref());
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
                let stored = rows.iter().map(|row| self.hold(row, &caller, now)).collect();
                Response::Store { sender: self.sender(), stored }
            }
            Request::Find { keys, .. } => {
                self.counters.finds_served += 1;
                let results = self.find(&keys, sender.as_ref(), now);
                Response::Find { sender: self.sender(), results }
            }
        };
        self.effects.push_back(Effect::Answer { inbound, response });
        self.heard(sender, caller, now);
        if let Some(id) = sender.filter(|id| starts && self.table.id_of(&caller) == Some(*id)) {
            self.met(Contact { id, peer: caller }, now);
        }
    }

    /// Somebody wants to know whether it can be called: only an answer under the node id that it claims counts.
    fn call_back(&mut self, inbound: InboundId, caller: PeerId, sender: Option<DhtId>, now: DhtTime) {
        match sender {
            Some(claimed) if self.call_backs < MAX_CALL_BACKS && self.calls.len() < MAX_CALLS => {
                self.call_backs += 1;
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

    fn hold(&mut self, row: &Row, caller: &PeerId, now: DhtTime) -> bool {
        let storage = if row.in_cache { &mut self.cache } else { &mut self.storage };
        hold(storage, &mut self.counters, row, Some(caller), now)
    }
}

/// Stores a row that came from `from`, or from nobody but ourselves, and counts what became of it. A whole dictionary
/// is held if every subkey of it is.
pub(super) fn hold(
    storage: &mut Storage,
    counters: &mut Counters,
    row: &Row,
    from: Option<&PeerId>,
    now: DhtTime,
) -> bool {
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
            let tag = Tag::Subkey(item.subkey);
            every &= count(hold_value(storage, key, &tag, item.value, item.expiration, from, now));
        }
        return every;
    }
    count(hold_value(storage, key, &tag, &row.value, row.expiration, from, now))
}

fn hold_value(
    storage: &mut Storage,
    key: DhtId,
    tag: &Tag,
    bytes: &[u8],
    expiration: f64,
    from: Option<&PeerId>,
    now: DhtTime,
) -> Result<(), Refusal> {
    let expiration = DhtTime::from_unix(expiration).ok_or(Refusal::NotFinite)?;
    if !value::is_readable(bytes) {
        return Err(Refusal::Malformed);
    }
    match tag {
        Tag::Plain => storage.store(key, bytes, expiration, from, now),
        Tag::Subkey(subkey) => storage.store_subkey(key, subkey, bytes, expiration, from, now),
        Tag::Dictionary => Err(Refusal::Malformed),
    }
}
