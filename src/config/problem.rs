//! What is wrong with a config, and where each value came from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The layer that a value came from, as exactly as it is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// The defaults that are compiled in.
    Defaults,
    /// A TOML file, and the line (from 1) in it.
    File {
        /// The file as the operator named it, or `embedded config`.
        file: Arc<Path>,
        /// The line, counted from 1.
        line: usize,
    },
    /// An environment variable, by its name.
    Environment(String),
    /// A `--set` on the command line.
    Argument,
}

impl Origin {
    /// Whether values of this layer are plain text whose type is told by the key alone.
    pub(super) fn is_text(&self) -> bool {
        matches!(self, Self::Environment(_) | Self::Argument)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => write!(f, "built-in defaults"),
            Self::File { file, line } => write!(f, "{}:{line}", file.display()),
            Self::Environment(variable) => write!(f, "{variable}"),
            Self::Argument => write!(f, "--set"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// Where it was written; none if it is missing everywhere.
    pub(crate) origin: Option<Origin>,
    /// The key, with dots; empty if the file as a whole cannot be understood.
    pub(crate) key: String,
    /// What is wrong.
    pub(crate) what: String,
    /// What would be right; may be empty.
    pub(crate) remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}", self.what)?;
        if !self.remedy.is_empty() {
            write!(f, "; {}", self.remedy)?;
        }
        Ok(())
    }
}

/// Why there is no config.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read at all.
    #[error("cannot read the config file {}: {source}", file.display())]
    Unreadable {
        /// The file as the operator named it.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Everything that is wrong, in the order of files and lines.
    #[error("{}", list(problems, file.as_deref()))]
    Wrong {
        /// The file as the operator named it; none if the embedded config was used.
        file: Option<PathBuf>,
        /// What is wrong.
        problems: Vec<Problem>,
    },
}

impl ConfigError {
    /// Each thing that is wrong.
    pub(crate) fn lines(&self) -> Vec<String> {
        match self {
            Self::Unreadable { .. } => vec![self.to_string()],
            Self::Wrong { problems, .. } => problems.iter().map(ToString::to_string).collect(),
        }
    }
}

fn list(problems: &[Problem], file: Option<&Path>) -> String {
    let mut text: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
    let errors = if problems.len() == 1 { "error" } else { "errors" };
    text.push_str(&format!("{} config {errors}", problems.len()));
    if let Some(file) = file {
        text.push_str(&format!(", config file {}", file.display()));
    }
    text
}
