//! `[supervisor]`: how patient the supervisor is with its actors. A key in `[supervisor.<actor>]`
//! holds for that actor, one in `[supervisor]` itself for every actor that has none of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use petald_actors::supervisor::{Backoff, ChildSettings, Intensity, LONGEST_FIRST_DELAY};

use super::section::Section;
use super::values::duration;

/// The actors that can be given settings.
const ACTORS: [&str; 16] = [
    "network",
    "dht",
    "bootstrap",
    "server_info",
    "backend",
    "rpc_info",
    "announcer",
    "pinger",
    "reachability",
    "observer",
    "monitor",
    "history",
    "alerts",
    "admin",
    "config_keeper",
    "watchdog",
];

/// How one actor is supervised.
#[derive(Debug, Clone)]
struct Patience {
    /// Before the first restart.
    backoff_min: Duration,
    /// The most before any restart.
    backoff_max: Duration,
    /// Between two questions whether the actor still answers.
    probe_period: Duration,
    /// How long an answer may take.
    probe_deadline: Duration,
    /// How long a start may take until the actor is ready.
    start_deadline: Duration,
    /// How long a drain may take.
    stop_deadline: Duration,
}

/// `[supervisor]`
#[derive(Debug, Clone)]
pub(crate) struct Supervisor {
    actors: BTreeMap<&'static str, Patience>,
    others: Patience,
}

impl Supervisor {
    /// The settings of an actor.
    pub(crate) fn of(&self, actor: &str) -> ChildSettings {
        self.actors.get(actor).unwrap_or(&self.others).child_settings()
    }

    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let sections = ACTORS.map(|actor| (actor, section.section(actor)));
        let others = Patience::read(&mut section, |section, key, _| section.take(key, duration));
        let actors = sections.map(|(actor, mut section)| {
            // Where the base is wrong too, that has been noted there.
            let patience = Patience::read(&mut section, |section, key, field| {
                section.optional(key, duration)?.or(others.as_ref().map(field))
            });
            Some((actor, patience?))
        });
        let actors = actors.into_iter().collect::<Option<BTreeMap<_, _>>>();
        Some(Self { actors: actors?, others: others? })
    }
}

impl Patience {
    fn child_settings(&self) -> ChildSettings {
        let base = Backoff::default();
        // Whoever serves for less time than it waited is not healthy.
        let reset_after = base.reset_after.max(self.backoff_max);
        let backoff = Backoff { first: self.backoff_min, cap: self.backoff_max, reset_after, ..base };
        ChildSettings {
            backoff,
            start_deadline: self.start_deadline,
            stop_deadline: self.stop_deadline,
            probe_period: self.probe_period,
            probe_deadline: self.probe_deadline,
            ..ChildSettings::default()
        }
    }

    /// Takes every key with `take`, which also knows how to get it from other settings.
    fn read(
        section: &mut Section<'_>,
        take: impl Fn(&mut Section<'_>, &str, fn(&Self) -> Duration) -> Option<Duration>,
    ) -> Option<Self> {
        let backoff_min = take(section, "backoff_min", |other| other.backoff_min);
        let backoff_max = take(section, "backoff_max", |other| other.backoff_max);
        let probe_period = take(section, "probe_period", |other| other.probe_period);
        let probe_deadline = take(section, "probe_deadline", |other| other.probe_deadline);
        let start_deadline = take(section, "start_deadline", |other| other.start_deadline);
        let stop_deadline = take(section, "stop_deadline", |other| other.stop_deadline);
        let patience = Self {
            backoff_min: backoff_min?,
            backoff_max: backoff_max?,
            probe_period: probe_period?,
            probe_deadline: probe_deadline?,
            start_deadline: start_deadline?,
            stop_deadline: stop_deadline?,
        };
        // Noted once here; sections that build on this one need not repeat it.
        match patience.wrong() {
            None => Some(patience),
            Some((key, what, remedy)) => {
                section.wrong(key, what, remedy);
                None
            }
        }
    }

    /// The key that is wrong together with others, what is wrong, and what would be right.
    fn wrong(&self) -> Option<(&'static str, String, String)> {
        let most = humantime::format_duration(LONGEST_FIRST_DELAY);
        let backoff = self.child_settings().backoff;
        if backoff.first > LONGEST_FIRST_DELAY {
            let what = "keeps a crashed actor away for too long".into();
            Some(("backoff_min", what, format!("expected at most {most}")))
        } else if backoff.cap < backoff.first {
            Some(("backoff_max", "is below backoff_min".into(), "raise it".into()))
        } else if let Err(error) = Intensity::default().validate(&backoff, Duration::ZERO) {
            let what = format!("the supervisor would never give up: {error}");
            Some(("backoff_max", what, "lower it".into()))
        } else {
            None
        }
    }
}
