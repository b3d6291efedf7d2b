//! The file as all incarnations of the actor share it: made once in the life of the process, so that one that follows
//! another waits for what that one still writes. Waits for the disk: call it off the actors' arbiter.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::store::{self, Batch, Kept, Store, StoreError};

/// A file's place, and the file once it is open. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Disk {
    file: Arc<Path>,
    store: Arc<Mutex<Option<Store>>>,
}

/// What came of opening the file.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) kept: Kept,
    /// Why the file that was there was put aside, if it was.
    pub(super) put_aside: Option<String>,
}

/// What came of a batch.
#[derive(Debug)]
pub(super) struct Written {
    /// Of the file.
    pub(super) bytes: u64,
    /// Why the file was put aside before: it holds nothing but this batch now.
    pub(super) put_aside: Option<String>,
}

impl Disk {
    /// In this file.
    pub fn in_file(file: PathBuf) -> Self {
        Self { file: file.into(), store: Arc::default() }
    }

    /// Where it is.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    fn lock(&self) -> MutexGuard<'_, Option<Store>> {
        // A store whose writer panicked is dropped by it; there is nothing half done in an option.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads all of it.
    pub(super) fn load(&self) -> Result<Opened, StoreError> {
        let mut store = self.lock();
        let (opened, put_aside) = match store.take() {
            Some(open) => (open, None),
            None => store::open_or_begin_anew(&self.file)?,
        };
        let kept = opened.read()?;
        *store = Some(opened);
        Ok(Opened { kept, put_aside })
    }

    /// Writes a batch. A file that has outgrown `most` bytes is first given the form that takes least.
    pub(super) fn write(&self, batch: &Batch, most: u64) -> Result<Written, StoreError> {
        let mut store = self.lock();
        // Taken out of its place: after an error the database is no longer to be trusted, and is opened anew.
        let (mut open, put_aside) = match store.take() {
            Some(open) => (open, None),
            None => store::open_or_begin_anew(&self.file)?,
        };
        open.write(batch)?;
        if open.bytes() > most {
            open.compact()?;
        }
        let written = Written { bytes: open.bytes(), put_aside };
        *store = Some(open);
        Ok(written)
    }

    /// Closes the file, so that the next to open it has nothing to mend.
    pub(super) fn close(&self) {
        self.lock().take();
    }
}
