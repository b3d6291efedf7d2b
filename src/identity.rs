//! Our key. A file holds it as a libp2p `PrivateKey` protobuf, as hivemind (`hivemind/p2p`,
//! `generate_identity`: RSA, PKCS#1 in DER) and p2pd (`-id`) write it. Our own are Ed25519.
//!
//! A key is created once and never overwritten: whoever loses it is another peer. An RSA key keeps the
//! very bytes it came in, since libp2p reads RSA keys but does not write them.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use libp2p::PeerId;
use libp2p::identity::{DecodingError, KeyType, Keypair};
use petald_actors::durable;

/// An RSA key of 8192 bits takes under 5 KiB.
const LARGEST_FILE_BYTES: u64 = 16 << 10;
/// The mode bits that let others than the owner at a file.
const OTHERS: u32 = 0o077;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// A file cannot be read or written.
    #[error("cannot {what} the identity file {}: {source}", file.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "{} holds no key that we can use ({source}); expected a libp2p PrivateKey, Ed25519 or RSA, as hivemind \
         and p2pd write it",
        file.display()
    )]
    NoKey {
        /// The file.
        file: PathBuf,
        /// What libp2p said.
        source: DecodingError,
    },
    /// There is a key already.
    #[error("{} is there already, and a key is never overwritten: move it away first", .0.display())]
    Exists(PathBuf),
}

/// A key, and the file it came from.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    keypair: Keypair,
    file: PathBuf,
}

impl Identity {
    /// Reads a key.
    pub(crate) fn load(file: &Path) -> Result<Self, IdentityError> {
        let (keypair, _) = read(file)?;
        Ok(Self { keypair, file: file.into() })
    }

    /// Creates a key; there must be none.
    pub(crate) fn create(file: &Path) -> Result<Self, IdentityError> {
        let keypair = Keypair::generate_ed25519();
        let bytes = keypair.to_protobuf_encoding();
        let bytes = bytes.map_err(|source| IdentityError::NoKey { file: file.into(), source })?;
        write(file, &bytes)?;
        Ok(Self { keypair, file: file.into() })
    }

    /// Reads the key, or creates it if there is none.
    pub(crate) fn load_or_create(file: &Path) -> Result<Self, IdentityError> {
        match Self::load(file) {
            Err(IdentityError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Self::create(file)
            }
            other => other,
        }
    }

    /// Copies the key of another program, byte for byte; there must be none here.
    pub(crate) fn import(from: &Path, file: &Path) -> Result<Self, IdentityError> {
        let (keypair, bytes) = read(from)?;
        write(file, &bytes)?;
        Ok(Self { keypair, file: file.into() })
    }

    /// Copies the key of `file`, byte for byte, to where nothing is yet, for its owner alone.
    pub(crate) fn export(file: &Path, to: &Path) -> Result<Self, IdentityError> {
        let (keypair, bytes) = read(file)?;
        write(to, &bytes)?;
        Ok(Self { keypair, file: to.into() })
    }

    /// The key itself.
    pub(crate) fn keypair(&self) -> &Keypair {
        &self.keypair
    }

    /// The name under which the swarm knows us.
    pub(crate) fn peer_id(&self) -> PeerId {
        self.keypair.public().to_peer_id()
    }

    /// The kind of key, as people write it.
    pub(crate) fn key_type(&self) -> &'static str {
        match self.keypair.key_type() {
            KeyType::Ed25519 => "Ed25519",
            KeyType::RSA => "RSA",
            _ => "other",
        }
    }

    /// The file that holds it.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// What is wrong with the file's mode, if others can read or write it.
    pub(crate) fn exposure(&self) -> Option<String> {
        Self::exposure_of(&self.file)
    }

    /// The same of a file that need not be there.
    pub(crate) fn exposure_of(file: &Path) -> Option<String> {
        let mode = std::fs::metadata(file).ok()?.permissions().mode();
        (mode & OTHERS != 0).then(|| {
            let file = file.display();
            format!("others can get at the key (mode {:04o}): chmod 600 {file}", mode & 0o7777)
        })
    }
}

