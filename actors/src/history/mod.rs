//! The history actor keeps this true: how every server of the swarm was seen, and since when, is known for as long as
//! the operator wants, also across restarts.
//!
//! It takes in each crawl of the monitor and keeps what changed (`life.rs`), all of it in memory and in one database
//! file (`store.rs`), both within a bound (`chronicle.rs`). Time in which nobody looked is unknown: it counts neither
//! for a server nor against it. What it has to tell is `account.rs`; whoever tells reads [`messages::Histories`].
//!
//! The file is written by a blocking thread, one batch at a time. What changes meanwhile waits as the names of those who
//! changed, so nothing grows while a disk is slow, full or gone: it is tried again with the next crawl. A file that is
//! none of ours, damaged or held by another process is put aside, and a new one begun.
//!
//! A restart of the actor reads the file again. A kill of the process loses what was not yet written: at most what came
//! since the last crawl but one.

mod account;
mod chronicle;
mod coverage;
mod crawls;
mod disk;
mod encoding;
mod life;
pub mod messages;
mod sighting;
mod store;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, ResponseActFuture, WrapFuture};
use serde::Serialize;
use tokio::{
    sync::watch,
    task::{JoinError, spawn_blocking},
    time::timeout,
};

use self::{
    chronicle::{Chronicle, Crawl, Limits},
    disk::{Opened, Written},
    store::{Batch, StoreError},
};
use crate::{
    monitor::messages::SwarmStates,
    supervisor::{Birth, Drain, Probe, ProbeReport},
};

pub use account::Choice;
pub use disk::Disk;

/// What may be held in memory of each byte that the file may have: its pages are half empty at worst, and it grows by
/// doubling.
const WEIGHT_PER_FILE_BYTE: u64 = 2;

/// For the last batch, when the node ends.
const LAST_WRITE_DEADLINE: Duration = Duration::from_secs(3);

/// Of a file that is still too large after all that can be done, this part of the history is kept.
const KEPT_OF_TOO_MUCH: (u64, u64) = (3, 4);

/// What the actor is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For how long changes, and servers that are gone, are remembered.
    pub keep: Duration,
    /// The most that the file may take, in bytes.
    pub max_file_bytes: u64,
    /// Between two crawls that are that close, what the first saw is taken to have held.
    pub gap: Duration,
    /// The file.
    pub disk: Disk,
    /// Where the monitor tells what it saw.
    pub crawls: SwarmStates,
    /// Where this actor tells what it knows.
    pub told: watch::Sender<Arc<Chronicle>>,
}

impl Settings {
    fn limits(&self) -> Limits {
        limits(self.keep, self.gap, self.max_file_bytes)
    }
}

/// A history of nobody, for whoever is told of one from the start.
pub fn nothing_yet(keep: Duration, gap: Duration, max_file_bytes: u64) -> Arc<Chronicle> {
    Arc::new(Chronicle::new(limits(keep, gap, max_file_bytes)))
}

fn limits(keep: Duration, gap: Duration, max_file_bytes: u64) -> Limits {
    Limits { keep: keep.as_secs(), gap: gap.as_secs(), weight: max_file_bytes / WEIGHT_PER_FILE_BYTE }
}

/// The actor.
pub struct History {
    settings: Settings,
    birth: Birth,
    /// `None` until the file has been read, or given up.
    chronicle: Option<Chronicle>,
    writing: bool,
    draining: bool,
    status: Status,
}

/// What a probe tells.
#[derive(Debug, Clone, Default, Serialize)]
struct Status {
    /// Servers that are known.
    servers: usize,
    /// Bytes that they take in memory, roughly.
    held_bytes: u64,
    /// Of the file, when it was last written.
    file_bytes: Option<u64>,
    /// Crawls that were taken in.
    crawls: u64,
    /// Crawls from which nothing followed.
    crawls_passed_over: u64,
    /// Batches that were written, and that were not.
    writes: u64,
    writes_failed: u64,
    /// Files that could not be used, and rows of one that could.
    files_put_aside: u64,
    rows_unreadable: usize,
    /// Why the last batch was not written, or the file not read.
    last_error: Option<String>,
}

impl History {
    /// An actor that reads the file, and then follows the monitor.
    pub fn new(settings: Settings, birth: Birth) -> Self {
        let (chronicle, status) = (None, Status::default());
        Self { settings, birth, chronicle, writing: false, draining: false, status }
    }

    fn opened(
        opened: Result<Result<Opened, StoreError>, JoinError>,
        this: &mut Self,
        ctx: &mut Context<Self>,
    ) {
        let limits = this.settings.limits();
        let chronicle = match flat(opened) {
            Ok(Opened { kept, put_aside }) => {
                this.status.rows_unreadable = kept.unreadable;
                this.tell_put_aside(put_aside);
                let (servers, unreadable_rows) = (kept.lives.len(), kept.unreadable);
                tracing::info!(servers, unreadable_rows, "history read");
                Chronicle::of(limits, kept.coverage, kept.lives)
            }
            Err(error) => {
                this.failed(error);
                Chronicle::new(limits)
            }
        };
        this.publish(&chronicle);
        this.chronicle = Some(chronicle);
        // What was seen while the file was read comes next.
        this.follow(ctx);
    }

