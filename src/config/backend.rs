//! `[backend]`: the model server whose health `server.state = "auto"` follows, and whose figures are announced.

use petald_actors::backend::{HealthSource, MOST_LOOKS, Settings};

use super::section::Section;
use super::values::{count_up_to, duration, parsed, path};

/// Reads the section; `given` if the operator wrote it.
pub(super) fn read(mut section: Section<'_>, given: bool) -> Option<Option<Settings>> {
    let health_url = section.optional("health_url", parsed);
    let health_file = section.optional("health_file", path);
    let max_age = section.take("max_age", duration);
    let interval = section.take("interval", duration);
    let timeout = section.take("timeout", duration);
    let healthy_after = section.take("healthy_after", count_up_to(MOST_LOOKS));
    let unhealthy_after = section.take("unhealthy_after", count_up_to(MOST_LOOKS));
    if let (Some(interval), Some(timeout)) = (interval, timeout)
        && timeout >= interval
    {
        let what = format!("{} is not shorter than interval", humantime::format_duration(timeout));
        section.wrong("timeout", what, "one look must end before the next begins");
    }
    let source = match (health_url?, health_file?) {
        (None, None) if given => {
            section.wrong("health_url", "is missing, and health_file too", "expected one of them");
            None
        }
        (None, None) => return Some(None),
        (Some(_), Some(_)) => {
            section.wrong("health_file", "is there beside health_url", "expected one of them");
            None
        }
        (Some(_), None) if section.given("max_age") => {
            section.wrong("max_age", "means nothing to a health_url", "leave it out");
            None
        }
        (Some(url), None) => Some(HealthSource::Url(url)),
        (None, Some(path)) => Some(HealthSource::File { path, max_age: max_age? }),
    };
    Some(Some(Settings {
        source: source?,
        interval: interval?,
        timeout: timeout?,
        healthy_after: healthy_after?,
        unhealthy_after: unhealthy_after?,
    }))
}
