//! `[history]`: how servers were seen over time, and for how long that is kept.

use std::time::Duration;

use super::section::Section;
use super::values::{boolean, bytes, duration};

/// Below, the empty database would not fit twice.
const SMALLEST_FILE_BYTES: u64 = 4 << 20;
/// All of it is held in memory as well.
const LARGEST_FILE_BYTES: u64 = 1 << 30;

/// `[history]`
#[derive(Debug, Clone)]
pub(crate) struct History {
    /// Whether there is one.
    pub(crate) enabled: bool,
    /// The most that its file may take.
    pub(crate) max_file_bytes: u64,
    /// For how long changes are remembered.
    pub(crate) keep: Duration,
}

impl History {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let enabled = section.take("enabled", boolean);
        let max_size = section.take("max_size", bytes);
        let keep = section.take("keep", duration);
        let max_file_bytes = max_size.filter(|size| {
            let right = (SMALLEST_FILE_BYTES..=LARGEST_FILE_BYTES).contains(size);
            if !right {
                section.wrong("max_size", "is out of range", "expected \"4MiB\" to \"1GiB\"");
            }
            right
        });
        Some(Self { enabled: enabled?, max_file_bytes: max_file_bytes?, keep: keep? })
    }
}