fn read(file: &Path) -> Result<(Keypair, Vec<u8>), IdentityError> {
    let bytes = durable::read(file, LARGEST_FILE_BYTES).map_err(|source| IdentityError::Io {
        what: "read",
        file: file.into(),
        source,
    })?;
    let keypair = Keypair::from_protobuf_encoding(&bytes)
        .map_err(|source| IdentityError::NoKey { file: file.into(), source })?;
    Ok((keypair, bytes))
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let created = if folder.as_os_str().is_empty() { Ok(()) } else { durable::create_folder(folder) };
    created.and_then(|()| durable::create(file, bytes)).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => IdentityError::Exists(file.into()),
        _ => IdentityError::Io { what: "create", file: file.into(), source },
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Made by hivemind 1.1.12's `P2P.generate_identity`; its peer id is what `PeerID.from_identity` said.
    const HIVEMIND: &str = "src/fixtures/hivemind-rsa.identity";
    const HIVEMIND_PEER_ID: &str = "QmPnXSzccaB3wHMGgyvs8QMSBSkoQJAPM5XwqJ64Rfs7gD";

    #[test]
    fn created_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("data/identity");
        let created = Identity::load_or_create(&file).unwrap();
        assert_eq!(Identity::load_or_create(&file).unwrap().peer_id(), created.peer_id());
        assert!(matches!(Identity::create(&file), Err(IdentityError::Exists(_))));
        assert_eq!(created.exposure(), None);
        // What go-libp2p writes and reads: type Ed25519, 64 bytes of secret and public key.
        let bytes = fs::read(&file).unwrap();
        assert_eq!((&bytes[..4], bytes.len()), (&[0x08, 0x01, 0x12, 0x40][..], 68));
    }

    #[test]
    fn a_hivemind_identity_is_imported_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("identity");
        let imported = Identity::import(Path::new(HIVEMIND), &file).unwrap();
        assert_eq!(imported.peer_id().to_string(), HIVEMIND_PEER_ID);
        assert_eq!(imported.key_type(), "RSA");
        assert_eq!(fs::read(&file).unwrap(), fs::read(HIVEMIND).unwrap());
        let loaded = Identity::load_or_create(&file).unwrap();
        assert_eq!(loaded.peer_id(), imported.peer_id());
        assert!(loaded.keypair().public().verify(b"message", &loaded.keypair().sign(b"message").unwrap()));
        assert!(matches!(Identity::import(Path::new(HIVEMIND), &file), Err(IdentityError::Exists(_))));
    }

    #[test]
    fn a_backup_restores_the_node() {
        let folder = tempfile::tempdir().unwrap();
        let [file, backup, restored] =
            ["identity", "safe/backup", "other/identity"].map(|name| folder.path().join(name));
        let created = Identity::create(&file).unwrap();
        let exported = Identity::export(&file, &backup).unwrap();
        assert_eq!((exported.file(), exported.exposure()), (&*backup, None), "0600, like the key itself");
        assert_eq!(fs::read(&backup).unwrap(), fs::read(&file).unwrap());
        assert!(matches!(Identity::export(&file, &backup), Err(IdentityError::Exists(_))));
        fs::remove_file(&file).unwrap();
        assert!(matches!(Identity::export(&file, &folder.path().join("x")), Err(IdentityError::Io { .. })));
        assert_eq!(Identity::import(&backup, &restored).unwrap().peer_id(), created.peer_id());
        assert_eq!(Identity::load(&restored).unwrap().exposure(), None);
    }

    #[test]
    fn what_is_no_key_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("identity");
        for garbage in
            [&b""[..], b"-----BEGIN PRIVATE KEY-----", &[0x08, 0x00, 0x12, 0x02, 1, 2], &[0; 20 << 10]]
        {
            fs::write(&file, garbage).unwrap();
            Identity::load_or_create(&file).unwrap_err();
            assert_eq!(fs::read(&file).unwrap(), garbage);
        }
    }

    #[test]
    fn a_readable_key_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("identity");
        let identity = Identity::create(&file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(identity.exposure().unwrap().contains("mode 0644"));
    }
}
