//! What a chronicle has to tell, for people and programs: shares of time, and changes. JSON by its types, or CSV.

use std::fmt::Write;

use libp2p::PeerId;
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    chronicle::Chronicle,
    coverage::{Coverage, Span, UnixSeconds},
    life::{Change, Life, Tally},
    sighting::Sighting,
};

/// Servers of one page: some 400 KB.
pub const MOST_ROWS: usize = 1000;

/// For how long back it is told how well a server was there.
pub const WINDOWS: [(&str, u64); 4] =
    [("1h", 3600), ("24h", 24 * 3600), ("7d", 7 * 24 * 3600), ("30d", 30 * 24 * 3600)];

/// The last day, in so many parts.
const PARTS: u64 = 48;
const DAY: u64 = 24 * 3600;

/// What stands for a part of the day that nobody knows of.
const UNKNOWN: char = '-';

/// One server, in short.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// In base58.
    pub peer_id: String,
    /// What it last called itself. Untrusted.
    pub public_name: Option<String>,
    /// The prefix of a model that it last served. Untrusted.
    pub model: Option<String>,
    /// How it was last seen.
    pub state: Sighting,
    /// Since when.
    pub since: UnixSeconds,
    /// When it was first seen at all.
    pub first_seen: UnixSeconds,
    /// When it was last there, in whichever state.
    pub last_seen: UnixSeconds,
    /// Changes that are remembered.
    pub changes: usize,
    /// The share of each of [`WINDOWS`] in which it was online, of the time that is known; from its first sight on.
    #[serde(serialize_with = "by_window")]
    pub uptime: [Option<f64>; WINDOWS.len()],
    /// The last day in half hours, each a digit: 9 for online all along, 0 for never, `-` for unknown.
    pub day: String,
}

/// Some servers, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Page {
    /// When we first looked, as far as is remembered.
    pub observed_from: Option<UnixSeconds>,
    /// When we last looked.
    pub observed_to: Option<UnixSeconds>,
    /// Servers that are known, on all pages.
    pub known: usize,
    /// Those of this page.
    pub servers: Vec<Summary>,
    /// After whom the next page begins, if there is one.
    pub next: Option<String>,
}

/// One server, in full.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Account {
    /// In short.
    #[serde(flatten)]
    pub summary: Summary,
    /// Seconds of each of [`WINDOWS`], by what was seen.
    #[serde(serialize_with = "by_window")]
    pub seconds: [Seconds; WINDOWS.len()],
    /// Its changes since the moment that was asked for, and how it was then.
    pub history: Vec<Moment>,
    /// When we looked, since then.
    pub observed: Vec<Stretch>,
}

/// Seconds by what was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds(Tally);

/// A change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// When.
    pub at: UnixSeconds,
    /// To what.
    pub state: Sighting,
}

/// A time in which we looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// The first crawl.
    pub from: UnixSeconds,
    /// The last.
    pub to: UnixSeconds,
}

/// Which servers a page tells of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Those that come after this one.
    pub after: Option<PeerId>,
    /// Those that last served this model.
    pub model: Option<String>,
    /// At most so many, and at most [`MOST_ROWS`].
    pub limit: Option<usize>,
}

impl Chronicle {
    /// Servers in short, as of `now`.
    pub fn page(&self, choice: &Choice, now: UnixSeconds) -> Page {
        use std::ops::Bound::{Excluded, Unbounded};
        let limit = choice.limit.unwrap_or(MOST_ROWS).clamp(1, MOST_ROWS);
        let after = choice.after.map_or(Unbounded, Excluded);
        let of_model =
            |life: &Life| choice.model.is_none() || choice.model.as_deref() == life.model.as_deref();
        let mut chosen =
            self.lives().range((after, Unbounded)).filter(|(_, life)| of_model(life)).take(limit + 1);
        let rows: Vec<_> = chosen.by_ref().take(limit).collect();
        let more = chosen.next().is_some();
        let next = rows.last().filter(|_| more).map(|(peer, _)| peer.to_string());
        let servers =
            rows.into_iter().map(|(peer, life)| summary(peer, life, self.coverage(), now)).collect();
        Page {
            observed_from: self.coverage().begin(),
            observed_to: self.coverage().end(),
            known: self.lives().len(),
            servers,
            next,
        }
    }

