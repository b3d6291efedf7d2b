//! Storages of so many entries, ten under each key: what a find and a store do with them.

use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use hivemind_proto::{
    dht::{DhtId, Held, Storage, Subkey, storage::Limits},
    time::DhtTime,
};
use libp2p::PeerId;

use super::{SIZES, id, now};

/// Servers of a block.
const SUBKEYS: usize = 10;

/// A Petals record: a tuple of state, throughput and a map of some ten fields.
const VALUE_BYTES: usize = 200;

const LIVES: Duration = Duration::from_secs(300);

struct Filled {
    storage: Storage,
    keys: usize,
    peers: Vec<(PeerId, Subkey)>,
    value: Vec<u8>,
    /// Each store lives a little longer than the last.
    latest: DhtTime,
    turn: usize,
}

impl Filled {
    fn with(entries: usize) -> Self {
        let peer = |_| {
            let peer = PeerId::random();
            (peer, Subkey::text(&peer.to_base58()))
        };
        let mut filled = Self {
            storage: Storage::new(Limits::default()),
            keys: entries / SUBKEYS,
            peers: (0..SUBKEYS).map(peer).collect(),
            value: vec![7; VALUE_BYTES],
            latest: now() + LIVES,
            turn: 0,
        };
        // Nothing is refused, so that it is all there.
        (0..entries).for_each(|_| filled.store());
        assert_eq!(filled.storage.entries(), filled.keys * SUBKEYS);
        filled
    }

    /// Stores the next entry, for the first time or once more.
    fn store(&mut self) {
        let (peer, subkey) = &self.peers[self.turn / self.keys % SUBKEYS];
        let key = id(self.turn % self.keys);
        self.turn += 1;
        self.latest = self.latest + Duration::from_micros(1);
        self.storage.store_subkey(key, subkey, &self.value, self.latest, Some(peer), now()).unwrap();
    }

    /// Another key at each turn.
    fn key(&mut self) -> DhtId {
        self.turn += 1;
        // A step that meets all of them in no order.
        id(self.turn * 7919 % self.keys)
    }
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("storage");
    for entries in SIZES {
        let mut filled = Filled::with(entries);
        group.bench_function(BenchmarkId::new("renew an entry", entries), |b| b.iter(|| filled.store()));
        group.bench_function(BenchmarkId::new("find a key and write its dictionary", entries), |b| {
            b.iter(|| {
                let key = filled.key();
                match filled.storage.get(&key, now()) {
                    Some(Held::Dictionary(held)) => held.encode(),
                    other => panic!("a dictionary: {other:?}"),
                }
            })
        });
        group.bench_function(BenchmarkId::new("find nothing", entries), |b| {
            b.iter(|| {
                filled.turn += 1;
                let absent = id(filled.keys + filled.turn);
                filled.storage.get(&absent, now()).is_some()
            })
        });
    }
    group.finish();
}
