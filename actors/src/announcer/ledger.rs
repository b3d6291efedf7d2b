//! What is known of each record: when it was last stored, until when it lasts, and who said so.

use std::collections::BTreeMap;

use hivemind_proto::{
    dht::{RecordOutcome, StoreReport},
    records::ServerState,
    time::DhtTime,
};
use serde::Serialize;

use super::{
    foreign::{ForeignStatus, Rival, rival},
    messages::{Summary, Verdict},
    records::{Named, RecordName},
};

/// The announcer's bookkeeping.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    records: BTreeMap<RecordName, Entry>,
    verdict: Option<Verdict>,
    verdict_changed: bool,
    version: u64,
    state: Option<ServerState>,
    /// The state of the last logged verdict: a new state is news even if the verdict is the same.
    told_state: Option<ServerState>,
    known_nodes: usize,
    attempts: u64,
    failed_attempts: u64,
    last_calls: usize,
}

#[derive(Debug, Default)]
struct Entry {
    outcome: RecordOutcome,
    confirmed: bool,
    /// When another peer last acknowledged it, and until when that lasts.
    stored: Option<(DhtTime, DhtTime)>,
}

/// What a probe tells.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    verdict: Option<Verdict>,
    version: u64,
    attempts: u64,
    failed_attempts: u64,
    last_store_calls: usize,
    #[serde(flatten)]
    summary: Summary,
    unconfirmed: Vec<RecordName>,
    /// Records under our name that are not ours.
    foreign: ForeignStatus,
}

/// Names of unconfirmed records that a probe tells at most.
const MAX_NAMED: usize = 16;

impl Ledger {
    pub(super) fn begin(&mut self, version: u64, state: ServerState, known_nodes: usize) {
        (self.version, self.state, self.known_nodes) = (version, Some(state), known_nodes);
        self.attempts += 1;
    }

    /// What came of an attempt. It counts as failed unless it is in order; `may_be_alone` as in the settings.
    pub(super) fn end(
        &mut self,
        announced: &[Named],
        report: &StoreReport,
        may_be_alone: bool,
        now: DhtTime,
    ) -> Verdict {
        for (named, outcome) in announced.iter().zip(&report.records) {
            let entry = self.records.entry(named.name.clone()).or_default();
            // Whoever holds what outlives ours has refused ours: farther peers may have taken it, but nobody sees it.
            let until = match rival(named, outcome.found.as_ref()) {
                Rival::Outlives(_) => None,
                Rival::Companion(until) => Some(until),
                Rival::None => (!outcome.acknowledged.is_empty()).then_some(named.record.expiration),
            };
            entry.confirmed = until.is_some();
            if let Some(until) = until {
                entry.stored = Some((now, until));
            }
            entry.outcome = outcome.clone();
        }
        self.last_calls = report.calls;
        let verdict = match self.records.values().all(|entry| entry.confirmed) {
            true => Verdict::Confirmed,
            false if report.alone => Verdict::Alone,
            false => Verdict::Failed,
        };
        self.failed_attempts += u64::from(!verdict.is_in_order(may_be_alone));
        self.verdict_changed = self.verdict != Some(verdict) || self.told_state != self.state;
        (self.verdict, self.told_state) = (Some(verdict), self.state);
        verdict
    }

    /// These records are no longer ours to keep.
    pub(super) fn forget<'a>(&mut self, names: impl Iterator<Item = &'a RecordName>) {
        names.for_each(|name| {
            self.records.remove(name);
        });
    }

    /// The offer has changed: nothing of the new one is confirmed.
    pub(super) fn outdate(&mut self) {
        self.records.values_mut().for_each(|entry| entry.confirmed = false);
    }

    pub(super) fn is_confirmed(&self, name: &RecordName) -> bool {
        self.records.get(name).is_some_and(|entry| entry.confirmed)
    }

    /// Whether another peer has acknowledged anything of ours.
    pub(super) fn was_ever_confirmed(&self) -> bool {
        self.records.values().any(|entry| entry.stored.is_some())
    }

    pub(super) fn verdict_changed(&self) -> bool {
        self.verdict_changed
    }

    /// How many nodes were known when it was last announced.
    pub(super) fn known_nodes(&self) -> usize {
        self.known_nodes
    }

    pub(super) fn saw_nodes(&mut self, known: usize) {
        self.known_nodes = known;
    }

    pub(super) fn summary(&self, now: DhtTime) -> Summary {
        let entries = self.records.values();
        let expirations: Option<Vec<DhtTime>> =
            entries.clone().map(|entry| entry.stored.map(|(_, expiration)| expiration)).collect();
        Summary {
            state: self.state,
            records: self.records.len(),
            confirmed: entries.clone().filter(|entry| entry.confirmed).count(),
            least_replicas: entries.map(|entry| entry.outcome.acknowledged.len()).min().unwrap_or(0),
            seconds_to_expiry: expirations
                .and_then(|expirations| expirations.into_iter().min())
                .map(|first| first.seconds_since(now)),
        }
    }

    pub(super) fn status(&self, foreign: ForeignStatus, now: DhtTime) -> Status {
        let unconfirmed =
            self.records.iter().filter(|(_, entry)| !entry.confirmed).map(|(name, _)| name.clone());
        Status {
            verdict: self.verdict,
            version: self.version,
            attempts: self.attempts,
            failed_attempts: self.failed_attempts,
            last_store_calls: self.last_calls,
            summary: self.summary(now),
            unconfirmed: unconfirmed.take(MAX_NAMED).collect(),
            foreign,
        }
    }
}
