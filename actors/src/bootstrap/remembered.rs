//! Peers that are remembered: tried when nobody is known, kept up with whom we know, put on disk.

use std::{collections::VecDeque, io, time::Duration};

use actix::{ActorFutureExt, AsyncContext, Context, SpawnHandle, WrapFuture};
use hivemind_proto::{dht::Pong, time::Clock};
use libp2p::PeerId;
use serde::Serialize;
use tokio::{
    task::JoinError,
    time::{Instant, timeout},
};

use super::{Bootstrap, known_peers::MOST_PEERS, memory::Unusable};
use crate::dht::messages::Members;

/// Remembered peers that are dialled at once.
const AT_ONCE: usize = 8;

/// With so many nodes known no further remembered peers are dialled: the search for our neighbours finds the rest.
const ENOUGH: usize = 8;

/// From joining to the first look at whom we know: by then the search for our neighbours is through. A process that is
/// killed sooner has nobody to remember.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// From a look that found somebody new, or somebody elsewhere, to the next one.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// From any other look to the next one.
const LOOK_PERIOD: Duration = Duration::from_secs(60);

/// Between two writes.
const SAVE_PERIOD: Duration = Duration::from_secs(30);

/// How long the last write may take. A healthy disk answers in milliseconds.
const LAST_SAVE_DEADLINE: Duration = Duration::from_secs(2);

/// The remembered peers that are tried, one after the other.
#[derive(Debug, Default)]
pub(super) struct Wave {
    waiting: VecDeque<PeerId>,
    under_way: usize,
    /// Those that did not answer. Whether that is held against them shows when somebody else answers: while nobody
    /// does, the fault may be ours.
    failed: Vec<PeerId>,
    /// Waves that brought nobody, in a row.
    failures: u32,
    next: Option<SpawnHandle>,
}

/// How far the file is.
#[derive(Debug, Default)]
pub(super) struct Remembering {
    look: Option<SpawnHandle>,
    saving: bool,
    last_save: Option<Instant>,
    error: Option<String>,
    set_aside: Option<String>,
}

/// What a probe tells.
#[derive(Debug, Serialize)]
pub(super) struct RememberedStatus {
    peers: usize,
    dialling: usize,
    file: Option<String>,
    last_error: Option<String>,
    /// A file that could not be used at the start, and was moved aside.
    set_aside: Option<String>,
}

impl Bootstrap {
    /// Reads the file, unless an earlier incarnation has, and tries whoever is remembered.
    pub(super) fn recall(&mut self, ctx: &mut Context<Self>) {
        let memory = self.memory.clone();
        if memory.file().is_none() {
            return self.begin_wave(ctx);
        }
        let load = actix_rt::task::spawn_blocking(move || memory.load());
        ctx.spawn(load.into_actor(self).map(Self::recalled));
    }

    fn recalled(result: Result<Result<(), Unusable>, JoinError>, this: &mut Self, ctx: &mut Context<Self>) {
        if let Ok(Err(Unusable { cause, aside })) = result {
            let file = this.memory.file().map(|file| file.display().to_string());
            tracing::warn!(
                file,
                cause,
                aside,
                "the file of remembered peers is unusable, starting without it"
            );
            this.remembering.set_aside = Some(format!("{aside} ({cause})"));
        }
        this.begin_wave(ctx);
    }

    /// Tries all remembered peers, the best first, unless that is under way.
    pub(super) fn begin_wave(&mut self, ctx: &mut Context<Self>) {
        if let Some(next) = self.wave.next.take() {
            ctx.cancel_future(next);
        }
        if self.wave.under_way > 0 {
            return;
        }
        let is_initial = |peer: &PeerId| self.peers.iter().any(|watched| watched.peer.peer == *peer);
        let ranked: Vec<PeerId> = self.memory.known().ranked().iter().map(|known| known.peer).collect();
        self.wave.failed.clear();
        self.wave.waiting = ranked.into_iter().filter(|peer| !is_initial(peer)).collect();
        self.go_on(ctx);
    }

    fn go_on(&mut self, ctx: &mut Context<Self>) {
        while self.known < ENOUGH && self.wave.under_way < AT_ONCE {
            let Some(peer) = self.wave.waiting.pop_front() else { break };
            let Some(addresses) = self.memory.known().get(&peer).map(|known| known.addresses.clone()) else {
                continue;
            };
            self.wave.under_way += 1;
            let pong = self.reach(peer, addresses);
            ctx.spawn(pong.into_actor(self).map(move |pong, this, ctx| this.tried(peer, &pong, ctx)));
        }
        if self.known > 0 {
            self.wave.failures = 0;
        } else if self.wave.under_way == 0 && self.wave.next.is_none() {
            self.wave.failures = self.wave.failures.saturating_add(1);
            let delay = self.pause(self.wave.failures);
            self.wave.next = Some(ctx.run_later(delay, |this, ctx| {
                this.wave.next = None;
                if this.known == 0 {
                    this.begin_wave(ctx);
                }
            }));
        }
    }

