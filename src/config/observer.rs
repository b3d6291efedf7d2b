//! `[observer]`: how often a stranger looks whether we are visible.

use std::time::Duration;

use super::section::Section;
use super::values::duration;

/// A look makes connections to other peers, and they are not to be bothered more often.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// `[observer]`
#[derive(Debug, Clone)]
pub(crate) struct Observer {
    /// Between two looks while we are visible; while we are not, they come sooner.
    pub(crate) interval: Duration,
}

impl Observer {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let interval = section.take("interval", duration)?;
        if interval < SHORTEST_INTERVAL {
            let what = format!("{} would keep other peers busy", humantime::format_duration(interval));
            let least = humantime::format_duration(SHORTEST_INTERVAL);
            section.wrong("interval", what, format!("expected at least \"{least}\""));
            return None;
        }
        Some(Self { interval })
    }
}
