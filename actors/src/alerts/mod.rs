//! The alerts actor keeps this true: when a server that the operator cares for has changed, and stays so, the operator
//! is told, by a webhook or a program.
//!
//! It reads the history ([`Histories`]), so that what counts is what was seen, time in which nobody looked counts for
//! nothing, and a change that was there before a restart is not told again. When somebody is told is `rule.rs`, how is
//! `target.rs`, and what waits is `outbox.rs`: each rule has a queue of its own, so that one webhook that hangs keeps
//! nobody else waiting.
//!
//! A restart loses what waits, and nothing that comes later.

mod outbox;
mod rule;
mod target;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, WrapFuture};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::Serialize;

use self::{
    outbox::{Next, Outbox},
    rule::Watch,
    target::TellError,
};
use crate::{
    history::messages::{Chronicle, Histories},
    supervisor::{Birth, Drain, Probe, ProbeReport},
};

pub use rule::{Notice, Rule};
pub use target::Target;

/// Rules that one node may have.
pub const MOST_RULES: usize = 64;

/// For one attempt at telling.
const TELL_DEADLINE: Duration = Duration::from_secs(10);

/// What the actor is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whom to watch, and whom to tell.
    pub rules: Vec<Rule>,
    /// Where the history tells what it knows.
    pub histories: Histories,
    /// Of the jitter between attempts.
    pub seed: u64,
}

/// The actor.
pub struct Alerts {
    settings: Settings,
    birth: Birth,
    posts: Vec<Post>,
    chance: SmallRng,
    draining: bool,
    status: Status,
}

/// A rule at work.
struct Post {
    watch: Watch,
    outbox: Outbox,
    last_error: Option<TellError>,
}

/// What a probe tells.
#[derive(Debug, Clone, Default, Serialize)]
struct Status {
    rules: usize,
    /// Notices by what became of them: told, given up, or pushed out by newer ones.
    told: u64,
    given_up: u64,
    dropped: u64,
    /// Attempts that failed.
    attempts_failed: u64,
    /// Notices that wait.
    waiting: usize,
    /// The last failure of each rule whose last attempt failed.
    errors: Vec<(String, String)>,
}

impl Alerts {
    /// An actor that follows the history.
    pub fn new(settings: Settings, birth: Birth) -> Self {
        let post = |rule| Post { watch: Watch::new(rule), outbox: Outbox::default(), last_error: None };
        Self {
            posts: settings.rules.iter().take(MOST_RULES).cloned().map(post).collect(),
            chance: SmallRng::seed_from_u64(settings.seed.wrapping_add(birth.generation)),
            settings,
            birth,
            draining: false,
            status: Status::default(),
        }
    }

    fn follow(&mut self, ctx: &mut Context<Self>) {
        let mut histories = self.settings.histories.clone();
        let changed = async move { histories.changed().await.map(|()| histories) };
        ctx.spawn(changed.into_actor(self).map(|histories, this, ctx| {
            // Nobody tells any more when the whole tree ends.
            let Ok(mut histories) = histories else { return };
            let chronicle = Arc::clone(&histories.borrow_and_update());
            this.settings.histories = histories;
            this.look(&chronicle, ctx);
            this.follow(ctx);
        }));
    }

    fn look(&mut self, chronicle: &Chronicle, ctx: &mut Context<Self>) {
        for index in 0..self.posts.len() {
            let post = &mut self.posts[index];
            if let Some(notice) = post.watch.look(chronicle) {
                let Notice { alert, peer_id, from, to, .. } = &notice;
                let from = from.map_or("unknown", |from| from.word());
                tracing::info!(alert, peer_id, from, to = to.word(), "a server has changed");
                self.status.dropped += post.outbox.put(notice);
                self.tell(index, ctx);
            }
        }
    }

    fn tell(&mut self, index: usize, ctx: &mut Context<Self>) {
        if self.draining {
            return;
        }
        let post = &mut self.posts[index];
        let Some(notice) = post.outbox.begin() else { return };
        let target = post.watch.rule.target.clone();
        let telling = async move { target.tell(&notice, TELL_DEADLINE).await };
        ctx.spawn(telling.into_actor(self).map(move |told, this, ctx| this.told(index, told, ctx)));
    }

    fn told(&mut self, index: usize, told: Result<(), TellError>, ctx: &mut Context<Self>) {
        let post = &mut self.posts[index];
        let alert = &post.watch.rule.name;
        let Err(error) = told else {
            self.status.told += 1;
            post.last_error = None;
            post.outbox.done();
            self.tell(index, ctx);
            return;
        };
        self.status.attempts_failed += 1;
        if post.last_error.is_none() {
            tracing::warn!(alert, %error, "an alert was not taken, and is tried again");
        }
        match post.outbox.failed(self.chance.random()) {
            Next::Again(pause) => {
                ctx.run_later(pause, move |this, ctx| {
                    this.posts[index].outbox.rested();
                    this.tell(index, ctx);
                });
            }
            Next::GivenUp => {
                self.status.given_up += 1;
                tracing::warn!(alert, %error, "an alert is given up");
                self.tell(index, ctx);
            }
        }
        self.posts[index].last_error = Some(error);
    }
}

impl Actor for Alerts {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let chronicle = Arc::clone(&self.settings.histories.borrow_and_update());
        self.look(&chronicle, ctx);
        self.follow(ctx);
        self.birth.ready.notify();
    }
}

impl Handler<Probe> for Alerts {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        self.status.rules = self.posts.len();
        self.status.waiting = self.posts.iter().map(|post| post.outbox.len()).sum();
        let error = |post: &Post| Some((post.watch.rule.name.clone(), post.last_error.as_ref()?.to_string()));
        self.status.errors = self.posts.iter().filter_map(error).collect();
        ProbeReport::of(&self.status)
    }
}

impl Handler<Drain> for Alerts {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {
        self.draining = true;
    }
}
