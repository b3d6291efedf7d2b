//! `[monitor]`: how the whole swarm is looked at, for the map.

use std::time::Duration;

use hivemind_proto::records::{DhtPrefix, ModelInfo};
use petald_actors::monitor::When;

use super::entry::{Entry, Parsed};
use super::section::Section;
use super::values::{count_up_to, duration, list, word};

/// A crawl meets every peer of the swarm, and they are not to be bothered more often.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(5);

/// A crawl has to come in, search and call: what is shorter would see nothing.
const SHORTEST_DEADLINE: Duration = Duration::from_secs(3);

/// What a crawl found so long ago is not what is.
const LONGEST_DEADLINE: Duration = Duration::from_secs(300);

/// Servers that are called at once: each is a connection being made.
const MOST_AT_ONCE: u32 = 256;

const CRAWL: &[(&str, When)] = &[("asked", When::Asked), ("always", When::Always)];

/// `[monitor]`
#[derive(Debug, Clone)]
pub(crate) struct Monitor {
    /// Whether there is one.
    pub(crate) enabled: bool,
    /// When the swarm is crawled.
    pub(crate) crawl: When,
    /// From one crawl to the next.
    pub(crate) interval: Duration,
    /// The whole crawl.
    pub(crate) deadline: Duration,
    /// Servers that are called at once.
    pub(crate) servers_at_once: u32,
    /// Models that are looked for though the index may not list them.
    pub(crate) models: Vec<(DhtPrefix, ModelInfo)>,
}

impl Monitor {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let enabled = section.take("enabled", Entry::boolean);
        let crawl = section.take("crawl", word(CRAWL));
        let interval = section.take("interval", duration);
        let deadline = section.take("deadline", duration);
        let servers_at_once = section.take("servers_at_once", count_up_to(MOST_AT_ONCE));
        let models = section.take("models", list(model));
        let (interval, deadline) = (interval?, deadline?);
        let shortest = |least| format!("expected at least \"{}\"", humantime::format_duration(least));
        if interval < SHORTEST_INTERVAL {
            let what = format!("{} would keep other peers busy", humantime::format_duration(interval));
            section.wrong("interval", what, shortest(SHORTEST_INTERVAL));
            return None;
        }
        if !(SHORTEST_DEADLINE..=LONGEST_DEADLINE).contains(&deadline) {
            let most = humantime::format_duration(LONGEST_DEADLINE);
            let remedy = format!("{} and at most \"{most}\"", shortest(SHORTEST_DEADLINE));
            section.wrong(
                "deadline",
                format!("{} is out of range", humantime::format_duration(deadline)),
                remedy,
            );
            return None;
        }
        Some(Self {
            enabled: enabled?,
            crawl: crawl?,
            interval,
            deadline,
            servers_at_once: servers_at_once?.get(),
            models: models?,
        })
    }
}

/// `PREFIX:BLOCKS`, and perhaps the repository after a space.
fn model(entry: &Entry) -> Parsed<(DhtPrefix, ModelInfo)> {
    let remedy =
        "expected such as \"bloom-hf:70\" or \"bloom-hf:70 https://huggingface.co/bigscience/bloom\"";
    let text = entry.text()?;
    let (name, repository) = match text.split_once(' ') {
        Some((name, repository)) => (name, Some(repository.trim().to_owned())),
        None => (text.as_str(), None),
    };
    let Some((prefix, blocks)) = name.rsplit_once(':') else {
        return entry.wrong(format!("{text:?} does not say how many blocks the model has"), remedy);
    };
    let prefix = prefix.parse().or_else(|error| entry.wrong(format!("{error}"), remedy))?;
    let blocks =
        blocks.parse().or_else(|_| entry.wrong(format!("{blocks:?} is no number of blocks"), remedy))?;
    let info = ModelInfo::new(blocks, repository).or_else(|error| entry.wrong(error.to_string(), remedy))?;
    Ok((prefix, info))
}
