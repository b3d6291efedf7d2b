//! What each part of the protocol's code costs: `cargo bench -p hivemind-proto --bench code`, or with a part of a name
//! behind `--`, such as `-- routing`. Criterion keeps the last run in `target/criterion` and tells what changed since.
//!
//! | module | measures |
//! | --- | --- |
//! | [`messages`] | the three calls of the DHT and their answers, to bytes and back, as running peers sent them |
//! | [`records`] | what a server announces, and what it answers to `rpc_info` |
//! | [`handshake`] | the negotiation of a bare name, beside the stock one of a name with a slash |
//! | [`routing`] | tables that have heard of a hundred to a million nodes |
//! | [`storage`] | storages of a hundred to a million entries |
//! | [`lookups`] | whole lookups and announcements in a swarm in memory, all its nodes' work included |

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark fails by panicking, and measures real time"
)]

mod handshake;
mod lookups;
mod messages;
mod records;
mod routing;
mod storage;

use std::time::Duration;

use criterion::Criterion;
use hivemind_proto::{dht::DhtId, time::DhtTime};

/// The moment at which everything happens.
fn now() -> DhtTime {
    DhtTime::from_unix(1.8e9).unwrap()
}

/// The n-th of as many keys and node ids as are needed.
fn id(n: usize) -> DhtId {
    DhtId::of_bytes(&n.to_be_bytes())
}

/// The sizes of what grows.
const SIZES: [usize; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];

fn main() {
    // All of it within some three minutes.
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    messages::measure(&mut criterion);
    records::measure(&mut criterion);
    handshake::measure(&mut criterion);
    routing::measure(&mut criterion);
    storage::measure(&mut criterion);
    lookups::measure(&mut criterion);
    criterion.final_summary();
}
