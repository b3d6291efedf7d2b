//! The last announcement: OFFLINE, until other peers have acknowledged all of it.

use std::time::Duration;

use actix::Addr;
use hivemind_proto::dht::StoreReport;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    expirations::after,
    foreign::{Rival, rival},
    records::Named,
};
use crate::{
    dht::{Dht, messages::Store},
    supervisor::Backoff,
};

/// How long the farewell may take. A service manager and its operator wait for it.
const DEADLINE: Duration = Duration::from_secs(4);

/// Stores `records` until each was acknowledged by another peer, nobody else is there, or the deadline has passed.
pub(super) async fn say(dht: Addr<Dht>, mut records: Vec<Named>, retry: Backoff, may_be_alone: bool) {
    let deadline = Instant::now() + DEADLINE;
    let all = records.len();
    let mut failures = 0;
    while !records.is_empty() {
        let store = Store { records: records.iter().map(|named| named.record.clone()).collect() };
        match timeout_at(deadline, dht.send(store)).await {
            Ok(Ok(Ok(report))) if report.alone => {
                return match may_be_alone {
                    true => tracing::info!(records = all, "alone: there is nobody to say OFFLINE to"),
                    false => tracing::warn!(records = all, "OFFLINE not announced: no other node is known"),
                };
            }
            Ok(Ok(Ok(report))) => {
                records = unheard(records, &report);
            }
            Ok(_) => {
                return tracing::warn!(
                    unconfirmed = records.len(),
                    "OFFLINE not announced: the dht actor is gone"
                );
            }
            Err(_) => break,
        }
        if !records.is_empty() {
            failures += 1;
            if timeout_at(deadline, sleep(retry.delay(failures, 0.0))).await.is_err() {
                break;
            }
        }
    }
    match records.len() {
        0 if all == 0 => {}
        0 => tracing::info!(records = all, "announced OFFLINE, acknowledged by other peers"),
        unconfirmed => {
            tracing::warn!(records = all, unconfirmed, "OFFLINE not acknowledged by anybody in time")
        }
    }
}

/// The records that nobody else holds, or that something outlives; those are to expire after it.
fn unheard(records: Vec<Named>, report: &StoreReport) -> Vec<Named> {
    let mut unheard = Vec::new();
    for (mut named, outcome) in records.into_iter().zip(&report.records) {
        match rival(&named, outcome.found.as_ref()) {
            Rival::Outlives(until) => {
                named.record.expiration = after(until);
                unheard.push(named);
            }
            Rival::None if outcome.acknowledged.is_empty() => unheard.push(named),
            Rival::None | Rival::Companion(_) => {}
        }
    }
    unheard
}
