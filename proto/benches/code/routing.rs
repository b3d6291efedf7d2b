//! Routing tables that have heard of so many nodes. A table keeps twenty to each of its buckets, so its members are some
//! hundreds at the end.

use criterion::{BenchmarkId, Criterion};
use hivemind_proto::dht::{Contact, RoutingTable, routing::BUCKET_SIZE};
use libp2p::PeerId;

use super::{SIZES, id, now};

/// Targets and contacts that take turns.
const TURNS: usize = 1024;

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("routing");
    for heard_of in SIZES {
        let mut table = RoutingTable::new(id(usize::MAX), now());
        for n in 0..heard_of {
            table.heard(Contact { id: id(n), peer: PeerId::random() }, now());
        }
        let targets: Vec<_> = (0..TURNS).map(|n| id(heard_of + n)).collect();
        let members: Vec<Contact> = table.members().take(TURNS).collect();
        let strangers: Vec<Contact> =
            targets.iter().map(|id| Contact { id: *id, peer: PeerId::random() }).collect();
        let mut turn = 0;
        let mut next = move |of: usize| {
            turn += 1;
            turn % of
        };
        group.bench_function(BenchmarkId::new("nearest of a key", heard_of), |b| {
            b.iter(|| table.nearest(&targets[next(targets.len())], BUCKET_SIZE, None))
        });
        group.bench_function(BenchmarkId::new("hear of a member", heard_of), |b| {
            b.iter(|| table.heard(members[next(members.len())], now()))
        });
        group.bench_function(BenchmarkId::new("hear of a stranger", heard_of), |b| {
            b.iter(|| table.heard(strangers[next(strangers.len())], now()))
        });
    }
    group.finish();
}
