//! Calls that have ended: every one updates the table, and then what waited for it goes on.

use super::{
    Call, CallFailure, CallId, Effect, MAX_CALLS, Node, Outcome, Pong, Purpose, TaskId, tasks::Work,
};
use crate::{
    dht::{
        Contact, Response,
        validators::{Claim, Occasion},
    },
    time::DhtTime,
};

impl Node {
    /// A call has ended. A failure takes the peer out of the table, and out of searches for a while.
    pub fn call_ended(&mut self, call: CallId, result: Result<Response, CallFailure>, now: DhtTime) {
        let Some(Call { peer, purpose }) = self.calls.remove(&call) else { return };
        match &result {
            Ok(response) => {
                self.counters.calls_answered += 1;
                self.blacklist.answered(&peer);
                self.heard(response.sender(), peer, now);
            }
            Err(_) => {
                self.counters.calls_failed += 1;
                self.blacklist.failed(peer, now);
                self.table.remove(&peer);
            }
        }
        match purpose {
            Purpose::Check => self.checks -= 1,
            Purpose::CallBack { claimed } => {
                let available = matches!(&result, Ok(response) if response.sender() == Some(claimed));
                self.called_back(peer, claimed, available, now);
            }
            Purpose::Ping(task) => self.ping_ended(task, result),
            Purpose::Find(task, keys) => {
                if let Some(lookup) = self.tasks.get_mut(&task).and_then(|task| task.work.lookup()) {
                    match result {
                        Ok(Response::Find { sender, results }) => {
                            let (own_peer, own_id, blacklist) = (self.own_peer, self.id, &self.blacklist);
                            let usable = |contact: &Contact| {
                                contact.peer != own_peer
                                    && contact.id != own_id
                                    && !blacklist.contains(&contact.peer, now)
                            };
                            let validator = &mut self.validator;
                            let valid = |claim: &Claim<'_>| {
                                let Some(validator) = validator else { return true };
                                let verdict = validator.check(claim, Occasion::Find(peer), now);
                                self.counters.found_unsigned += u64::from(verdict.is_err());
                                verdict.is_ok()
                            };
                            lookup.answered(&peer, sender, &keys, results, now, usable, valid);
                        }
                        _ => lookup.failed(&peer),
                    }
                    self.advance(task, now);
                }
            }
            Purpose::Store(task, indexes) => {
                if let Some(Work::Replicate(replication)) =
                    self.tasks.get_mut(&task).map(|task| &mut task.work)
                {
                    match result {
                        Ok(Response::Store { stored, .. }) => replication.answered(peer, &indexes, &stored),
                        _ => replication.failed(peer, &indexes),
                    }
                    self.advance(task, now);
                }
            }
            Purpose::Offer => self.offer_ended(),
            Purpose::HandOver(newcomer) => {
                let stored = match result {
                    Ok(Response::Store { stored, .. }) => Some(stored),
                    _ => None,
                };
                self.handed_over(newcomer, stored, now);
            }
        }
        if self.calls.len() < MAX_CALLS
            && let Some(task) = self.starved.pop_first()
        {
            self.advance(task, now);
        }
    }

    fn ping_ended(&mut self, task: TaskId, result: Result<Response, CallFailure>) {
        if self.tasks.remove(&task).is_none() {
            return;
        }
        let outcome = match result {
            Ok(Response::Ping { sender, time, available }) => Ok(Pong { id: sender, time, available }),
            Ok(_) => Err(CallFailure("an answer to another call".into())),
            Err(failure) => Err(failure),
        };
        self.effects.push_back(Effect::Done { task, outcome: Outcome::Ping(outcome) });
    }
}
