//! Which events reach the log files and the console, while the process runs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::reload;

use crate::config::{self, Directives};

/// The levels in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Levels {
    /// Of the files.
    pub(crate) files: Directives,
    /// Of the console; none if nothing goes there.
    pub(crate) console: Option<Directives>,
}

/// Why levels were not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LevelsError {
    /// The text let a filter pass that is none.
    #[error(transparent)]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The log has ended, or panicked.
    #[error(transparent)]
    Gone(#[from] reload::Error),
}

/// Reads and changes the levels in force, from any thread. Cheap to clone.
#[derive(Clone)]
pub(crate) struct LogLevels(Arc<Inner>);

struct Inner {
    files: Replace,
    console: Replace,
    /// Held while they are changed, so that it tells what is in force.
    now: Mutex<Levels>,
}

/// Puts another filter in the place of one. A closure, since handles are of different types.
pub(super) type Replace = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

impl Levels {
    /// What the config says.
    pub(crate) fn of(config: &config::Log) -> Self {
        Self { files: config.level.clone(), console: config.console.clone() }
    }

    /// Whether they are levels.
    pub(crate) fn validate(&self) -> Result<(), LevelsError> {
        self.files_filter().and_then(|_| self.console_filter()).map(drop)
    }

    pub(super) fn files_filter(&self) -> Result<EnvFilter, LevelsError> {
        Ok(self.files.filter()?)
    }

    pub(super) fn console_filter(&self) -> Result<EnvFilter, LevelsError> {
        match &self.console {
            Some(directives) => Ok(directives.filter()?),
            None => Ok(EnvFilter::default().add_directive(LevelFilter::OFF.into())),
        }
    }
}

impl LogLevels {
    pub(super) fn new(now: Levels, files: Replace, console: Replace) -> Self {
        Self(Arc::new(Inner { files, console, now: Mutex::new(now) }))
    }

    /// The levels in force.
    pub(crate) fn get(&self) -> Levels {
        self.0.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Other levels from the next event on.
    pub(crate) fn set(&self, levels: Levels) -> Result<(), LevelsError> {
        let mut now = self.0.now.lock().unwrap_or_else(PoisonError::into_inner);
        let (files, console) = (levels.files_filter()?, levels.console_filter()?);
        (self.0.files)(files)?;
        (self.0.console)(console)?;
        *now = levels;
        Ok(())
    }
}

impl fmt::Debug for LogLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogLevels").field(&self.get()).finish()
    }
}

/// A filter that can be replaced, and what replaces it.
pub(super) fn replaceable<S: Subscriber + 'static>(
    filter: EnvFilter,
) -> (reload::Layer<EnvFilter, S>, Replace) {
    let (filter, handle) = reload::Layer::new(filter);
    (filter, Box::new(move |filter| handle.reload(filter)))
}
