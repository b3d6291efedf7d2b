//! The log files as one stream of lines, which never fails: what cannot be written is counted, and the next line is
//! tried again.
//!
//! tracing-appender's own rolling file cannot be reopened, knows no limit in bytes, and tries a file that it could not
//! open again a day later; so from there we take the thread and its queue alone.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use petald_actors::clock::SharedClock;
use petald_actors::durable;
use tokio::time::Instant;

use super::shelf::{self, Policy};

/// From a failure to the next attempt: on a full disk each costs a few system calls.
const RETRY: Duration = Duration::from_millis(250);
/// So long without a failure is the end of one. On a disk that is almost full some lines fit, and others do not.
const CALM: Duration = Duration::from_secs(5);

/// What others may say to the files and ask of them.
#[derive(Debug)]
pub(super) struct Shared {
    policy: Mutex<Policy>,
    /// How often they were to be opened again.
    reopenings: AtomicU64,
    /// Lines that were not written.
    lost: AtomicU64,
}

impl Shared {
    pub(super) fn new(policy: Policy) -> Arc<Self> {
        Arc::new(Self { policy: Mutex::new(policy), reopenings: AtomicU64::new(0), lost: AtomicU64::new(0) })
    }

    /// Holds from the next line on.
    pub(super) fn set_policy(&self, policy: Policy) {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner) = policy;
        self.reopen();
    }

    /// The next line goes to the file that has the name then, whatever became of the one before.
    pub(super) fn reopen(&self) {
        self.reopenings.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn policy(&self) -> Policy {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes whole lines, one a call.
pub(super) struct LogFiles {
    folder: PathBuf,
    clock: SharedClock,
    shared: Arc<Shared>,
    open: Option<Open>,
    /// The reopenings that were obeyed.
    reopened: u64,
    /// The last line was written in part.
    torn: bool,
    trouble: Option<Trouble>,
}

/// The current file.
struct Open {
    file: File,
    path: PathBuf,
    period: String,
    bytes: u64,
}

/// Lines are being lost.
struct Trouble {
    last: Instant,
    lost: u64,
}

impl LogFiles {
    /// Opens the first file, as far as that can be done now.
    pub(super) fn new(folder: &Path, clock: SharedClock, shared: Arc<Shared>) -> (Self, io::Result<()>) {
        let mut files = Self {
            folder: folder.into(),
            clock,
            shared,
            open: None,
            reopened: 0,
            torn: false,
            trouble: None,
        };
        let opened = files.ready(0).map(drop);
        (files, opened)
    }

    /// The file for a line of so many bytes.
    fn ready(&mut self, bytes: u64) -> io::Result<&mut Open> {
        let policy = self.shared.policy();
        let period = shelf::period(policy.rotation, self.clock.now());
        let reopenings = self.shared.reopenings.load(Ordering::Relaxed);
        let stale = std::mem::replace(&mut self.reopened, reopenings) != reopenings;
        let open = self.open.take().filter(|open| !stale && open.period == period);
        let open = match open {
            Some(open) if open.bytes > 0 && open.bytes.saturating_add(bytes) > policy.largest_file() => {
                shelf::put_aside(&self.folder, &period)?;
                None
            }
            open => open,
        };
        let open = match open {
            Some(open) => open,
            None => {
                let open = Open::at(&self.folder, &period)?;
                // What cannot be removed now is tried again with the next file.
                let _ = shelf::prune(&self.folder, &open.path, policy);
                open
            }
        };
        Ok(self.open.insert(open))
    }

    fn put(&mut self, line: &[u8]) -> io::Result<()> {
        // Half a line stays alone: what follows is whole again.
        let line = if self.torn { [b"\n", line].concat() } else { line.to_owned() };
        let open = self.ready(line.len() as u64)?;
        let before = open.bytes;
        let written = open.write(&line);
        let some_of_it = open.bytes > before;
        self.torn = if written.is_err() { self.torn || some_of_it } else { false };
        written
    }

    fn lost(&mut self, error: &io::Error) {
        self.open = None;
        self.shared.lost.fetch_add(1, Ordering::Relaxed);
        let began = self.trouble.is_none();
        let trouble = self.trouble.get_or_insert(Trouble { last: Instant::now(), lost: 0 });
        *trouble = Trouble { last: Instant::now(), lost: trouble.lost + 1 };
        if began {
            // For the console: the files cannot take it.
            let folder = self.folder.display().to_string();
            tracing::warn!(folder, %error, "log lines are lost: the files cannot be written, and are tried again");
        }
    }
}

/// Whoever writes is told that all went well: an error would have the rest of the line sent again.
impl Write for LogFiles {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.trouble.as_ref().is_some_and(|trouble| trouble.last.elapsed() < RETRY) {
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            if let Some(trouble) = &mut self.trouble {
                trouble.lost += 1;
            }
            return Ok(line.len());
        }
        match self.put(line) {
            Err(error) => self.lost(&error),
            Ok(()) => {
                if let Some(Trouble { lost, .. }) =
                    self.trouble.take_if(|trouble| trouble.last.elapsed() >= CALM)
                {
                    tracing::info!(lost, "log files are written again");
                }
            }
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Open {
    fn at(folder: &Path, period: &str) -> io::Result<Self> {
        let path = shelf::file(folder, period);
        let open = || OpenOptions::new().create(true).append(true).open(&path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                durable::create_folder(folder)?;
                open()?
            }
            opened => opened?,
        };
        let bytes = file.metadata()?.len();
        Ok(Self { file, path, period: period.into(), bytes })
    }

    /// Writes all of it, or counts how much of it was.
    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.bytes = self.bytes.saturating_add(written as u64);
                    bytes = &bytes[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
