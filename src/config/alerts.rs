//! `[alerts.<name>]`: whom to watch, and who is told of a change. A key in `[alerts]` itself holds for every alert that
//! has none of its own.

use std::time::Duration;

use libp2p::PeerId;
use petald_actors::alerts::{MOST_RULES, Target};
use petald_actors::history::messages::Sighting;

use super::entry::{Entry, Parsed};
use super::section::{Reading, Section};
use super::values::{duration, list, parsed, text, word};

/// The names of states.
const STATES: &[(&str, Sighting)] = &[
    ("online", Sighting::Online),
    ("joining", Sighting::Joining),
    ("offline", Sighting::Offline),
    ("unreachable", Sighting::Unreachable),
    ("missing", Sighting::Missing),
];

/// One `[alerts.<name>]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alert {
    /// The name.
    pub(crate) name: String,
    /// Who is watched.
    pub(crate) peer: Whom,
    /// The states whose beginning is told.
    pub(crate) on: Vec<Sighting>,
    /// For how long a state must have lasted.
    pub(crate) after: Duration,
    /// Who is told.
    pub(crate) target: Target,
}

/// Who is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    /// This node.
    Ourselves,
    /// Another one.
    Peer(PeerId),
}

/// What may stand in `[alerts]` and in each alert; all of it may be absent.
#[derive(Debug, Clone)]
struct Keys {
    peer: Option<Whom>,
    on: Option<Vec<Sighting>>,
    after: Option<Duration>,
    webhook: Option<Target>,
    command: Option<Target>,
}

impl Keys {
    fn read(section: &mut Section<'_>) -> Option<Self> {
        let peer = section.optional("peer", whom);
        let on = section.optional("on", list(word(STATES)));
        let after = section.optional("after", duration);
        let webhook = section.optional("webhook", |entry| parsed(entry).map(Target::Webhook));
        let command = section.optional("command", command);
        Some(Self { peer: peer?, on: on?, after: after?, webhook: webhook?, command: command? })
    }
}

/// All alerts, in the order of their names.
pub(super) fn read(mut section: Section<'_>, reading: &Reading) -> Option<Vec<Alert>> {
    let base = Keys::read(&mut section);
    let names = section.tables();
    if names.len() > MOST_RULES {
        reading.wrong(
            "alerts",
            format!("has {} alerts", names.len()),
            format!("expected at most {MOST_RULES}"),
        );
        return None;
    }
    // All of them before any is given up, so that nothing wrong is left unsaid.
    let alerts: Vec<_> = names
        .into_iter()
        .map(|name| {
            let mut own = section.section(&name);
            let keys = Keys::read(&mut own);
            alert(name, keys?, base.as_ref()?, &own)
        })
        .collect();
    base?;
    alerts.into_iter().collect()
}

fn alert(name: String, own: Keys, base: &Keys, section: &Section<'_>) -> Option<Alert> {
    let missing = |key: &str, remedy: &str| section.wrong(key, "is missing", remedy);
    let target = match (own.webhook, own.command) {
        (Some(_), Some(_)) => {
            section.wrong("command", "is there beside webhook", "expected one of them");
            return None;
        }
        (Some(target), None) | (None, Some(target)) => Some(target),
        (None, None) => base.command.clone().or_else(|| base.webhook.clone()),
    };
    let peer = own.peer.or(base.peer);
    if peer.is_none() {
        missing("peer", r#"expected "self" or a peer id"#);
    }
    if target.is_none() {
        missing("webhook", "and command too: expected one of them");
    }
    let (on, after) = (own.on.or_else(|| base.on.clone()), own.after.or(base.after));
    if on.as_ref().is_some_and(Vec::is_empty) {
        section.wrong("on", "names no state", "nobody would ever be told");
        return None;
    }
    Some(Alert { name, peer: peer?, on: on?, after: after?, target: target? })
}

fn whom(entry: &Entry) -> Parsed<Whom> {
    match text(entry)?.as_str() {
        "self" => Ok(Whom::Ourselves),
        id => id
            .parse()
            .map(Whom::Peer)
            .or_else(|_| entry.wrong(format!("{id:?} is not a peer id"), r#"expected "self" or a peer id"#)),
    }
}

/// The words of a program. A word may stand there twice, unlike an item of other lists.
fn command(entry: &Entry) -> Parsed<Target> {
    let words = entry.items()?.iter().map(Entry::text).collect::<Result<Vec<_>, _>>()?;
    match words.first() {
        Some(program) if !program.trim().is_empty() => Ok(Target::Command(words)),
        _ => entry.wrong("names no program", r#"expected such as ["/usr/local/bin/tell", "--urgent"]"#),
    }
}