    /// Waits for the next crawl, and makes of it what history needs: off the arbiter, since a large swarm has thousands of
    /// ids to be read.
    fn follow(&mut self, ctx: &mut Context<Self>) {
        let mut crawls = self.settings.crawls.clone();
        let next = async move {
            // Nobody tells any more when the whole tree ends.
            crawls.changed().await.ok()?;
            let state = crawls.borrow_and_update().clone();
            let crawl = spawn_blocking(move || state.as_deref().and_then(crawls::of)).await.ok().flatten();
            Some((crawls, crawl))
        };
        ctx.spawn(next.into_actor(self).map(|next, this, ctx| {
            let Some((crawls, crawl)) = next else { return };
            this.settings.crawls = crawls;
            this.take_in(crawl, ctx);
            this.follow(ctx);
        }));
    }

    fn take_in(&mut self, crawl: Option<Crawl>, ctx: &mut Context<Self>) {
        let Some(chronicle) = &mut self.chronicle else { return };
        let Some(crawl) = crawl else {
            self.status.crawls_passed_over += 1;
            return;
        };
        self.status.crawls += 1;
        chronicle.observe(&crawl);
        let chronicle = chronicle.clone();
        self.publish(&chronicle);
        self.save(ctx);
    }

    fn publish(&mut self, chronicle: &Chronicle) {
        (self.status.servers, self.status.held_bytes) = (chronicle.lives().len(), chronicle.weight());
        self.settings.told.send_replace(Arc::new(chronicle.clone()));
    }

    /// Writes what has changed, unless a batch is on its way: its end comes back here.
    fn save(&mut self, ctx: &mut Context<Self>) {
        if self.writing || self.draining {
            return;
        }
        if let Some(batch) = self.batch() {
            self.writing = true;
            let written = write(self.settings.clone(), batch);
            ctx.spawn(written.into_actor(self).map(|written, this, _| this.written(written)));
        }
    }

    fn batch(&mut self) -> Option<Batch> {
        let chronicle = self.chronicle.as_mut()?;
        Some(Batch { lives: chronicle.take_touched(), coverage: chronicle.coverage().clone() })
    }

    fn written(&mut self, (result, batch): (Result<Written, StoreError>, Vec<libp2p::PeerId>)) {
        self.writing = false;
        let Some(chronicle) = &mut self.chronicle else { return };
        match result {
            Ok(Written { bytes, put_aside }) => {
                if put_aside.is_some() {
                    chronicle.touch_all();
                }
                if bytes > self.settings.max_file_bytes {
                    let (kept, of) = KEPT_OF_TOO_MUCH;
                    chronicle.make_room(chronicle.weight() / of * kept);
                }
                self.status.writes += 1;
                self.status.file_bytes = Some(bytes);
                self.tell_put_aside(put_aside);
                if self.status.last_error.take().is_some() {
                    tracing::info!("history is written again");
                }
            }
            Err(error) => {
                chronicle.touch(batch);
                self.status.writes_failed += 1;
                self.failed(error);
            }
        }
    }

    fn tell_put_aside(&mut self, why: Option<String>) {
        let Some(why) = why else { return };
        self.status.files_put_aside += 1;
        let file = self.settings.disk.file().display().to_string();
        tracing::warn!(file, why, "history file cannot be used: it was put aside, and a new one begun");
    }

    fn failed(&mut self, error: StoreError) {
        let error = error.to_string();
        if self.status.last_error.is_none() {
            let file = self.settings.disk.file().display().to_string();
            tracing::warn!(file, error, "history is not kept on disk: it is tried again with every crawl");
        }
        self.status.last_error = Some(error);
    }
}

/// Writes a batch on a thread of its own; gives back whom it was about.
async fn write(settings: Settings, batch: Batch) -> (Result<Written, StoreError>, Vec<libp2p::PeerId>) {
    let peers = batch.lives.iter().map(|(peer, _)| *peer).collect();
    let written = spawn_blocking(move || settings.disk.write(&batch, settings.max_file_bytes)).await;
    (flat(written), peers)
}

/// A panic on the way is an error like others: redb panics at damage that it did not expect.
fn flat<T>(joined: Result<Result<T, StoreError>, JoinError>) -> Result<T, StoreError> {
    joined.unwrap_or_else(|error| Err(StoreError::Unusable(error.to_string())))
}

impl Actor for History {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let disk = self.settings.disk.clone();
        let opened = spawn_blocking(move || disk.load());
        ctx.spawn(opened.into_actor(self).map(Self::opened));
        // Nobody waits for a disk.
        self.birth.ready.notify();
    }
}

impl Handler<Probe> for History {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        ProbeReport::of(&self.status)
    }
}

impl Handler<Drain> for History {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        self.draining = true;
        let (settings, batch) = (self.settings.clone(), self.batch());
        // A batch that is on its way holds the file, and this one waits for it there.
        let last = async move {
            let disk = settings.disk.clone();
            if let Some(batch) = batch {
                let _ = timeout(LAST_WRITE_DEADLINE, write(settings, batch)).await;
            }
            let _ = timeout(LAST_WRITE_DEADLINE, spawn_blocking(move || disk.close())).await;
        };
        Box::pin(last.into_actor(self))
    }
}
