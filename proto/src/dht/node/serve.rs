//! Answering others. What a find brings is in [`super::find`], what becomes of a store in [`super::hold`].

use libp2p::PeerId;

use super::{Effect, InboundId, MAX_CALL_BACKS, MAX_CALLS, MAX_PINGS_A_CALL_BACK, Node, Purpose};
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

    /// Somebody wants to know whether it can be called: only an answer under the node id that it claims counts. All
    /// pings of one node that come meanwhile wait for the same call.
    fn call_back(&mut self, inbound: InboundId, caller: PeerId, sender: Option<DhtId>, now: DhtTime) {
        let Some(claimed) = sender else { return self.answer_ping(inbound, now, false) };
        let (others, calls) = (self.call_backs.len(), self.calls.len());
        if let Some(waiting) = self.call_backs.get_mut(&(caller, claimed)) {
            if waiting.len() < MAX_PINGS_A_CALL_BACK {
                return waiting.push(inbound);
            }
        } else if others < MAX_CALL_BACKS && calls < MAX_CALLS {
            self.call_backs.insert((caller, claimed), vec![inbound]);
            let request = Request::Ping { sender: self.sender(), validate: false };
            return self.call(caller, request, Purpose::CallBack { claimed });
        }
        self.answer_ping(inbound, now, false);
    }

    /// A call-back has ended: whoever waited for it is told.
    pub(super) fn called_back(&mut self, caller: PeerId, claimed: DhtId, available: bool, now: DhtTime) {
        for inbound in self.call_backs.remove(&(caller, claimed)).unwrap_or_default() {
            self.answer_ping(inbound, now, available);
        }
    }

    fn answer_ping(&mut self, inbound: InboundId, now: DhtTime, available: bool) {
        let response = self.pong(now, available);
        self.effects.push_back(Effect::Answer { inbound, response });
    }

    fn pong(&self, now: DhtTime, available: bool) -> Response {
        Response::Ping { sender: self.sender(), time: Some(now), available }
    }
}
