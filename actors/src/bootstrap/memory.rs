//! What outlives one incarnation of the actor and, with a file, the process.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::known_peers::KnownPeers;
use crate::durable;

/// What kind of file it is, in its first line.
const KIND: &str = "known_peers";
/// Of the content.
const FORMAT: u32 = 1;
/// In bytes: 64 peers with four addresses of 320 characters each are below 100 KiB.
const LARGEST_FILE: u64 = 256 * 1024;

/// The peers that are remembered. Make one for each process, and give it to every incarnation.
#[derive(Debug, Clone, Default)]
pub struct PeerMemory(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    file: Option<PathBuf>,
    known: Mutex<KnownPeers>,
    /// Whether the file has been read, and what came of it. Held while the file is read or written, so that a write
    /// which outlives its incarnation never replaces a later one.
    file_state: Mutex<FileState>,
}

#[derive(Debug, Default)]
struct FileState {
    read: bool,
}

/// A file that could not be used.
#[derive(Debug)]
pub(super) struct Unusable {
    pub(super) cause: String,
    /// Where it is now, or why it is still where it was.
    pub(super) aside: String,
}

impl PeerMemory {
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

    /// The peers. Nobody holds them for longer than a look.
    pub(super) fn known(&self) -> MutexGuard<'_, KnownPeers> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what the file holds, the first time. Waits for the disk.
    pub(super) fn load(&self) -> Result<(), Unusable> {
        let mut state = self.0.file_state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = self.file() else { return Ok(()) };
        if std::mem::replace(&mut state.read, true) {
            return Ok(());
        }
        // What a killed process has left only takes room.
        let _ = durable::sweep(file);
        let content = match durable::read(file, LARGEST_FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            content => content.map_err(|error| error.to_string()),
        };
        let read = content.and_then(|content| {
            let content = durable::unseal(KIND, FORMAT, &content).map_err(|error| error.to_string())?;
            KnownPeers::read(content).ok_or_else(|| "its content makes no sense".to_owned())
        });
        match read {
            Ok(read) => {
                self.known().merge(read);
                Ok(())
            }
            Err(cause) => {
                let aside = match durable::set_aside(file) {
                    Ok(place) => place.display().to_string(),
                    Err(error) => format!("could not be moved: {error}"),
                };
                Err(Unusable { cause, aside })
            }
        }
    }

    /// Writes the file if there is something new. Waits for the disk.
    pub(super) fn save(&self) -> io::Result<()> {
        let state = self.0.file_state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = self.file().filter(|_| state.read) else { return Ok(()) };
        let content = {
            let mut known = self.known();
            if !known.is_worth_writing() {
                return Ok(());
            }
            known.write()
        };
        durable::replace(file, &durable::seal(KIND, FORMAT, &content))
            .inspect_err(|_| self.known().not_written())
    }
}
