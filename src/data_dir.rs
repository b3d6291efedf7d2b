//! The data folder: everything that outlives the process. One petald holds it at a time.
//!
//! | file | holds |
//! | --- | --- |
//! | `lock` | the pid of its holder; locked as long as that lives |
//! | `identity` | our key, unless the config names another file |
//! | `dht_node_id` | our place in hivemind's DHT, in hex, so that a restart takes it again |
//! | `server_info` | the figures that a backend or the operator gave while the node ran, and the count of changes |
//! | `*.damaged-1` to `-3` | files that could not be used, the newest first |
//! | `admin.addr` | where the admin API listens, while it does |
//! | `log/` | log files, unless the config names another folder |

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hivemind_proto::dht::DhtId;
use petald_actors::durable;

/// A pid has at most 10 digits.
const LARGEST_LOCK_BYTES: u64 = 32;
/// 40 hex digits and an end of line, and nothing that is much larger is read.
const LARGEST_NODE_ID_BYTES: u64 = 256;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DataDirError {
    /// Another process has it.
    #[error("the data folder {} is in use by {}", folder.display(), holder_name(*holder))]
    InUse {
        /// The folder.
        folder: PathBuf,
        /// The holder's pid, if it has written it already.
        holder: Option<u32>,
    },
    /// It, or a file in it, cannot be read or written.
    #[error("cannot use {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn holder_name(holder: Option<u32>) -> String {
    holder.map_or("another petald".into(), |pid| format!("another petald, pid {pid}"))
}

/// The data folder, held by this process until it is dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    folder: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the folder if need be, and takes it.
    pub(crate) fn open(folder: &Path) -> Result<Self, DataDirError> {
        durable::create_folder(folder).map_err(io_error(folder))?;
        let path = folder.join("lock");
        // Not truncated: until the lock is ours, the pid in it is another's.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut lock = options.open(&path).map_err(io_error(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataDirError::InUse { folder: folder.into(), holder: pid_in(&lock) });
            }
            Err(TryLockError::Error(source)) => return Err(io_error(&path)(source)),
        }
        let written = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        written.map_err(io_error(&path))?;
        let data_dir = Self { folder: folder.into(), _lock: lock };
        data_dir.forget_admin_address();
        Ok(data_dir)
    }

    /// Who holds a folder, if someone does: the pid, if it is known.
    pub(crate) fn holder(folder: &Path) -> Option<Option<u32>> {
        let lock = File::open(folder.join("lock")).ok()?;
        match lock.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(pid_in(&lock)),
            _ => None,
        }
    }

    /// Our DHT node id; made and kept if there is none yet.
    pub(crate) fn node_id(&self) -> Result<DhtId, DataDirError> {
        let path = self.folder.join("dht_node_id");
        match durable::read(&path, LARGEST_NODE_ID_BYTES) {
            Ok(text) => match std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok()) {
                Some(id) => return Ok(id),
                // Another place in the DHT costs less than a node that does not start.
                None => tracing::warn!(file = %path.display(), "dht node id unreadable, made a new one"),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(io_error(&path)(source)),
        }
        let id = DhtId::random(&mut rand::rng());
        durable::replace(&path, format!("{id}\n").as_bytes()).map_err(io_error(&path))?;
        Ok(id)
    }

    /// Says where the admin API listens: `127.0.0.1:8780` or `unix:PATH`.
    pub(crate) fn put_admin_address(&self, address: &str) -> Result<(), DataDirError> {
        let path = self.admin_address_file();
        durable::replace(&path, format!("{address}\n").as_bytes()).map_err(io_error(&path))
    }

    /// The admin API listens no more.
    pub(crate) fn forget_admin_address(&self) {
        // It is not there, or the next start removes it.
        let _ = fs::remove_file(self.admin_address_file());
    }

    fn admin_address_file(&self) -> PathBuf {
        self.folder.join("admin.addr")
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        self.forget_admin_address();
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    move |source| DataDirError::Io { path: path.into(), source }
}

fn pid_in(lock: &File) -> Option<u32> {
    let mut text = String::new();
    lock.take(LARGEST_LOCK_BYTES).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("a/b");
        assert_eq!(DataDir::holder(&folder), None);
        let first = DataDir::open(&folder).unwrap();
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(DataDir::holder(&folder), Some(Some(std::process::id())));
        let second = DataDir::open(&folder).unwrap_err();
        let told = format!("is in use by another petald, pid {}", std::process::id());
        assert!(second.to_string().ends_with(&told), "{second}");
        assert_eq!(DataDir::holder(&folder), Some(Some(std::process::id())), "the second one left it alone");
        drop(first);
        assert_eq!(DataDir::holder(&folder), None);
        DataDir::open(&folder).unwrap();
    }

    #[test]
    fn the_node_id_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let id = DataDir::open(folder.path()).unwrap().node_id().unwrap();
        let data_dir = DataDir::open(folder.path()).unwrap();
        assert_eq!(data_dir.node_id().unwrap(), id);
        for broken in ["", "00", &"z".repeat(40), &"0".repeat(41), &"é".repeat(20), &"0".repeat(300)] {
            fs::write(folder.path().join("dht_node_id"), broken).unwrap();
            let other = data_dir.node_id();
            if broken.len() > 256 {
                other.unwrap_err();
            } else {
                assert_ne!(other.unwrap(), id, "{broken}");
            }
        }
    }

    #[test]
    fn the_admin_address_is_there_while_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("admin.addr");
        let data_dir = DataDir::open(folder.path()).unwrap();
        data_dir.put_admin_address("127.0.0.1:1").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "127.0.0.1:1\n");
        drop(data_dir);
        assert!(!file.exists());
        fs::write(&file, "of one that was killed").unwrap();
        let _data_dir = DataDir::open(folder.path()).unwrap();
        assert!(!file.exists());
    }
}
