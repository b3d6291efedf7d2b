//! Another period while the node runs.

use actix::{AsyncContext, Handler};

use super::{Pinger, Settings};
use crate::config_keeper::messages::{Apply, Refusal, Validate};

impl Handler<Validate<Settings>> for Pinger {
    type Result = Result<(), Refusal>;

    fn handle(&mut self, Validate(settings): Validate<Settings>, _: &mut Self::Context) -> Self::Result {
        match settings.period.is_zero() {
            true => Err(Refusal("it would ask without a pause".into())),
            false => Ok(()),
        }
    }
}

impl Handler<Apply<Settings>> for Pinger {
    type Result = ();

    /// A pause under way is taken anew; a round under way is followed by the new one.
    fn handle(&mut self, Apply(settings): Apply<Settings>, ctx: &mut Self::Context) {
        self.settings = Settings::clone(&settings);
        if let Some(pause) = self.pause.take() {
            ctx.cancel_future(pause);
            self.round_later(self.settings.period, ctx);
        }
    }
}
