//! The folder of log files: their names, and which of them are kept.
//!
//! A file is named after the day or the hour in which it was begun (UTC): `petald.2026-11-24.log`. One that grows
//! too large is put aside with a number, `petald.2026-11-24.1.log`, and its name is used again. What has another
//! kind of name is not ours, and stays.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hivemind_proto::time::DhtTime;

use crate::config::Rotation;

const PREFIX: &str = "petald";
const SUFFIX: &str = ".log";
/// The current file takes at most this part of all bytes, so that what came before it is not lost at once.
const PARTS: u64 = 8;

/// What of the log is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Policy {
    /// When a new file is begun.
    pub(crate) rotation: Rotation,
    /// Files, the current one among them.
    pub(crate) keep: u32,
    /// Bytes of all files together.
    pub(crate) keep_bytes: u64,
}

impl Policy {
    /// The most that one file holds, in bytes.
    pub(super) fn largest_file(&self) -> u64 {
        self.keep_bytes / PARTS
    }
}

/// What tells a file from those of other days or hours; empty if there is one file for all times.
pub(super) fn period(rotation: Rotation, now: DhtTime) -> String {
    // A clock far beyond all calendars reads as 1970, as one before it does.
    let since_epoch = Duration::try_from_secs_f64(now.as_unix()).unwrap_or_default();
    let now = SystemTime::UNIX_EPOCH.checked_add(since_epoch).unwrap_or(SystemTime::UNIX_EPOCH);
    let text = humantime::format_rfc3339_seconds(now).to_string();
    match rotation {
        Rotation::Daily => text.chars().take("2026-11-24".len()).collect(),
        Rotation::Hourly => text.chars().take("2026-11-24T05".len()).collect::<String>().replace('T', "-"),
        Rotation::Never => String::new(),
    }
}

/// The file of a period.
pub(super) fn file(folder: &Path, period: &str) -> PathBuf {
    let dot = if period.is_empty() { "" } else { "." };
    folder.join(format!("{PREFIX}{dot}{period}{SUFFIX}"))
}

/// Puts the file of a period aside, with a number that is higher than all others.
pub(super) fn put_aside(folder: &Path, period: &str) -> io::Result<()> {
    let current = file(folder, period);
    let stem = current.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let number = |name: &str| name.strip_prefix(&stem)?.strip_prefix('.')?.strip_suffix(SUFFIX)?.parse().ok();
    let highest = names(folder)?.iter().filter_map(|name| number(name)).max().unwrap_or(0_u64);
    fs::rename(&current, folder.join(format!("{stem}.{}{SUFFIX}", highest.saturating_add(1))))
}

/// Removes the oldest files until a current one, however large it becomes, is within the policy.
pub(super) fn prune(folder: &Path, current: &Path, policy: Policy) -> io::Result<()> {
    let mut others = Vec::new();
    for name in names(folder)? {
        let path = folder.join(&name);
        if path != current {
            let about = fs::symlink_metadata(&path)?;
            // Files of one moment are told apart by their numbers.
            others.push((about.modified()?, name.len(), name, about.len(), path));
        }
    }
    // The newest first.
    others.sort_by(|one, other| other.cmp(one));
    let (mut files, mut bytes) = (1, policy.largest_file());
    for (_, _, _, size, path) in others {
        (files, bytes) = (files + 1, bytes.saturating_add(size));
        if files > policy.keep || bytes > policy.keep_bytes {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The names of our files.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let names = fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| is_ours(name)).collect())
}

fn is_ours(name: &str) -> bool {
    let middle = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
    let is_dated = |middle: &str| {
        middle.starts_with('.')
            && middle.chars().all(|char| char.is_ascii_digit() || char == '.' || char == '-')
    };
    middle.is_some_and(|middle| middle.is_empty() || is_dated(middle))
}
