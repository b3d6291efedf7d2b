//! What a command is waiting for, shown while it waits: on a terminal only, on standard error, and gone afterwards.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Between two pictures of a spinner.
const TICK: Duration = Duration::from_millis(100);

/// All that is under way. Where standard error is no terminal, nothing is shown.
#[derive(Debug, Default, Clone)]
pub(crate) struct Progress(MultiProgress);

impl Progress {
    /// One more thing is under way, until the value is dropped.
    pub(crate) fn begin(&self, what: &str) -> Shown {
        let spinner = self.0.add(ProgressBar::new_spinner());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix} {msg:.dim}") {
            spinner.set_style(style);
        }
        spinner.set_prefix(what.to_owned());
        if !spinner.is_hidden() {
            spinner.enable_steady_tick(TICK);
        }
        Shown(spinner)
    }
}

/// One thing that is under way.
#[derive(Debug)]
pub(crate) struct Shown(ProgressBar);

impl Shown {
    /// How far it is.
    pub(crate) fn at(&self, stage: &'static str) {
        self.0.set_message(stage);
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
