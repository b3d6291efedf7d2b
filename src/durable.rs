//! Files that are there whole or not at all, whenever the power goes: written beside their place,
//! flushed, then moved into it. Only we can read them (mode 0600).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Mode of the files: keys are among them.
const FILE_MODE: u32 = 0o600;
/// Mode of the folders that we make.
const FOLDER_MODE: u32 = 0o700;

/// Makes a folder, and those above it that are missing, for us alone. One that is there stays as it is.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)
}

/// Creates a file; fails with `AlreadyExists`, and leaves it alone, if it is there.
pub(crate) fn create(file: &Path, content: &[u8]) -> io::Result<()> {
    let draft = draft(file, content)?;
    // A hard link, unlike a rename, never replaces.
    let linked = fs::hard_link(&draft, file);
    fs::remove_file(&draft)?;
    linked?;
    flush_folder_of(file)
}

/// Creates a file or replaces its content.
pub(crate) fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    let draft = draft(file, content)?;
    if let Err(error) = fs::rename(&draft, file) {
        // The draft is of no use to anyone; that it stays is no worse than the error itself.
        let _ = fs::remove_file(&draft);
        return Err(error);
    }
    flush_folder_of(file)
}

/// Reads a file that is no larger than `limit` bytes.
pub(crate) fn read(file: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(file)?.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::other(format!("it is larger than {limit} bytes")));
    }
    Ok(content)
}

fn draft(file: &Path, content: &[u8]) -> io::Result<PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    name.push(format!(".{:016x}", rand::random::<u64>()));
    let draft = file.with_file_name(name);
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&draft)?;
        file.write_all(content)?;
        file.sync_all()
    };
    match write() {
        Ok(()) => Ok(draft),
        Err(error) => {
            let _ = fs::remove_file(&draft);
            Err(error)
        }
    }
}

fn flush_folder_of(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn create_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        create(&file, b"first").unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, FILE_MODE);
        assert_eq!(create(&file, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&file, 5).unwrap(), b"first");
        assert!(read(&file, 4).is_err());
        assert_eq!(entries(folder.path()), 1, "no draft is left");
    }

    #[test]
    fn replace_replaces_all_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("address");
        replace(&file, b"a longer first one").unwrap();
        replace(&file, b"second").unwrap();
        assert_eq!(read(&file, 100).unwrap(), b"second");
        assert!(replace(&folder.path().join("no/folder"), b"").is_err());
        assert_eq!(entries(folder.path()), 1, "no draft is left");
    }
}
