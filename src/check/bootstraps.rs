//! Initial peers, each as a node that joins meets them, all at the same time; and our clock by theirs.
//!
//! Protocol fact: a hivemind node refuses peers whose clock is off by more than 3 s (`hivemind/dht/protocol.py`,
//! `MAX_DHT_TIME_DISCREPANCY_SECONDS`).

use std::time::Duration;

use futures::future::join_all;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::time::timeout;

use super::Finding;
use crate::config::Network;
use crate::probe::guest::Guest;
use crate::probe::visit::Visit;
use crate::progress::Progress;

/// One bootstrap with all its layers, each of which has a deadline of its own.
const DEADLINE: Duration = Duration::from_secs(15);

/// The most by which our clock may be off, in seconds.
const MOST_CLOCK_OFFSET: f64 = 3.0;

pub(super) async fn findings(network: &Network, progress: &Progress) -> Vec<Finding> {
    if network.initial_peers.is_empty() {
        return vec![clock(&[])];
    }
    let guest = match Guest::arrive(network.private_addresses).await {
        Ok(guest) => guest,
        Err(error) => return vec![Finding::failed("bootstraps", error.to_string())],
    };
    let visits = network.initial_peers.iter().map(|address| visit(&guest, address, progress));
    let (mut findings, offsets): (Vec<_>, Vec<_>) = join_all(visits).await.into_iter().unzip();
    let offsets: Vec<f64> = offsets.into_iter().flatten().collect();
    findings.push(clock(&offsets));
    findings
}

async fn visit(guest: &Guest, address: &Multiaddr, progress: &Progress) -> (Finding, Option<f64>) {
    let what = format!("bootstrap {address}");
    let Some(Protocol::P2p(peer)) = address.iter().last() else {
        return (Finding::failed(what, "the address lacks the peer's id"), None);
    };
    let shown = progress.begin(&what);
    let mut visit = Visit::new(guest, peer);
    let layers = timeout(DEADLINE, async {
        if visit.reach(std::slice::from_ref(address), &shown).await {
            visit.greet(&shown).await;
            visit.ping(&shown).await;
        }
    })
    .await;
    let finding = match (visit.failure(), layers) {
        (Some((layer, cause)), _) => Finding::failed(what, format!("{}: {cause}", layer.name())),
        (None, Err(_)) => {
            Finding::failed(what, format!("not done within {}", humantime::format_duration(DEADLINE)))
        }
        (None, Ok(())) => {
            let agent = visit.agent.as_deref().unwrap_or("an unnamed program");
            let took: Duration = visit.steps.iter().map(|step| step.took).sum();
            Finding::ok(what, format!("{agent} answers as a node of the DHT, {} ms", took.as_millis()))
        }
    };
    (finding, visit.clock_offset)
}

/// Our clock, if anybody told the time. The median counts: one bootstrap with a wrong clock changes nothing.
pub(super) fn clock(offsets: &[f64]) -> Finding {
    let mut offsets = offsets.to_vec();
    offsets.sort_by(f64::total_cmp);
    match offsets.get(offsets.len() / 2) {
        None => Finding::ok("clock", "not compared: no bootstrap told the time"),
        Some(offset) if offset.abs() > MOST_CLOCK_OFFSET => Finding::failed(
            "clock",
            format!(
                "{:.1} s {} the bootstraps', and peers are refused beyond {MOST_CLOCK_OFFSET} s: let NTP set it \
                 (timedatectl set-ntp true)",
                offset.abs(),
                if *offset > 0.0 { "behind" } else { "ahead of" }
            ),
        ),
        Some(offset) => {
            Finding::ok("clock", format!("{offset:+.3} s to the bootstraps' ({} told)", offsets.len()))
        }
    }
}