    /// One server in full as of `now`, with its changes from `since` on.
    pub fn account(&self, peer: &PeerId, since: UnixSeconds, now: UnixSeconds) -> Option<Account> {
        let life = self.lives().get(peer)?;
        let earlier = life.changes().rfind(|change| change.at <= since);
        let later = life.changes().filter(|change| change.at > since);
        let moment = |change: Change| Moment { at: change.at, state: change.sighting };
        let stretch = |span: Span| Stretch { from: span.from, to: span.to };
        Some(Account {
            summary: summary(peer, life, self.coverage(), now),
            seconds: windows(life, self.coverage(), now).map(Seconds),
            history: earlier.into_iter().chain(later).map(moment).collect(),
            observed: self.coverage().within(since, now).map(stretch).collect(),
        })
    }
}

fn windows(life: &Life, coverage: &Coverage, now: UnixSeconds) -> [Tally; WINDOWS.len()] {
    WINDOWS.map(|(_, seconds)| life.tally(coverage, now.saturating_sub(seconds), now))
}

fn summary(peer: &PeerId, life: &Life, coverage: &Coverage, now: UnixSeconds) -> Summary {
    let end = coverage.end().unwrap_or(now);
    Summary {
        peer_id: peer.to_string(),
        public_name: life.name.clone(),
        model: life.model.clone(),
        state: life.now(),
        since: life.since(),
        first_seen: life.first_seen,
        last_seen: life.last_seen(end),
        changes: life.changes().len(),
        uptime: windows(life, coverage, now).map(|tally| tally.uptime()),
        day: day(life, coverage, now),
    }
}

/// The last day, a character for each part of it.
fn day(life: &Life, coverage: &Coverage, now: UnixSeconds) -> String {
    let part = |number: u64| {
        let begin = now.saturating_sub(DAY) + number * DAY / PARTS;
        let uptime = life.tally(coverage, begin, begin + DAY / PARTS).uptime();
        uptime.map_or(UNKNOWN, digit)
    };
    (0..PARTS).map(part).collect()
}

/// 9 only for all of it, and 0 only for nothing.
fn digit(share: f64) -> char {
    let digit = match share {
        0.0 => 0,
        1.0 => 9,
        share => 1 + (share * 8.0) as u32,
    };
    char::from_digit(digit.min(9), 10).unwrap_or(UNKNOWN)
}

fn by_window<T: Serialize, S: Serializer>(
    values: &[T; WINDOWS.len()],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(WINDOWS.len()))?;
    for ((window, _), value) in WINDOWS.iter().zip(values) {
        map.serialize_entry(window, value)?;
    }
    map.end()
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for sighting in Sighting::ALL {
            map.serialize_entry(sighting.word(), &self.0.of(sighting))?;
        }
        map.serialize_entry("unknown", &self.0.unknown)?;
        map.end()
    }
}

impl Page {
    /// The same as CSV.
    pub fn to_csv(&self) -> String {
        let mut csv = String::from("peer_id,public_name,model,state,since,first_seen,last_seen,changes");
        for (window, _) in WINDOWS {
            let _ = write!(csv, ",uptime_{window}");
        }
        csv.push_str(END);
        for server in &self.servers {
            let Summary { peer_id, state, since, first_seen, last_seen, changes, .. } = server;
            let (name, model) = (cell(server.public_name.as_deref()), cell(server.model.as_deref()));
            let state = state.word();
            // Writing into a string cannot fail.
            let _ =
                write!(csv, "{peer_id},{name},{model},{state},{since},{first_seen},{last_seen},{changes}");
            for uptime in server.uptime {
                let _ = write!(csv, ",{}", uptime.map(|share| share.to_string()).unwrap_or_default());
            }
            csv.push_str(END);
        }
        csv
    }
}

impl Account {
    /// The changes as CSV.
    pub fn to_csv(&self) -> String {
        let mut csv = format!("peer_id,at,state{END}");
        for moment in &self.history {
            let _ = write!(csv, "{},{},{}{END}", self.summary.peer_id, moment.at, moment.state.word());
        }
        csv
    }
}

/// Of a line: RFC 4180.
const END: &str = "\r\n";

