//! When somebody is told. Pure data: a chronicle and a moment are given in.
//!
//! A server counts as changed once it has been seen in its new state for a while (`after`) and nobody has seen another
//! meanwhile: one that flaps is told of once, or not at all. Time in which nobody looked does not count.

use libp2p::PeerId;
use serde::Serialize;

use super::target::Target;
use crate::history::messages::{Chronicle, Sighting, UnixSeconds};

/// Whom to watch, what is worth telling, and to whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// The name that the operator gave it.
    pub name: String,
    /// The server.
    pub peer: PeerId,
    /// The states whose beginning is told.
    pub on: Vec<Sighting>,
    /// Seconds that a state must have lasted.
    pub after: u64,
    /// Who is told.
    pub target: Target,
}

/// What somebody is told: JSON, by these names. The texts of the swarm in it are untrusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The rule's name.
    pub alert: String,
    /// For people.
    pub message: String,
    /// In base58.
    pub peer_id: String,
    /// What it last called itself.
    pub public_name: Option<String>,
    /// The model that it last served.
    pub model: Option<String>,
    /// What it was before; `None` if nobody knows.
    pub from: Option<Sighting>,
    /// What it is now.
    pub to: Sighting,
    /// Since when.
    pub since: UnixSeconds,
    /// When it was seen last.
    pub at: UnixSeconds,
}

/// A rule, and what was last told of it.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) rule: Rule,
    /// What the server counts as. `None` before anything has lasted.
    counts_as: Option<Sighting>,
    /// Whether a chronicle was looked at yet.
    begun: bool,
}

impl Watch {
    pub(super) fn new(rule: Rule) -> Self {
        Self { rule, counts_as: None, begun: false }
    }

    /// What is to be told after another crawl. What had lasted when the first chronicle was written has been told by
    /// whoever wrote it.
    pub(super) fn look(&mut self, chronicle: &Chronicle) -> Option<Notice> {
        let at = chronicle.coverage().end()?;
        let first = !std::mem::replace(&mut self.begun, true);
        let (sighting, since) = self.lasting(chronicle, at)?;
        let before = self.counts_as.replace(sighting);
        let news = match before {
            // A server of which nothing was known is expected to be there.
            None => sighting != Sighting::Online,
            Some(before) => before != sighting,
        };
        (news && !first && self.rule.on.contains(&sighting))
            .then(|| self.notice(chronicle, before, sighting, since, at))
    }

    /// How it was last seen for long enough, and since when. One that was never seen at all is missing.
    fn lasting(&self, chronicle: &Chronicle, at: UnixSeconds) -> Option<(Sighting, UnixSeconds)> {
        let coverage = chronicle.coverage();
        match chronicle.lives().get(&self.rule.peer) {
            Some(life) => {
                let settled = life.settled(coverage, at, self.rule.after)?;
                Some((settled.sighting, settled.at))
            }
            None => {
                let begin = coverage.begin()?;
                let looked: u64 = coverage.within(begin, at).map(|span| span.to - span.from).sum();
                (looked >= self.rule.after).then_some((Sighting::Missing, begin))
            }
        }
    }

    fn notice(
        &self,
        chronicle: &Chronicle,
        from: Option<Sighting>,
        to: Sighting,
        since: UnixSeconds,
        at: UnixSeconds,
    ) -> Notice {
        let peer_id = self.rule.peer.to_string();
        let life = chronicle.lives().get(&self.rule.peer);
        let was = from.map(|from| format!(", was {}", from.word())).unwrap_or_default();
        Notice {
            alert: self.rule.name.clone(),
            message: format!("{peer_id} is {}{was}", to.word()),
            public_name: life.and_then(|life| life.name.clone()),
            model: life.and_then(|life| life.model.clone()),
            peer_id,
            from,
            to,
            since,
            at,
        }
    }
}
