//! Files that cannot be used are moved out of the way, not deleted: someone may want to know what happened.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::flush_folder_of;

/// Files of one name that are kept aside; the oldest makes room.
pub const MOST_ASIDE: usize = 3;

/// Moves a file to `<name>.damaged-1`, and those that were moved before it one number on. Gives back where it is now.
pub fn set_aside(file: &Path) -> io::Result<PathBuf> {
    for number in (1..MOST_ASIDE).rev() {
        match fs::rename(aside(file, number), aside(file, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let place = aside(file, 1);
    fs::rename(file, &place)?;
    flush_folder_of(file)?;
    Ok(place)
}

fn aside(file: &Path, number: usize) -> PathBuf {
    let mut name = file.file_name().map(OsString::from).unwrap_or_default();
    name.push(format!(".damaged-{number}"));
    file.with_file_name(name)
}
