//! Answering others. What a find brings is in [`super::find`], what becomes of a store in [`super::hold`].

use libp2p::PeerId;

use super::{Effect, InboundId, MAX_CALL_BACKS, MAX_CALLS, Node, Purpose};
use crate::{
    dht::{Contact, DhtId, Request, Response},
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
                let stored = rows.iter().map(|row| self.hold(row, caller, now)).collect();
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
}
