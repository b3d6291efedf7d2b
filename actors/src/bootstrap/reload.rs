//! Other initial peers while the node runs.

use actix::{AsyncContext, Handler};

use super::{Bootstrap, Settings, initial::Watched};
use crate::config_keeper::messages::{Apply, Refusal, Validate};

impl Handler<Validate<Settings>> for Bootstrap {
    type Result = Result<(), Refusal>;

    fn handle(&mut self, _: Validate<Settings>, _: &mut Self::Context) -> Self::Result {
        Ok(())
    }
}

impl Handler<Apply<Settings>> for Bootstrap {
    type Result = ();

    /// Those that stay are left alone, new ones and those with other addresses are tried at once, and those that are
    /// no longer named are peers like any other.
    fn handle(&mut self, Apply(settings): Apply<Settings>, ctx: &mut Self::Context) {
        self.retry = settings.retry;
        let mut before = std::mem::take(&mut self.peers);
        let mut news = Vec::new();
        for peer in settings.initial_peers.iter().cloned() {
            let known = before.iter().position(|watched| watched.peer.peer == peer.peer);
            let known = known.map(|index| before.swap_remove(index));
            if known.as_ref().is_none_or(|known| known.peer != peer) {
                news.push(peer.peer);
            }
            self.peers.push(match known {
                Some(known) => known.at(peer),
                None => Watched::new(peer),
            });
        }
        before.into_iter().filter_map(Watched::into_timer).for_each(|timer| {
            ctx.cancel_future(timer);
        });
        // Without the dht actor's word nothing has begun yet.
        if self.member.is_some() {
            news.into_iter().for_each(|peer| self.attempt(peer, ctx));
        }
        if !self.comparing {
            self.compare_later(ctx);
        }
    }
}
