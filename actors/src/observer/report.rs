//! What is told of a look: the evidence for people and machines, block by block, and in a few lines.

use hivemind_proto::records::ServerState;
use serde::Serialize;

use super::{
    evidence::{Claim, Door, Evidence, Knock, Reach, Seen},
    judgement::{describe, is_found, replicas, state_of},
    messages::{BlockReport, DoorReport, Look, Through},
};

/// Neighbouring blocks of which the same was seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Span {
    /// As in `0:8`.
    blocks: String,
    found: bool,
    state: Option<ServerState>,
    /// Of the one that expires first.
    seconds_to_live: Option<f64>,
    /// Of the one that has fewest.
    replicas: usize,
    problem: Option<String>,
}

pub(super) fn look(claim: Option<&Claim>, evidence: &Evidence, seconds: f64) -> Look {
    let open = evidence.doors.iter().any(|door| door.answer == Knock::Open);
    let through = match (open, evidence.through_ourselves) {
        (false, _) => Through::Nobody,
        (true, true) => Through::Ourselves,
        (true, false) => Through::Others,
    };
    let search = evidence.search.as_ref();
    let seen = search.map(|search| search.blocks.as_slice()).unwrap_or_default();
    let numbers = claim.into_iter().flat_map(|claim| claim.blocks.iter());
    Look {
        through,
        doors: evidence.doors.iter().map(door).collect(),
        claimed: claim.and_then(Claim::state),
        blocks: numbers.zip(seen).map(|(number, seen)| block(number, seen)).collect(),
        listed: search.and_then(|search| search.model.as_ref()).map(is_found),
        answer_seconds: match evidence.reach {
            Reach::Answered(seconds) => Some(seconds),
            _ => None,
        },
        clock_offset_seconds: evidence.clock_offset,
        peers_met: evidence.peers_met,
        seconds,
    }
}

fn door(door: &Door) -> DoorReport {
    let error = match &door.answer {
        Knock::Open => None,
        Knock::Unreachable(cause) => Some(format!("unreachable: {cause}")),
        Knock::Mute(cause) => Some(format!("no DHT: {cause}")),
    };
    DoorReport { peer: door.peer.to_base58(), initial: door.initial, error }
}

fn block(number: u32, seen: &Seen) -> BlockReport {
    BlockReport {
        block: number,
        found: is_found(seen),
        state: state_of(seen),
        seconds_to_live: match seen {
            Seen::Found { seconds_to_live, .. } => Some(*seconds_to_live),
            _ => None,
        },
        replicas: replicas(seen),
        problem: (!is_found(seen)).then(|| describe(seen)),
    }
}

/// The blocks of a look in as few lines as say the same.
pub(super) fn spans(blocks: &[BlockReport]) -> Vec<Span> {
    let alike = |a: &BlockReport, b: &BlockReport| {
        (a.found, a.state, &a.problem) == (b.found, b.state, &b.problem) && a.block + 1 == b.block
    };
    blocks
        .chunk_by(alike)
        .filter_map(|span| {
            let (first, last) = (span.first()?, span.last()?);
            Some(Span {
                blocks: format!("{}:{}", first.block, last.block + 1),
                found: first.found,
                state: first.state,
                seconds_to_live: span.iter().filter_map(|block| block.seconds_to_live).reduce(f64::min),
                replicas: span.iter().map(|block| block.replicas).min().unwrap_or(0),
                problem: first.problem.clone(),
            })
        })
        .collect()
}
