//! Another period or time to live, and other blocks, while the node runs.

use std::collections::BTreeSet;

use actix::{AsyncContext, Context, Handler, WrapFuture};
use hivemind_proto::records::ServerState;

use super::{
    Announcer, CHANGE_DEBOUNCE, Scope, Settings, farewell,
    records::{self, RecordName},
};
use crate::{
    config_keeper::messages::{Apply, Refusal, Validate},
    server_info::Snapshot,
};

impl Handler<Validate<Settings>> for Announcer {
    type Result = Result<(), Refusal>;

    fn handle(&mut self, Validate(settings): Validate<Settings>, _: &mut Self::Context) -> Self::Result {
        match settings.period.is_zero() || settings.ttl <= settings.period {
            true => Err(Refusal("records would lapse before they are renewed".into())),
            false => Ok(()),
        }
    }
}

impl Handler<Apply<Settings>> for Announcer {
    type Result = ();

    /// Announces at once, so that the new time to live holds for every record.
    fn handle(&mut self, Apply(settings): Apply<Settings>, ctx: &mut Self::Context) {
        self.settings = Settings::clone(&settings);
        if self.sources.is_some() && !self.draining {
            self.schedule(CHANGE_DEBOUNCE, Scope::All, ctx);
        }
    }
}

impl Announcer {
    /// Of blocks that are no longer offered we say OFFLINE, as at the end: nobody is to be sent to us for them.
    pub(super) fn leave_blocks(&mut self, now: &Snapshot, before: &Snapshot, ctx: &mut Context<Self>) {
        let kept: BTreeSet<_> = now.offer.blocks().map(|uid| uid.to_string()).collect();
        if before.offer.blocks().all(|uid| kept.contains(&uid.to_string())) {
            return;
        }
        let mut offer = before.offer.clone();
        offer.server.state = ServerState::Offline;
        offer.server.next_pings = None;
        let expiration = self.next_expiration();
        let mut left = records::of(&offer, self.settings.own_peer, expiration);
        left.retain(|named| matches!(&named.name, RecordName::Block(_, uid) if !kept.contains(uid)));
        self.ledger.forget(left.iter().map(|named| &named.name));
        let farewell = farewell::say(self.dht.clone(), left, self.settings.retry, self.settings.may_be_alone);
        ctx.spawn(farewell.into_actor(self));
    }
}
