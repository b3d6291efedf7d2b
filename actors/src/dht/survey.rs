//! Rounds in which a few members of the table are pinged: they tell their time, and those that have gone are noticed.

use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use futures::future::join_all;
use hivemind_proto::{
    dht::{Node, Outcome},
    time::Clock,
};
use libp2p::PeerId;
use rand::seq::IteratorRandom;
use tokio::time::Instant;

use super::Dht;
use crate::clock::Correction;

/// Members that are pinged in one round.
const ASKED: usize = 5;

/// Between two rounds. A table of 20 has been asked twice before the samples of the first round age out.
const PERIOD: Duration = Duration::from_secs(60);

/// Between two rounds while too few have told their time.
const SHORT_PERIOD: Duration = Duration::from_secs(5);

/// The local clock was set, or the machine slept, if it and the monotonic clock go apart by more between two ticks.
const LEAP_SECONDS: f64 = 1.0;

/// When the last round was, and how the clocks stood at the last tick.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    under_way: bool,
    last: Option<Instant>,
    /// Nobody who was asked answered: those who are left are asked at once, so that a table full of dead members is
    /// empty, and known to be, within some calls.
    urgent: bool,
    /// The local clock in Unix seconds, and the monotonic one.
    ticked: Option<(f64, Instant)>,
}

impl Dht {
    /// Looks after the clock; called every tick.
    pub(super) fn keep_time(&mut self, ctx: &mut Context<Self>) {
        self.notice_leaps();
        self.follow_survey();
        let now = Instant::now();
        let members = self.node.table().len();
        let more_to_learn = self.survey.is_short() && members > self.survey.samples();
        let period = if more_to_learn { SHORT_PERIOD } else { PERIOD };
        let due = self.rounds.last.is_none_or(|last| now.duration_since(last) >= period);
        if members > 0 && !self.rounds.under_way && (due || self.rounds.urgent) {
            self.begin_round(now, ctx);
        }
    }

    fn begin_round(&mut self, now: Instant, ctx: &mut Context<Self>) {
        (self.rounds.under_way, self.rounds.last) = (true, Some(now));
        let members = self.node.table().members().map(|contact| contact.peer);
        let mut asked: Vec<PeerId> = members.sample(&mut self.rng, ASKED);
        asked.sort();
        let ping = |peer| move |node: &mut Node, now| node.ping(peer, false, now);
        let pongs: Vec<_> = asked.into_iter().map(|peer| self.start(ctx, ping(peer))).collect();
        ctx.spawn(join_all(pongs).into_actor(self).map(|pongs, this, _| {
            let answered = pongs.iter().any(|pong| matches!(pong, Ok(Outcome::Ping(Ok(_)))));
            (this.rounds.under_way, this.rounds.urgent) = (false, !answered);
            this.follow_survey();
        }));
    }

    /// Takes over what the survey concludes.
    pub(super) fn follow_survey(&mut self) {
        if !self.survey.conclude(Instant::now()) {
            return;
        }
        let seconds = self.survey.correction();
        let before = self.correction.send_replace(Correction { seconds }).seconds;
        self.node.time_leapt(self.clock.now());
        let peers = self.survey.samples();
        match seconds {
            0.0 => tracing::info!(peers, "the local clock agrees with the swarm again and is used"),
            _ if before == 0.0 => tracing::warn!(
                local_clock_is_ahead_seconds = -seconds,
                peers,
                "the local clock is wrong, the swarm's time is used instead; set the clock, best with NTP"
            ),
            _ => tracing::info!(local_clock_is_ahead_seconds = -seconds, peers, "swarm time adjusted"),
        }
    }

    fn notice_leaps(&mut self) {
        let (local, now) = (self.local_clock.now().as_unix(), Instant::now());
        let Some((last_local, last)) = self.rounds.ticked.replace((local, now)) else { return };
        let leap = local - last_local - now.duration_since(last).as_secs_f64();
        if leap.abs() > LEAP_SECONDS {
            tracing::info!(leap_seconds = leap, "the local clock was set, or the machine slept");
            self.survey.forget();
            self.rounds.last = None;
            self.node.time_leapt(self.clock.now());
            // The correction is the same, the time is not: whoever reckons in it is told.
            self.correction.send_modify(|_| {});
        }
    }
}
