//! Keeps the file up with the account: one write at a time, off the arbiter, and again with backoff while it fails.

use std::{io, path::PathBuf, time::Duration};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use serde::Serialize;
use tokio::{sync::watch, task::JoinError, time::timeout};

use super::{ServerInfoStore, messages::SaveError};
use crate::supervisor::Backoff;

/// How long somebody waits to hear that a version is on disk. A healthy one answers in milliseconds.
const SAVE_DEADLINE: Duration = Duration::from_secs(2);

/// How far the file is.
#[derive(Debug, Clone, Default)]
pub(super) struct Saved {
    pub(super) version: u64,
    /// Writes that failed since the last that did not.
    pub(super) failures: u32,
    pub(super) error: Option<String>,
}

/// The file, as a probe tells of it.
#[derive(Debug, Serialize)]
pub(super) struct FileReport {
    path: PathBuf,
    saved_version: u64,
    failures: u32,
    last_error: Option<String>,
    /// What could not be used at the start, and was moved aside.
    set_aside: Option<String>,
}

impl ServerInfoStore {
    /// Begins to write, unless that is under way or there is nothing to write.
    pub(super) fn save(&mut self, ctx: &mut Context<Self>) {
        let version = self.account.as_ref().map_or(0, |account| account.version());
        let memory = self.settings.memory.clone();
        if self.saving || memory.file().is_none() || version <= self.saved.borrow().version {
            return;
        }
        self.saving = true;
        let write = actix_rt::task::spawn_blocking(move || memory.save());
        ctx.spawn(write.into_actor(self).map(Self::save_ended));
    }

    fn save_ended(result: Result<io::Result<u64>, JoinError>, this: &mut Self, ctx: &mut Context<Self>) {
        let file = this.settings.memory.file().map(|file| file.display().to_string()).unwrap_or_default();
        match result.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(version) => {
                this.saving = false;
                let failures = this.saved.send_replace(Saved { version, ..Saved::default() }).failures;
                if failures > 0 {
                    tracing::info!(file, failures, "server info is on disk again");
                }
                this.save(ctx);
            }
            Err(error) => {
                let failures = this.saved.borrow().failures.saturating_add(1);
                if failures == 1 {
                    tracing::warn!(file, %error, "server info cannot be written to disk");
                }
                let error = Some(error.to_string());
                this.saved.send_modify(|saved| (saved.failures, saved.error) = (failures, error));
                let delay = Backoff::default().delay(failures, rand::random());
                ctx.run_later(delay, |this, ctx| {
                    this.saving = false;
                    this.save(ctx);
                });
            }
        }
    }

    /// Waits until `version` is on disk, or a write fails, or the disk does not answer.
    pub(super) fn when_saved(&self, version: u64) -> impl Future<Output = Result<(), SaveError>> + use<> {
        let mut saved = self.saved.subscribe();
        let has_file = self.settings.memory.file().is_some() && self.account.is_some();
        async move {
            if !has_file {
                return Ok(());
            }
            let failures = saved.borrow().failures;
            let settled = saved.wait_for(|saved| saved.version >= version || saved.failures > failures);
            match timeout(SAVE_DEADLINE, settled).await {
                Ok(Ok(saved)) if saved.version >= version => Ok(()),
                Ok(Ok(saved)) => Err(SaveError { cause: saved.error.clone() }),
                _ => Err(SaveError { cause: None }),
            }
        }
    }

    pub(super) fn file_report(&self) -> Option<FileReport> {
        let Saved { version, failures, error } = self.saved.borrow().clone();
        Some(FileReport {
            path: self.settings.memory.file()?.to_owned(),
            saved_version: version,
            failures,
            last_error: error,
            set_aside: self.set_aside.clone(),
        })
    }

    pub(super) fn saved_until_now(&self) -> watch::Sender<Saved> {
        watch::Sender::new(Saved { version: self.settings.memory.saved(), ..Saved::default() })
    }
}
