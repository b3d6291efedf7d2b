//! Records under our name that are not ours: forged, or stored by another process with our key.
//!
//! Anybody can store anything under our subkey; the DHT keeps what expires last (`hivemind/dht/storage.py`). Each
//! store begins with a lookup of its keys, so what stands in the place of each record is known without a further call.
//! A record counts as foreign if it expires after all that we announced before and is none of our last values. Until
//! a first announcement of this life has succeeded, what is found may be from an earlier one, and proves nothing.
//!
//! The model's entry in the index is different: all servers of a model share its subkey, and each of them keeps it.

use std::{collections::VecDeque, sync::Arc};

use hivemind_proto::{
    dht::{Item, StoreReport},
    records::{ModelInfo, ServerInfo},
    time::DhtTime,
};
use serde::Serialize;

use super::{
    messages::Verdict,
    records::{Named, RecordName},
};

/// Our last values that are known as ours. Changes come at most every [`super::CHANGE_DEBOUNCE`], and what is still
/// stored of them is from this period.
const REMEMBERED_VALUES: usize = 16;

/// What is watched from announcement to announcement.
#[derive(Debug, Default)]
pub(super) struct Watch {
    ours: VecDeque<Arc<[u8]>>,
    /// The latest expiration that we announced, or that an earlier life of ours may have.
    until: Option<DhtTime>,
    /// An announcement of this life has succeeded.
    settled: bool,
    noticed: u64,
    intrusion: Option<Intrusion>,
}

/// Foreign records that one announcement met.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Intrusion {
    records: usize,
    first: RecordName,
    /// In what the first of them differs from ours.
    differs: Vec<&'static str>,
    /// The latest expiration of them, in Unix seconds.
    expires_unix: f64,
    /// Whether what we stored in the same announcement outlives all of them.
    overcome: bool,
}

impl Intrusion {
    /// Whether it was stored at the same moment, as far as can be known.
    fn is_same(&self, other: &Self) -> bool {
        self.expires_unix == other.expires_unix && self.differs == other.differs
    }
}

/// What a probe tells.
#[derive(Debug, Serialize)]
pub(super) struct ForeignStatus {
    /// How often records were met that had not been met before.
    noticed: u64,
    /// What the last announcement met.
    last: Option<Intrusion>,
}

/// How what was found in a record's place stands to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rival {
    /// There is none, or ours replaces it.
    None,
    /// The record is shared, and another who shares it has stored it for longer.
    Companion(DhtTime),
    /// It lives on, and ours is nowhere seen.
    Outlives(DhtTime),
}

/// Judges what was found where `ours` belongs.
pub(super) fn rival(ours: &Named, found: Option<&Item>) -> Rival {
    match found {
        Some(found) if found.expiration >= ours.record.expiration => match is_shared(ours, found) {
            true => Rival::Companion(found.expiration),
            false => Rival::Outlives(found.expiration),
        },
        _ => Rival::None,
    }
}

fn is_shared(ours: &Named, found: &Item) -> bool {
    ours.name == RecordName::Model && ModelInfo::decode(&found.value).is_ok()
}

impl Watch {
    /// An announcement has ended: notes what it met, and tells what has changed.
    pub(super) fn announced(&mut self, ours: &[Named], report: &StoreReport, verdict: Verdict) {
        let met = if self.settled { self.look(ours, report) } else { self.take_in(report) };
        self.settled |= verdict == Verdict::Confirmed;
        let before = std::mem::replace(&mut self.intrusion, met);
        for named in ours {
            self.until = self.until.max(Some(named.record.expiration));
            if !self.ours.contains(&named.record.value) {
                self.ours.push_front(named.record.value.clone());
            }
        }
        self.ours.truncate(REMEMBERED_VALUES);
        match (&self.intrusion, before) {
            (Some(intrusion), before) => {
                let Intrusion { records, first, differs, expires_unix, overcome } = intrusion;
                if before.is_some_and(|before| before.is_same(intrusion)) {
                    return tracing::debug!(records, %first, ?differs, expires_unix, overcome, "still foreign");
                }
                self.noticed += 1;
                tracing::warn!(
                    records,
                    %first,
                    ?differs,
                    expires_unix,
                    overcome,
                    "records under our name are not ours: forged, or another process uses our key"
                );
            }
            (None, Some(_)) if self.settled => tracing::info!("the records under our name are ours again"),
            (None, _) => {}
        }
    }

    /// What is there before we have announced anything may be ours.
    fn take_in(&mut self, report: &StoreReport) -> Option<Intrusion> {
        let found = report.records.iter().filter_map(|outcome| outcome.found.as_ref());
        self.until = self.until.max(found.map(|item| item.expiration).max());
        None
    }

    fn look(&self, ours: &[Named], report: &StoreReport) -> Option<Intrusion> {
        let until = self.until?;
        let found = report.records.iter().map(|outcome| outcome.found.as_ref());
        let foreign = ours.iter().zip(found).filter_map(|(ours, found)| Some((ours, found?)));
        let foreign = foreign.filter(|(ours, found)| {
            found.expiration > until && !self.ours.contains(&found.value) && !is_shared(ours, found)
        });
        let foreign: Vec<(&Named, &Item)> = foreign.collect();
        let (first, found) = *foreign.first()?;
        let latest = foreign.iter().map(|(_, found)| found.expiration).max()?;
        Some(Intrusion {
            records: foreign.len(),
            first: first.name.clone(),
            differs: differences(first, found),
            expires_unix: latest.as_unix(),
            overcome: foreign.iter().all(|(ours, found)| rival(ours, Some(*found)) == Rival::None),
        })
    }

    pub(super) fn status(&self) -> ForeignStatus {
        ForeignStatus { noticed: self.noticed, last: self.intrusion.clone() }
    }
}

/// In what `found` differs from ours.
fn differences(ours: &Named, found: &Item) -> Vec<&'static str> {
    let (Ok(ours), Ok(theirs)) = (ServerInfo::decode(&ours.record.value), ServerInfo::decode(&found.value))
    else {
        return vec!["not a valid record"];
    };
    let fields = [
        ("state", ours.state != theirs.state),
        ("throughput", ours.throughput != theirs.throughput),
        ("blocks", ours.blocks != theirs.blocks),
        ("public_name", ours.public_name != theirs.public_name),
        ("version", ours.version != theirs.version),
        ("network_rps", ours.network_rps != theirs.network_rps),
        ("forward_rps", ours.forward_rps != theirs.forward_rps),
        ("inference_rps", ours.inference_rps != theirs.inference_rps),
        ("adapters", ours.adapters != theirs.adapters),
        ("torch_dtype", ours.torch_dtype != theirs.torch_dtype),
        ("quant_type", ours.quant_type != theirs.quant_type),
        ("using_relay", ours.using_relay != theirs.using_relay),
        ("cache_tokens_left", ours.cache_tokens_left != theirs.cache_tokens_left),
        ("next_pings", ours.next_pings != theirs.next_pings),
    ];
    let differing: Vec<_> = fields.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
    match differing.is_empty() {
        true => vec!["fields that we do not know"],
        false => differing,
    }
}
