//! How the process ends: the operator's contract, in the numbers of `sysexits.h`.

use std::process::ExitCode;

use crate::config::ConfigError;
use crate::data_dir::DataDirError;
use crate::identity::IdentityError;
use crate::logging::LoggingError;
use crate::manual::ManualError;
use crate::status::StatusError;

/// An exit code and its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done; for `run`: every actor was drained.
    Done = 0,
    /// The command line is wrong.
    Usage = 64,
    /// `check` or `probe` found something that does not work; `status` found a node that is not visible; nobody let `map`
    /// in.
    Unavailable = 69,
    /// The root supervisor gave up.
    GaveUp = 70,
    /// A file or a socket could not be used; `status` found no node.
    Io = 74,
    /// Another petald holds the data folder.
    InUse = 75,
    /// The config is wrong.
    Config = 78,
}

/// A command line that clap accepts, and that asks for nothing that could be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Misuse {
    /// A peer is named, and nobody who could tell where it is.
    #[error(
        "a peer id alone says not where the peer is: name its swarm with --config FILE or --peer ADDR, or give its \
         whole address"
    )]
    NoWayIn,
    /// A swarm is to be shown, and nobody is named who is in it.
    #[error(
        "whose swarm? name somebody of it with --peer ADDR, or give a --config FILE that has initial peers; the config \
         that was taken has none"
    )]
    NoSwarm,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// Of something that was tried.
    pub(crate) fn works(works: bool) -> Self {
        if works { Self::Done } else { Self::Unavailable }
    }

    /// The code for an error, wherever it stands in the chain.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        let code = |cause: &(dyn std::error::Error + 'static)| {
            if cause.is::<ConfigError>() {
                return Some(Self::Config);
            }
            if cause.is::<Misuse>() || matches!(cause.downcast_ref(), Some(ManualError::NoPage(_))) {
                return Some(Self::Usage);
            }
            match cause.downcast_ref::<DataDirError>() {
                Some(DataDirError::InUse { .. }) => return Some(Self::InUse),
                Some(DataDirError::Io { .. }) => return Some(Self::Io),
                None => {}
            }
            let io = cause.is::<ManualError>()
                || cause.is::<StatusError>()
                || cause.is::<IdentityError>()
                || cause.is::<LoggingError>()
                || cause.is::<std::io::Error>();
            io.then_some(Self::Io)
        };
        error.chain().find_map(code).unwrap_or(Self::GaveUp)
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn the_first_known_cause_decides() {
        let in_use = DataDirError::InUse { folder: "x".into(), holder: None };
        assert_eq!(Exit::of(&Err::<(), _>(in_use).context("cannot start").unwrap_err()), Exit::InUse);
        let unreadable = ConfigError::Unreadable { file: "x".into(), source: std::io::Error::other("no") };
        assert_eq!(Exit::of(&unreadable.into()), Exit::Config);
        assert_eq!(Exit::of(&anyhow::anyhow!("something else")), Exit::GaveUp);
    }
}
