//! From evidence to a verdict: pure data.
//!
//! The order of the questions is the order in which a stranger meets the layers: could it enter, did the DHT answer,
//! did we, are the records there, do they say what we claim. The first layer that fails is the one that is told.
//! A server that does not answer is shown as unreachable by the health monitor, whatever its records say
//! (`health.petals.dev/health.py`), so it is invisible.

use hivemind_proto::records::ServerState;

use super::{
    evidence::{Claim, Door, Evidence, Knock, Reach, Search, Seen},
    messages::{Layer, Verdict},
};

/// Clocks that differ by more than this keep a Python peer from starting (`hivemind/dht/protocol.py`, `call_ping`).
pub(super) const CLOCK_TOLERANCE_SECONDS: f64 = 3.0;

/// Ranges of blocks that a cause names at most.
const NAMED_RANGES: usize = 8;

/// What the evidence means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) verdict: Verdict,
    pub(super) layer: Option<Layer>,
    pub(super) cause: String,
}

impl Judgement {
    fn new(verdict: Verdict, layer: Layer, cause: impl Into<String>) -> Self {
        Self { verdict, layer: Some(layer), cause: cause.into() }
    }
}

/// Judges what was seen of `claim`; `None` claims nothing but to be a member of the swarm.
pub(super) fn judge(claim: Option<&Claim>, evidence: &Evidence) -> Judgement {
    if let Some(outside) = could_not_enter(evidence) {
        return outside;
    }
    let search = evidence.search.as_ref().filter(|search| search.answers > 0);
    if claim.is_some() && search.is_none() {
        return Judgement::new(Verdict::Unknown, Layer::Dht, "peers are there, but none answers a find");
    }
    match &evidence.reach {
        Reach::NotTried => {
            return Judgement::new(Verdict::Unknown, Layer::Dht, "there was no time left to call us");
        }
        Reach::Unreachable(cause) => {
            let cause = format!("a stranger cannot connect to us: {cause}");
            return Judgement::new(Verdict::Invisible, Layer::OurAddress, cause);
        }
        Reach::Elsewhere(address) => {
            let cause = format!("another process answers under our identity, at {address}");
            return Judgement::new(Verdict::Invisible, Layer::OurIdentity, cause);
        }
        Reach::Silent(cause) => {
            return Judgement::new(Verdict::Invisible, Layer::Us, format!("we do not answer: {cause}"));
        }
        Reach::Answered(_) => {}
    }
    match (claim, search) {
        (Some(claim), Some(search)) => judge_records(claim, search, evidence),
        _ => seen("found and answered as a member of the DHT".to_owned(), evidence),
    }
}

/// The judgement if no door is open.
fn could_not_enter(Evidence { doors, through_ourselves, .. }: &Evidence) -> Option<Judgement> {
    if doors.iter().any(|door| door.answer == Knock::Open) {
        return None;
    }
    let unknown = |layer, cause: String| Some(Judgement::new(Verdict::Unknown, layer, cause));
    let alone = "nobody else is there, and we";
    // We are the last at whom it knocks.
    match doors.last().map(|door| &door.answer) {
        Some(Knock::Unreachable(cause)) if *through_ourselves => {
            return unknown(Layer::OurAddress, format!("{alone} cannot be reached: {cause}"));
        }
        Some(Knock::Mute(cause)) if *through_ourselves => {
            return unknown(Layer::Us, format!("{alone} do not answer: {cause}"));
        }
        _ => {}
    }
    let mute = doors.iter().find_map(|door| match &door.answer {
        Knock::Mute(cause) => Some(cause),
        _ => None,
    });
    let count = doors.len();
    match (mute, doors.first()) {
        (Some(cause), _) => {
            unknown(Layer::Dht, format!("peers can be reached, but none answers a DHT ping: {cause}"))
        }
        (None, Some(Door { answer: Knock::Unreachable(cause), .. })) => unknown(
            Layer::Bootstraps,
            format!(
                "none of {count} peers can be reached, so either they are gone or we are cut off: {cause}"
            ),
        ),
        _ => unknown(Layer::Bootstraps, "nobody is known through whom to look".to_owned()),
    }
}