    fn tried(&mut self, peer: PeerId, pong: &Result<Pong, String>, ctx: &mut Context<Self>) {
        self.wave.under_way -= 1;
        match pong {
            Ok(_) => {
                tracing::info!(%peer, "remembered peer answered");
                self.find_neighbours(ctx);
            }
            Err(cause) => {
                tracing::debug!(%peer, cause, "remembered peer does not answer");
                self.wave.failed.push(peer);
                self.hold_against();
            }
        }
        self.go_on(ctx);
    }

    /// Others answer, and these did not: whoever fails too often is forgotten.
    pub(super) fn hold_against(&mut self) {
        if self.known == 0 {
            return;
        }
        for peer in self.wave.failed.drain(..) {
            if self.memory.known().failed(&peer) {
                tracing::info!(%peer, "a remembered peer is forgotten: it never answers");
            }
        }
    }

    /// We have just joined: looks at whom we know before long, and again each period from then on.
    pub(super) fn remember_soon(&mut self, ctx: &mut Context<Self>) {
        self.look_later(FIRST_LOOK, ctx);
    }

    fn look_later(&mut self, delay: Duration, ctx: &mut Context<Self>) {
        if let Some(look) = self.remembering.look.take() {
            ctx.cancel_future(look);
        }
        self.remembering.look = Some(ctx.run_later(delay, |this, ctx| {
            this.remembering.look = None;
            this.look(ctx);
        }));
    }

    /// Members of the table have answered not long ago; where they are the network knows.
    fn look(&mut self, ctx: &mut Context<Self>) {
        let (network, dht) = (self.network.clone(), self.dht.clone());
        let seen = async move {
            let members = dht.send(Members { most: 2 * MOST_PEERS }).await.unwrap_or_default();
            let peers = members.into_iter().map(|contact| contact.peer).collect();
            network.addresses(peers).await
        };
        ctx.spawn(seen.into_actor(self).map(|seen, this, ctx| {
            let mut next = LOOK_PERIOD;
            if let Some(now) = this.member.as_ref().map(|member| member.clock.now()) {
                let mut seen: Vec<_> = seen.into_iter().collect();
                seen.sort_by_key(|(peer, _)| *peer);
                let mut known = this.memory.known();
                seen.into_iter().for_each(|(peer, addresses)| known.seen(peer, addresses, now));
                next = if known.is_worth_writing() { LOOK_AGAIN } else { LOOK_PERIOD };
            }
            this.save(ctx);
            this.look_later(next, ctx);
        }));
    }

    /// Writes what is new, one write at a time and not too often, off the arbiter. A write that failed is due again
    /// after the same time.
    fn save(&mut self, ctx: &mut Context<Self>) {
        let recently = self.remembering.last_save.is_some_and(|last| last.elapsed() < SAVE_PERIOD);
        if self.remembering.saving || recently || self.memory.file().is_none() {
            return;
        }
        if !self.memory.known().is_worth_writing() {
            return;
        }
        (self.remembering.saving, self.remembering.last_save) = (true, Some(Instant::now()));
        let memory = self.memory.clone();
        let write = actix_rt::task::spawn_blocking(move || memory.save());
        ctx.spawn(write.into_actor(self).map(|result, this, _| this.saved(result)));
    }

    fn saved(&mut self, result: Result<io::Result<()>, JoinError>) {
        self.remembering.saving = false;
        let file = self.memory.file().map(|file| file.display().to_string());
        match result.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => {
                if self.remembering.error.take().is_some() {
                    tracing::info!(file, "remembered peers are on disk again");
                }
            }
            Err(error) => {
                if self.remembering.error.replace(error.to_string()).is_none() {
                    tracing::warn!(file, %error, "remembered peers cannot be written to disk");
                }
            }
        }
    }

    /// The last write of this life.
    pub(super) fn save_at_last(&self) -> impl Future<Output = ()> + use<> {
        let memory = self.memory.clone();
        async move {
            if memory.file().is_none() {
                return;
            }
            let write = actix_rt::task::spawn_blocking(move || memory.save());
            match timeout(LAST_SAVE_DEADLINE, write).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => tracing::warn!(%error, "the last remembered peers are lost"),
                _ => tracing::warn!("the last remembered peers are lost: the disk does not answer"),
            }
        }
    }

    pub(super) fn remembered_status(&self) -> RememberedStatus {
        RememberedStatus {
            peers: self.memory.known().len(),
            dialling: self.wave.under_way,
            file: self.memory.file().map(|file| file.display().to_string()),
            last_error: self.remembering.error.clone(),
            set_aside: self.remembering.set_aside.clone(),
        }
    }
}
