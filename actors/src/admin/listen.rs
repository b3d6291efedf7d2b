//! Where the API listens: TCP on loopback, or a Unix socket that only we can open.

use std::fmt;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Mode of the socket.
const SOCKET_MODE: u32 = 0o600;
/// Mode of the folder in which the socket gets its mode.
const FOLDER_MODE: u32 = 0o700;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// An IP address, and a port that may be 0.
    Tcp(SocketAddr),
    /// The path of a socket.
    Unix(PathBuf),
}

/// Where we listen, with the port that the system chose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// An IP address and its port.
    Tcp(SocketAddr),
    /// The path of a socket.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that accepts connections.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    /// With its path, which is not the one it was bound to.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Listens; where the config leaves the port open, on that of `again`.
    pub(super) fn bind(listen: &Listen, again: Option<&Bound>) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => {
                let address = match again {
                    Some(Bound::Tcp(again)) if address.port() == 0 => again,
                    _ => address,
                };
                TcpListener::bind(address).map(Self::Tcp)
            }
            Listen::Unix(path) => bind_unix(path).map(|listener| Self::Unix(listener, path.clone())),
        }
    }

    pub(super) fn bound(&self) -> io::Result<Bound> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Bound::Tcp),
            Self::Unix(_, path) => Ok(Bound::Unix(path.clone())),
        }
    }
}

/// A socket is made with the mode that the umask leaves it, so it is made where nobody can reach it, and moved to its
/// place once its mode is right. That replaces one whose owner is gone.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there, and is no socket"));
        }
        Ok(_) if UnixStream::connect(path).is_ok() => return Err(io::ErrorKind::AddrInUse.into()),
        _ => {}
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Short: the path of a socket has a limit of about 100 bytes.
    let folder = parent.join(format!(".{:08x}", rand::random::<u32>()));
    DirBuilder::new().mode(FOLDER_MODE).create(&folder)?;
    let draft = folder.join("s");
    let bound = UnixListener::bind(&draft).and_then(|listener| {
        fs::set_permissions(&draft, Permissions::from_mode(SOCKET_MODE))?;
        fs::rename(&draft, path)?;
        Ok(listener)
    });
    // If something could not be done, that error is told; a folder that stays is empty.
    let _ = fs::remove_file(&draft);
    let _ = fs::remove_dir(&folder);
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unix_socket_is_private_and_replaces_only_a_dead_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let listener = bind_unix(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        UnixStream::connect(&path).unwrap();
        assert_eq!(bind_unix(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        bind_unix(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        let file = folder.path().join("file");
        fs::write(&file, "precious").unwrap();
        bind_unix(&file).unwrap_err();
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }
}