fn judge_records(claim: &Claim, search: &Search, evidence: &Evidence) -> Judgement {
    let numbered = || claim.blocks.iter().zip(&search.blocks);
    let of = |wanted: fn(&Claim, &Seen) -> bool| {
        ranges(numbered().filter(|(_, seen)| wanted(claim, seen)).map(|(block, _)| block))
    };
    let missing = of(|_, seen| !is_found(seen));
    let differing = of(|claim, seen| is_found(seen) && !is_as_claimed(claim, seen));
    let right = numbered().filter(|(_, seen)| is_as_claimed(claim, seen)).count();
    let found = numbered().filter(|(_, seen)| is_found(seen)).count();
    if !missing.is_empty() && !search.complete {
        let cause = format!("the search took too long; not seen until then: blocks {missing}");
        return Judgement::new(Verdict::Unknown, Layer::Dht, cause);
    }
    let verdict = if found > 0 { Verdict::PartlyVisible } else { Verdict::Invisible };
    if !missing.is_empty() {
        let example = numbered().map(|(_, seen)| seen).find(|seen| !is_found(seen));
        let expired = matches!(example, Some(Seen::Expired(_)));
        let why = example.map(describe).unwrap_or_default();
        let cause = format!("blocks {missing}: {why}");
        return match clock_is_off(evidence) {
            Some(clock) if expired || matches!(example, Some(Seen::Nowhere | Seen::OnlyAtOurselves)) => {
                Judgement::new(verdict, Layer::Clock, format!("{cause}; {clock}"))
            }
            _ => Judgement::new(verdict, Layer::Record, cause),
        };
    }
    if !differing.is_empty() {
        let state =
            numbered().find(|(_, seen)| !is_as_claimed(claim, seen)).and_then(|(_, seen)| state_of(seen));
        let cause =
            format!("blocks {differing}: found as {}, while we claim {}", name(state), name(claim.state()));
        // To a reader, a server that has left is not there.
        let gone = right == 0 && numbered().all(|(_, seen)| state_of(seen) == Some(ServerState::Offline));
        let verdict = if gone { Verdict::Invisible } else { Verdict::PartlyVisible };
        return Judgement::new(verdict, Layer::Record, cause);
    }
    if claim.listed && search.model.as_ref().is_none_or(|seen| !is_found(seen)) {
        let why = search.model.as_ref().map(describe).unwrap_or_default();
        let cause = format!("the blocks are there, but the model is not in the index: {why}");
        let (verdict, layer) = match search.complete {
            true => (Verdict::PartlyVisible, Layer::Record),
            false => (Verdict::Unknown, Layer::Dht),
        };
        return Judgement::new(verdict, layer, cause);
    }
    let (blocks, state) = (claim.blocks, name(claim.state()));
    let replicas = search.blocks.iter().map(replicas).min().unwrap_or(0);
    let what = match evidence.through_ourselves {
        true => format!("blocks {blocks} {state}"),
        false => format!("blocks {blocks} {state}, each at {replicas} others or more"),
    };
    seen(what, evidence)
}

/// All is well; a clock that is off is told, since it will not stay so.
fn seen(what: String, evidence: &Evidence) -> Judgement {
    let way =
        if evidence.through_ourselves { "; nobody else is there, seen through ourselves only" } else { "" };
    let clock = clock_is_off(evidence);
    let cause = match &clock {
        Some(clock) => format!("{what}{way}; {clock}"),
        None => format!("{what}{way}"),
    };
    Judgement { verdict: Verdict::Visible, layer: clock.map(|_| Layer::Clock), cause }
}

fn clock_is_off(evidence: &Evidence) -> Option<String> {
    let offset = evidence.clock_offset.filter(|offset| offset.abs() > CLOCK_TOLERANCE_SECONDS)?;
    let direction = if offset > 0.0 { "behind" } else { "ahead of" };
    Some(format!("our clock is {:.1} s {direction} the swarm's: see to NTP", offset.abs()))
}

pub(super) fn is_found(seen: &Seen) -> bool {
    matches!(seen, Seen::Found { .. })
}

fn is_as_claimed(claim: &Claim, seen: &Seen) -> bool {
    state_of(seen).is_some_and(|state| claim.states.contains(&state))
}

pub(super) fn state_of(seen: &Seen) -> Option<ServerState> {
    match seen {
        Seen::Found { state, .. } => *state,
        _ => None,
    }
}

pub(super) fn replicas(seen: &Seen) -> usize {
    match seen {
        Seen::Found { replicas, .. } => *replicas,
        _ => 0,
    }
}

/// What is wrong with a record that was not found as it should be.
pub(super) fn describe(seen: &Seen) -> String {
    match seen {
        Seen::Nowhere => "nobody holds our record".to_owned(),
        Seen::OnlyAtOurselves => "nobody but us holds our record".to_owned(),
        Seen::Expired(seconds) => format!("our record expired {seconds:.0} s ago"),
        Seen::Unreadable(cause) => format!("our record cannot be read: {cause}"),
        Seen::Found { .. } => "found".to_owned(),
    }
}

fn name(state: Option<ServerState>) -> &'static str {
    match state {
        Some(ServerState::Offline) => "OFFLINE",
        Some(ServerState::Joining) => "JOINING",
        Some(ServerState::Online) => "ONLINE",
        None => "nothing",
    }
}

/// Ascending numbers as the ranges that they form, such as `0:3, 5:6`.
fn ranges(blocks: impl Iterator<Item = u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for block in blocks {
        match ranges.last_mut() {
            Some((_, end)) if *end == block => *end += 1,
            _ => ranges.push((block, block + 1)),
        }
    }
    let named: Vec<String> =
        ranges.iter().take(NAMED_RANGES).map(|(start, end)| format!("{start}:{end}")).collect();
    let more = if ranges.len() > NAMED_RANGES { ", …" } else { "" };
    named.join(", ") + more
}

#[cfg(test)]
#[path = "judgement_tests.rs"]
mod tests;
