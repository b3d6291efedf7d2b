//! What outlives one incarnation of the actor and, with a file, the process.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{account::Account, page::Page};

/// What the next incarnation goes on with. Make one for each process, and give it to every incarnation: a crash of the
/// actor then loses nothing, not even the state.
#[derive(Debug, Clone, Default)]
pub struct Memory(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    file: Option<PathBuf>,
    account: Mutex<Option<Account>>,
    /// Held while the file is written, so that a write which outlives its incarnation never replaces a later one.
    writing: Mutex<()>,
    saved: AtomicU64,
}

impl Memory {
    /// A memory that ends with the process.
    pub fn volatile() -> Self {
        Self::default()
    }

    /// A memory that is kept in a file, whose folder is ours alone.
    pub fn in_file(file: PathBuf) -> Self {
        Self(Arc::new(Shared { file: Some(file), ..Shared::default() }))
    }

    pub(super) fn file(&self) -> Option<&Path> {
        self.0.file.as_deref()
    }

    pub(super) fn recall(&self) -> Option<Account> {
        self.0.account.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn remember(&self, account: &Account) {
        *self.0.account.lock().unwrap_or_else(PoisonError::into_inner) = Some(account.clone());
    }

    /// The version that is on disk; 0 if none of this process is.
    pub(super) fn saved(&self) -> u64 {
        self.0.saved.load(Ordering::Acquire)
    }

    /// Puts the latest account on disk, and gives back its version. Waits for the disk.
    pub(super) fn save(&self) -> io::Result<u64> {
        let _writing = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(account), Some(file)) = (self.recall(), self.file()) else { return Ok(self.saved()) };
        if account.version() > self.saved() {
            Page::of(&account).write(file)?;
            self.0.saved.store(account.version(), Ordering::Release);
        }
        Ok(account.version())
    }
}
