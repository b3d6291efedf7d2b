//! `[announce]`: how often our records are renewed, and how long they live.

use std::time::Duration;

use super::section::Section;
use super::values::duration;

/// A record must outlive two renewals that failed.
const TTL_PERIODS: u32 = 3;
/// More often than this, other peers would be kept busy.
const SHORTEST_PERIOD: Duration = Duration::from_secs(1);
/// No petald takes a record that expires later.
const LONGEST_TTL: Duration = Duration::from_secs(24 * 3600);
/// From here on a node that is gone is listed for so long that clients suffer.
const LONG_TTL: Duration = Duration::from_secs(3600);

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
        if let Some(period) = period.filter(|period| *period < SHORTEST_PERIOD) {
            let what = format!("{} would keep other peers busy", humantime::format_duration(period));
            let least = humantime::format_duration(SHORTEST_PERIOD);
            section.wrong("period", what, format!("expected at least \"{least}\""));
        }
        if let Some(ttl) = ttl.filter(|ttl| *ttl > LONG_TTL) {
            let said = humantime::format_duration(ttl);
            let most = humantime::format_duration(LONGEST_TTL);
            if ttl > LONGEST_TTL {
                section.wrong(
                    "ttl",
                    format!("{said} is more than others take"),
                    format!("expected at most \"{most}\""),
                );
            } else {
                let what = format!("a node that is killed is still listed for {said}");
                section.warn("ttl", what, "some minutes are enough where records are renewed in time");
            }
        }
        Some(Self { period: period?, ttl: ttl? })
    }
}
