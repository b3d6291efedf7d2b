//! `[log]`: what is logged, where, and for how long it is kept.

use std::num::NonZeroU32;
use std::path::PathBuf;

use super::entry::{Entry, Parsed};
use super::section::Section;
use super::values::{Directives, bytes, count, directives, path, word};

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// When a new file is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rotation {
    /// At midnight, UTC.
    Daily,
    /// At each full hour.
    Hourly,
    /// Never.
    Never,
}

const FORMAT: &[(&str, Format)] = &[("text", Format::Text), ("json", Format::Json)];
const ROTATION: &[(&str, Rotation)] =
    &[("daily", Rotation::Daily), ("hourly", Rotation::Hourly), ("never", Rotation::Never)];
/// Says that nothing goes to the console.
const OFF: &str = "off";

/// A file takes an eighth of all bytes, and has room for a day without events.
const FEWEST_BYTES: u64 = 256 << 10;

/// `[log]`
#[derive(Debug, Clone)]
pub(crate) struct Log {
    /// The folder, if not the one in the data folder.
    pub(crate) dir: Option<PathBuf>,
    /// How a line looks, in files and on the console.
    pub(crate) format: Format,
    /// What goes into the files.
    pub(crate) level: Directives,
    /// When a new file is begun.
    pub(crate) rotation: Rotation,
    /// How many files are kept, the current one among them.
    pub(crate) keep: NonZeroU32,
    /// How many bytes are kept, of all files together.
    pub(crate) keep_bytes: u64,
    /// What goes to the console, if anything.
    pub(crate) console: Option<Directives>,
}

impl Log {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let dir = section.optional("dir", path);
        let format = section.take("format", word(FORMAT));
        let level = section.take("level", directives);
        let rotation = section.take("rotation", word(ROTATION));
        let keep = section.take("keep", count);
        let keep_bytes = section.take("keep_bytes", keep_bytes);
        let console = section.take("console", console);
        Some(Self {
            dir: dir?,
            format: format?,
            level: level?,
            rotation: rotation?,
            keep: keep?,
            keep_bytes: keep_bytes?,
            console: console?,
        })
    }
}

fn keep_bytes(entry: &Entry) -> Parsed<u64> {
    let kept = bytes(entry)?;
    if kept < FEWEST_BYTES {
        let least = FEWEST_BYTES >> 10;
        return entry.wrong("leaves no room for a day's events", format!("expected at least \"{least}KiB\""));
    }
    Ok(kept)
}

fn console(entry: &Entry) -> Parsed<Option<Directives>> {
    if entry.text()? == OFF { Ok(None) } else { directives(entry).map(Some) }
}
