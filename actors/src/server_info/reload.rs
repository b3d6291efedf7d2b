//! Another config while the node runs.

use actix::Handler;

use super::{Account, Offer, ServerInfoStore, Settings};
use crate::config_keeper::messages::{Apply, Refusal, Validate};

impl Handler<Validate<Settings>> for ServerInfoStore {
    type Result = Result<(), Refusal>;

    /// Records of another model are of other names, and rpc_info is served only by a node that offered something from
    /// its start.
    fn handle(&mut self, Validate(settings): Validate<Settings>, _: &mut Self::Context) -> Self::Result {
        let model =
            |offer: &Option<Offer>| offer.as_ref().map(|offer| (offer.prefix.clone(), offer.model.clone()));
        match model(&settings.offer) == model(&self.settings.offer) {
            true => Ok(()),
            false => Err(Refusal("another model takes a restart".into())),
        }
    }
}

impl Handler<Apply<Settings>> for ServerInfoStore {
    type Result = ();

    fn handle(&mut self, Apply(settings): Apply<Settings>, ctx: &mut Self::Context) {
        let before = std::mem::replace(&mut self.settings, Settings::clone(&settings));
        let offer = self.settings.offer.clone();
        let Some((account, offer)) = self.account.as_mut().zip(offer) else { return };
        let from = account.snapshot().offer.server.state;
        if account.begin_again(offer, &before.stated, &self.settings.stated) {
            let to = account.snapshot().offer.server.state;
            if from != to {
                tracing::info!(?from, ?to, source = ?account.snapshot().source, "server state changed");
            }
            self.publish(ctx);
        } else {
            // The memory is to know the config that the next incarnation is built with.
            let account: &Account = account;
            self.settings.memory.remember(account);
        }
    }
}
