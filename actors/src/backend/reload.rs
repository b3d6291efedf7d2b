//! Another model server, or more patience with it, while the node runs.

use actix::{AsyncContext, Handler};

use super::{Backend, Settings, verdict::Verdict};
use crate::config_keeper::messages::{Apply, Refusal, Validate};

impl Handler<Validate<Settings>> for Backend {
    type Result = Result<(), Refusal>;

    fn handle(&mut self, Validate(settings): Validate<Settings>, _: &mut Self::Context) -> Self::Result {
        match settings.timeout >= settings.interval {
            true => Err(Refusal("a look would last until after the next".into())),
            false => Ok(()),
        }
    }
}

impl Handler<Apply<Settings>> for Backend {
    type Result = ();

    /// Of another model server nothing is known yet: its first look comes at once, and has to succeed.
    fn handle(&mut self, Apply(settings): Apply<Settings>, ctx: &mut Self::Context) {
        let another = settings.source != self.settings.source;
        self.settings = Settings::clone(&settings);
        let thresholds = self.settings.thresholds();
        match (another, self.verdict.is_healthy()) {
            (false, _) => self.verdict.be_as_patient_as(thresholds),
            (true, true) => self.verdict = Verdict::on_probation(thresholds),
            (true, false) => self.verdict = Verdict::unknown(thresholds),
        }
        // Without one, we drain.
        if self.check.is_some() {
            self.check = Some(self.settings.check(&self.clock));
            if let Some(next) = self.next_look.take() {
                ctx.cancel_future(next);
            }
            self.look(ctx);
        }
    }
}
