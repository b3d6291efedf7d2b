//! The log of this process, as far as the API tells of it and changes it.

/// The log, as whoever keeps it gives it in. It is asked from the API's own thread.
pub trait LogControl: Send + Sync {
    /// The levels in force.
    fn levels(&self) -> LogLevels;

    /// Other levels from now on: both, or neither. The error names each of `files` and `console` that is wrong, and what
    /// would be right.
    fn set(&self, levels: &LogLevels) -> Result<(), Vec<(&'static str, String)>>;

    /// Lines that were lost so far.
    fn dropped_lines(&self) -> u64;
}

/// What is logged: levels, and levels of targets, such as `info,petald_actors=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevels {
    /// Of the files.
    pub files: String,
    /// Of the console; `None` if nothing goes there.
    pub console: Option<String>,
}
