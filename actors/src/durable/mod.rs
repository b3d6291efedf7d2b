//! Files that are there whole or not at all, whenever the process is killed or the power goes: written beside their
//! place, flushed, then moved into it. Only we can read them (mode 0600).
//!
//! What a program reads back may still have been damaged by others: [`seal`] shows it, [`set_aside`] keeps it for
//! whoever wants to know why. Everything here waits for the disk: call it off the actors' arbiter.

mod aside;
mod seal;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub use aside::{MOST_ASIDE, set_aside};
pub use seal::{SealError, seal, unseal};

/// Mode of the files: keys are among them.
const FILE_MODE: u32 = 0o600;
/// Mode of the folders that we make.
const FOLDER_MODE: u32 = 0o700;
/// Hex digits at the end of a draft's name.
const DRAFT_DIGITS: usize = 16;

/// What is done to replace a file, in this order. A test stops before each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    CreateDraft,
    WriteDraft,
    FlushDraft,
    Rename,
    FlushFolder,
}

/// Called before each step; an error ends the work there.
type Interruption<'a> = &'a mut dyn FnMut(Step) -> io::Result<()>;

/// Makes a folder, and those above it that are missing, for us alone. One that is there stays as it is.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)
}

/// Creates a file; fails with `AlreadyExists`, and leaves it alone, if it is there.
pub fn create(file: &Path, content: &[u8]) -> io::Result<()> {
    let draft = draft(file, content, &mut |_| Ok(()))?;
    // A hard link, unlike a rename, never replaces.
    let linked = fs::hard_link(&draft, file);
    fs::remove_file(&draft)?;
    linked?;
    flush_folder_of(file)
}

/// Creates a file or replaces its content.
pub fn replace(file: &Path, content: &[u8]) -> io::Result<()> {
    replace_in_steps(file, content, &mut |_| Ok(()))
}

/// Reads a file that is no larger than `limit` bytes.
pub fn read(file: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(file)?.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::other(format!("it is larger than {limit} bytes")));
    }
    Ok(content)
}

/// Removes the drafts of `file` that a killed process left. Nobody else may be writing it meanwhile.
pub fn sweep(file: &Path) -> io::Result<()> {
    let stem = draft_stem(file)?;
    for entry in fs::read_dir(folder_of(file))? {
        let entry = entry?;
        let name = entry.file_name();
        let digits = name.as_encoded_bytes().strip_prefix(stem.as_encoded_bytes());
        if digits.is_some_and(|d| d.len() == DRAFT_DIGITS && d.iter().all(u8::is_ascii_hexdigit)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn replace_in_steps(file: &Path, content: &[u8], before: Interruption<'_>) -> io::Result<()> {
    let draft = draft(file, content, before)?;
    if let Err(error) = before(Step::Rename).and_then(|()| fs::rename(&draft, file)) {
        // The draft is of no use to anyone; that it stays is no worse than the error itself.
        let _ = fs::remove_file(&draft);
        return Err(error);
    }
    before(Step::FlushFolder)?;
    flush_folder_of(file)
}

fn draft(file: &Path, content: &[u8], before: Interruption<'_>) -> io::Result<PathBuf> {
    let mut name = draft_stem(file)?;
    name.push(format!("{:0DRAFT_DIGITS$x}", rand::random::<u64>()));
    let draft = file.with_file_name(name);
    let mut write = || {
        before(Step::CreateDraft)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&draft)?;
        before(Step::WriteDraft)?;
        file.write_all(content)?;
        before(Step::FlushDraft)?;
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

/// How the names of a file's drafts begin.
fn draft_stem(file: &Path) -> io::Result<OsString> {
    let mut stem = OsString::from(".");
    stem.push(file.file_name().ok_or(io::ErrorKind::InvalidInput)?);
    stem.push(".");
    Ok(stem)
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn flush_folder_of(file: &Path) -> io::Result<()> {
    File::open(folder_of(file))?.sync_all()
}
