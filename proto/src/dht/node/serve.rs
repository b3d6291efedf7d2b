//! Answering others.

use libp2p::PeerId;

use super::{Effect, InboundId, MAX_CALL_BACKS, Node, Purpose};
use crate::{
    dht::{DhtId, Dictionary, FindResult, FoundValue, Held, Request, Response, routing::BUCKET_SIZE},
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
                let stored = rows.iter().map(|row| self.hold(row, caller, now)).collect();
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

    fn find(&mut self, key: &DhtId, asker: Option<&DhtId>, now: DhtTime) -> FindResult {
        let neighbours = self.table.nearest(key, BUCKET_SIZE, asker);
        let (stored, cached) = (self.storage.get(key, now), self.cache.get(key, now));
        let freshest = match (stored, cached) {
            // Either alone would hide what the other holds.
            (Some(Held::Dictionary(stored)), Some(Held::Dictionary(cached))) => {
                let mut both: Dictionary = stored.clone();
                cached.iter().for_each(|(subkey, item)| both.merge(subkey.clone(), item.clone()));
                Some(Held::Dictionary(both))
            }
            (Some(stored), Some(cached)) if cached.expiration() > stored.expiration() => Some(cached.clone()),
            (Some(held), _) | (None, Some(held)) => Some(held.clone()),
            (None, None) => None,
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
