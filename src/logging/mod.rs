//! Where events go: a folder of rolling files and the console (stderr).
//!
//! Both are written by threads of their own behind bounded queues, so that a slow disk or a terminal
//! that nobody reads costs log lines, never a late answer to a peer. A disk that is full or read-only costs the lines
//! that it cannot take ([`files`]); they are counted ([`Log::dropped_lines`]).
//!
//! | module | holds |
//! | --- | --- |
//! | [`levels`] | which events are logged, changed while the process runs |
//! | [`files`] | the files as a stream of lines that never fails |
//! | [`shelf`] | the folder: names, and what is kept |

mod control;
mod files;
mod levels;
mod shelf;
#[cfg(test)]
mod tests;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;

use petald_actors::clock::{SharedClock, SystemClock};
use tracing::Subscriber;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Filter, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{self, Format};
use files::{LogFiles, Shared};

pub(crate) use levels::{Levels, LevelsError, LogLevels};
pub(crate) use shelf::Policy;

/// Lines that wait for the disk or the console. Their places are there from the start, 32 bytes each; at 200 bytes each,
/// they take under half a MiB when all are taken.
const WAITING_LINES: usize = 2048;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoggingError {
    /// The config let levels pass that are none.
    #[error(transparent)]
    Levels(#[from] LevelsError),
    /// Somebody in this process logs already.
    #[error(transparent)]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// The log of this process. What still waits is written when it is dropped.
#[must_use = "events are lost once it is dropped"]
#[derive(Debug)]
pub(crate) struct Logging {
    log: Log,
    _writers: Vec<WorkerGuard>,
}

/// The log as others deal with it, from any thread. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    levels: LogLevels,
    files: Arc<Shared>,
    queues: [ErrorCounter; 2],
}

impl Logging {
    /// Sends the events of this process to `folder` and the console from now on. A folder that cannot be used now is
    /// tried again with every line: nobody goes unseen for want of a log.
    pub(crate) fn start(config: &config::Log, folder: &Path) -> Result<Self, LoggingError> {
        let (subscriber, logging, opened) = layers(config, folder, Arc::new(SystemClock))?;
        subscriber.try_init()?;
        if let Err(error) = opened {
            let folder = folder.display().to_string();
            tracing::warn!(folder, %error, "log files cannot be opened, and are tried again");
        }
        Ok(logging)
    }

    /// The handle for everybody else.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }
}

impl Log {
    /// The levels in force, to be changed at any time.
    pub(crate) fn levels(&self) -> &LogLevels {
        &self.levels
    }

    /// How much is kept from now on.
    pub(crate) fn set_policy(&self, policy: Policy) {
        self.files.set_policy(policy);
    }

    /// Opens the file again under its name: the old one may have been moved or removed.
    pub(crate) fn reopen(&self) {
        self.files.reopen();
    }

    /// Lines that reached neither a file nor, of those meant for it, the console: their queue was full, or the disk.
    pub(crate) fn dropped_lines(&self) -> u64 {
        let queues = self.queues.iter().map(|queue| queue.dropped_lines() as u64);
        queues.fold(self.files.lost(), u64::saturating_add)
    }
}

impl Policy {
    /// What the config says.
    pub(crate) fn of(config: &config::Log) -> Self {
        Self { rotation: config.rotation, keep: config.keep.get(), keep_bytes: config.keep_bytes }
    }
}

/// The subscriber, its other end, and what came of opening the first file.
fn layers(
    config: &config::Log,
    folder: &Path,
    clock: SharedClock,
) -> Result<(impl Subscriber + Send + Sync + use<>, Logging, io::Result<()>), LoggingError> {
    let shared = Shared::new(Policy::of(config));
    let (to_files, opened) = LogFiles::new(folder, clock, Arc::clone(&shared));
    let (to_files, files_guard) = writer("log-files", to_files);
    let (to_console, console_guard) = writer("log-console", io::stderr());
    let queues = [to_files.error_counter(), to_console.error_counter()];

    let levels = Levels::of(config);
    let (filter, replace_files) = levels::replaceable(levels.files_filter()?);
    let files = layer(config.format, to_files, false, filter);
    let (filter, replace_console) = levels::replaceable(levels.console_filter()?);
    let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let console = layer(config.format, to_console, colours, filter);

    let levels = LogLevels::new(levels, replace_files, replace_console);
    let subscriber = tracing_subscriber::registry().with(files).with(console);
    let log = Log { levels, files: shared, queues };
    Ok((subscriber, Logging { log, _writers: vec![files_guard, console_guard] }, opened))
}

fn writer(thread: &str, to: impl io::Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .thread_name(thread)
        .finish(to)
}

fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(
    format: Format,
    writer: NonBlocking,
    colours: bool,
    filter: impl Filter<S> + Send + Sync + 'static,
) -> Box<dyn Layer<S> + Send + Sync> {
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours);
    match format {
        Format::Text => layer.with_filter(filter).boxed(),
        Format::Json => layer.json().flatten_event(true).with_filter(filter).boxed(),
    }
}
