//! The file: a redb database of three tables, each row of which can be read by itself. Everything here waits for the
//! disk: call it off the actors' arbiter.
//!
//! | table | rows |
//! | --- | --- |
//! | `about` | `format`: the version of all this, as a byte |
//! | `lives` | a peer id in bytes: a life, as in `encoding.rs` |
//! | `coverage` | `spans`: when we looked |
//!
//! A commit is there whole or not at all, whenever the process is killed (`redb/docs/design.md`: two commit slots, each
//! with a checksum). What others do to the file shows in its checksums when it is opened.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use libp2p::PeerId;
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, backends::FileBackend,
};

use super::{
    coverage::Coverage,
    encoding::{coverage_of_bytes, coverage_to_bytes, life_of_bytes, life_to_bytes},
    life::Life,
};
use crate::durable;

/// Changes with whatever a version that knows only this one could not read.
const FORMAT: u8 = 1;

/// For pages of the file. All that is there is read once, and held elsewhere.
const CACHE_BYTES: usize = 1 << 20;

/// Rows are read by nobody else, but they are not for everybody.
const FILE_MODE: u32 = 0o600;

const ABOUT: TableDefinition<&str, &[u8]> = TableDefinition::new("about");
const LIVES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("lives");
const COVERAGE: TableDefinition<&str, &[u8]> = TableDefinition::new("coverage");
/// The only rows of the small tables.
const FORMAT_ROW: &str = "format";
const SPANS_ROW: &str = "spans";

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// Another process has it open.
    #[error("another process holds it")]
    Locked,
    /// No database, or none of ours, or one that was damaged.
    #[error("{0}")]
    Unusable(String),
    /// The disk refuses.
    #[error("{0}")]
    Disk(String),
}

/// The open file.
#[derive(Debug)]
pub(super) struct Store {
    file: PathBuf,
    database: Database,
}

/// What is written at a time.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Lives that changed; `None` for one that is not there any more.
    pub(super) lives: Vec<(PeerId, Option<Arc<Life>>)>,
    /// When we looked.
    pub(super) coverage: Coverage,
}

/// What was in the file.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) lives: Vec<(PeerId, Life)>,
    pub(super) coverage: Coverage,
    /// Rows that cannot be read.
    pub(super) unreadable: usize,
}

impl Store {
    /// Opens the file, or makes it, and sees that all of it is as it was written.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE).open(path);
        let file = file.map_err(|error| StoreError::Disk(error.to_string()))?;
        let backend = FileBackend::new(file)?;
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let database = builder.create_with_backend(backend)?;
        let store = Self { file: path.to_owned(), database };
        store.introduce()?;
        Ok(store)
    }

    /// Makes the tables, or sees that they are of the format that is known here.
    fn introduce(&self) -> Result<(), StoreError> {
        let transaction = self.database.begin_write().map_err(unusable)?;
        {
            let mut about = transaction.open_table(ABOUT).map_err(unusable)?;
            let format = about.get(FORMAT_ROW).map_err(unusable)?.map(|format| format.value().to_vec());
            match format {
                None => drop(about.insert(FORMAT_ROW, &[FORMAT][..]).map_err(unusable)?),
                Some(format) if format == [FORMAT] => {}
                Some(format) => {
                    return Err(StoreError::Unusable(format!("its format is {format:?}, not {FORMAT}")));
                }
            }
            transaction.open_table(LIVES).map_err(unusable)?;
            transaction.open_table(COVERAGE).map_err(unusable)?;
        }
        transaction.commit().map_err(unusable)
    }

    /// All that is in it.
    pub(super) fn read(&self) -> Result<Kept, StoreError> {
        let transaction = self.database.begin_read().map_err(unusable)?;
        let mut kept = Kept::default();
        for row in transaction.open_table(LIVES).map_err(unusable)?.iter().map_err(unusable)? {
            let (peer, life) = row.map_err(unusable)?;
            match (PeerId::from_bytes(peer.value()).ok(), life_of_bytes(life.value())) {
                (Some(peer), Some(life)) => kept.lives.push((peer, life)),
                _ => kept.unreadable += 1,
            }
        }
        let coverage = transaction.open_table(COVERAGE).map_err(unusable)?;
        if let Some(spans) = coverage.get(SPANS_ROW).map_err(unusable)? {
            kept.coverage = coverage_of_bytes(spans.value());
        }
        Ok(kept)
    }

    /// Writes a batch, whole or not at all.
    pub(super) fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let transaction = self.database.begin_write().map_err(unusable)?;
        {
            let mut lives = transaction.open_table(LIVES).map_err(unusable)?;
            for (peer, life) in &batch.lives {
                let key = peer.to_bytes();
                match life {
                    Some(life) => drop(lives.insert(&key[..], &life_to_bytes(life)[..]).map_err(unusable)?),
                    None => drop(lives.remove(&key[..]).map_err(unusable)?),
                }
            }
            let mut coverage = transaction.open_table(COVERAGE).map_err(unusable)?;
            coverage.insert(SPANS_ROW, &coverage_to_bytes(&batch.coverage)[..]).map_err(unusable)?;
        }
        transaction.commit().map_err(|error| StoreError::Disk(error.to_string()))
    }

    /// Gives back what the file does not need; it never shrinks by itself.
    pub(super) fn compact(&mut self) -> Result<(), StoreError> {
        self.database.compact().map(drop).map_err(unusable)
    }

    /// How large the file is.
    pub(super) fn bytes(&self) -> u64 {
        std::fs::metadata(&self.file).map_or(0, |about| about.len())
    }
}

/// Opens the file; where it cannot be used, puts it aside and begins another one. Tells why, then.
pub(super) fn open_or_begin_anew(file: &Path) -> Result<(Store, Option<String>), StoreError> {
    // redb panics at some damage; that is the file's fault, not ours.
    let opened = std::panic::catch_unwind(|| Store::open(file))
        .unwrap_or_else(|_| Err(StoreError::Unusable("it is damaged".into())));
    let why = match opened {
        Ok(store) => return Ok((store, None)),
        Err(StoreError::Disk(why)) => return Err(StoreError::Disk(why)),
        Err(error) => error.to_string(),
    };
    durable::set_aside(file).map_err(|error| StoreError::Disk(error.to_string()))?;
    Ok((Store::open(file)?, Some(why)))
}

fn unusable(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Io(error) => StoreError::from_io(error),
        error => StoreError::Unusable(error.to_string()),
    }
}

impl StoreError {
    /// What is wrong with the content comes as an error of the disk as well.
    fn from_io(error: std::io::Error) -> Self {
        use std::io::ErrorKind::{InvalidData, UnexpectedEof};
        match error.kind() {
            InvalidData | UnexpectedEof => Self::Unusable(error.to_string()),
            _ => Self::Disk(error.to_string()),
        }
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => Self::Locked,
            error => unusable(error),
        }
    }
}
