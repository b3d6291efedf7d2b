//! `[announce]`: how often our records are renewed, and how long they live.

use std::time::Duration;

use super::section::Section;
use super::values::duration;

/// A record must outlive two renewals that failed.
const TTL_PERIODS: u32 = 3;

/// `[announce]`
#[derive(Debug, Clone)]
pub(crate) struct Announce {
    /// Between two renewals of every record.
    pub(crate) period: Duration,
    /// How long a record lives from its last renewal.
    pub(crate) ttl: Duration,
}

impl Announce {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let period = section.take("period", duration);
        let ttl = section.take("ttl", duration);
        if let (Some(period), Some(ttl)) = (period, ttl)
            && ttl < period * TTL_PERIODS
        {
            let least = humantime::format_duration(period * TTL_PERIODS);
            section.wrong(
                "ttl",
                format!("{} leaves no margin for a failed renewal", humantime::format_duration(ttl)),
                format!("expected at least {TTL_PERIODS} periods, here \"{least}\""),
            );
        }
        Some(Self { period: period?, ttl: ttl? })
    }
}