/// A text in quotes. What a spreadsheet would take for a formula is marked as text.
fn cell(text: Option<&str>) -> String {
    let Some(text) = text else { return String::new() };
    let mark = if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { "'" } else { "" };
    format!("\"{mark}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{
        chronicle::{Crawl, Limits},
        life::Seen,
    };

    const NOW: UnixSeconds = 1_800_000_000;

    fn crawl(at: UnixSeconds, servers: &[(PeerId, Sighting)]) -> Crawl {
        let seen = |sighting| Seen { sighting, name: Some("=1+1\"".into()), model: Some("m".into()) };
        Crawl { at, servers: servers.iter().map(|(peer, how)| (*peer, seen(*how))).collect() }
    }

    fn chronicle() -> Chronicle {
        Chronicle::new(Limits { keep: 1 << 40, gap: 7200, weight: 1 << 20 })
    }

    #[test]
    fn shares_are_of_what_is_known() {
        let (peer, mut chronicle) = (PeerId::random(), chronicle());
        let begin = NOW - 10 * 3600;
        for (hours, how) in [(0, Sighting::Online), (1, Sighting::Online), (2, Sighting::Unreachable)] {
            chronicle.observe(&crawl(begin + hours * 3600, &[(peer, how)]));
        }
        chronicle.observe(&crawl(begin + 3 * 3600, &[]));
        // Nobody looks for 6 hours.
        chronicle.observe(&crawl(begin + 9 * 3600, &[(peer, Sighting::Online)]));
        chronicle.observe(&crawl(NOW, &[(peer, Sighting::Online)]));
        let account = chronicle.account(&peer, 0, NOW).unwrap();
        assert_eq!(account.summary.uptime, [Some(1.0), Some(0.75), Some(0.75), Some(0.75)]);
        let json = serde_json::to_value(&account).unwrap();
        assert_eq!(json["uptime"]["24h"], 0.75);
        assert_eq!(json["seconds"]["24h"]["online"], 3 * 3600);
        assert_eq!(json["seconds"]["24h"]["unreachable"], 3600);
        assert_eq!(json["seconds"]["24h"]["unknown"], 6 * 3600);
        assert_eq!(json["seconds"]["1h"]["unknown"], 0);
        assert_eq!(json["day"], format!("{}99990{}{}99", "-".repeat(28), "0", "-".repeat(12)));
        let history: Vec<_> =
            account.history.iter().map(|moment| (moment.at - begin, moment.state)).collect();
        let expected = [
            (0, Sighting::Online),
            (2 * 3600, Sighting::Unreachable),
            (3 * 3600, Sighting::Missing),
            (9 * 3600, Sighting::Online),
        ];
        assert_eq!(history, expected);
        assert_eq!(json["observed"][0]["to"], begin + 3 * 3600);
        let late = chronicle.account(&peer, begin + 3 * 3600 + 1, NOW).unwrap();
        assert_eq!(late.history.len(), 2, "how it was then, and what came after");
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let mut chronicle = chronicle();
        let peers: Vec<_> = (0..7).map(|_| (PeerId::random(), Sighting::Online)).collect();
        chronicle.observe(&crawl(NOW, &peers));
        let (mut choice, mut told) = (Choice { limit: Some(3), ..Choice::default() }, Vec::new());
        loop {
            let page = chronicle.page(&choice, NOW);
            assert!(page.servers.len() <= 3);
            told.extend(page.servers.into_iter().map(|server| server.peer_id));
            let Some(next) = page.next else { break };
            choice.after = Some(next.parse().unwrap());
        }
        let mut all: Vec<PeerId> = peers.iter().map(|(peer, _)| *peer).collect();
        all.sort();
        assert_eq!(told, all.iter().map(ToString::to_string).collect::<Vec<_>>());
        let other = Choice { model: Some("other".into()), ..Choice::default() };
        assert_eq!(chronicle.page(&other, NOW).servers, []);
    }

    #[test]
    fn a_name_is_no_formula() {
        let (peer, mut chronicle) = (PeerId::random(), chronicle());
        chronicle.observe(&crawl(NOW, &[(peer, Sighting::Joining)]));
        let csv = chronicle.page(&Choice::default(), NOW).to_csv();
        let row = csv.lines().nth(1).unwrap();
        assert_eq!(row, format!("{peer},\"'=1+1\"\"\",\"m\",joining,{NOW},{NOW},{NOW},1,,,,"));
        let csv = chronicle.account(&peer, 0, NOW).unwrap().to_csv();
        assert_eq!(csv, format!("peer_id,at,state\r\n{peer},{NOW},joining\r\n"));
    }
}
