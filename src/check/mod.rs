//! `petald check`: whether the config would work here, now. Each thing that is tried is a line.

mod bootstraps;
mod machine;
#[cfg(test)]
mod tests;

use std::fmt;

use crate::config::Config;
use crate::progress::Progress;

/// What was tried, and what came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    what: String,
    /// What it is like, or why it does not work.
    outcome: Result<String, String>,
}

impl Finding {
    /// Whether it works.
    pub(crate) fn is_ok(&self) -> bool {
        self.outcome.is_ok()
    }

    fn new(what: impl Into<String>, outcome: Result<impl Into<String>, impl fmt::Display>) -> Self {
        let outcome = outcome.map(Into::into).map_err(|error| error.to_string());
        Self { what: what.into(), outcome }
    }

    fn ok(what: impl Into<String>, outcome: impl Into<String>) -> Self {
        Self { what: what.into(), outcome: Ok(outcome.into()) }
    }

    fn failed(what: impl Into<String>, cause: impl Into<String>) -> Self {
        Self { what: what.into(), outcome: Err(cause.into()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(outcome) => write!(f, "ok      {}: {outcome}", self.what),
            Err(outcome) => write!(f, "FAILED  {}: {outcome}", self.what),
        }
    }
}

/// Tries everything that the config names outside of itself. Within a multi-threaded runtime only.
pub(crate) async fn check(config: &Config, progress: &Progress) -> Vec<Finding> {
    let mut findings = machine::findings(config);
    findings.extend(bootstraps::findings(&config.network, progress).await);
    findings
}
