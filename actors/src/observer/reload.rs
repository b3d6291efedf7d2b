//! Another interval, and other initial peers, while the node runs.

use std::time::Duration;

use actix::Handler;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::{Observer, Settings};
use crate::config_keeper::messages::{Apply, Refusal, Validate};

/// What of the settings may change: plain data, unlike the rest of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Habits {
    /// [`Settings::initial_peers`].
    pub initial_peers: Vec<(PeerId, Vec<Multiaddr>)>,
    /// [`Settings::interval`].
    pub interval: Duration,
}

impl Settings {
    /// What of them may change.
    pub fn habits(&self) -> Habits {
        Habits { initial_peers: self.initial_peers.clone(), interval: self.interval }
    }

    /// The same with other habits.
    pub fn with(self, Habits { initial_peers, interval }: Habits) -> Self {
        Self { initial_peers, interval, ..self }
    }
}

impl Handler<Validate<Habits>> for Observer {
    type Result = Result<(), Refusal>;

    fn handle(&mut self, Validate(habits): Validate<Habits>, _: &mut Self::Context) -> Self::Result {
        match habits.interval.is_zero() {
            true => Err(Refusal("it would look without a pause".into())),
            false => Ok(()),
        }
    }
}

impl Handler<Apply<Habits>> for Observer {
    type Result = ();

    /// The next look comes within the new interval; one under way ends as it began.
    fn handle(&mut self, Apply(habits): Apply<Habits>, ctx: &mut Self::Context) {
        self.settings = self.settings.clone().with(Habits::clone(&habits));
        let left = self.timer.as_ref().map(|(_, at)| at.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left > self.settings.interval) {
            self.schedule(self.settings.interval, ctx);
        }
    }
}
