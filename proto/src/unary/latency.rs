//! How long calls take, method by method, in buckets. A measurement is three atomic additions.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::bare_name::HandlerName;

/// Upper bounds of the buckets, in seconds; one more bucket holds what took longer. From an answer out of memory to the
/// patience of a peer: 3 s for a DHT call, 5 to 10 s for others.
pub const LATENCY_BOUNDS: [f64; 14] =
    [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0];

const BUCKETS: usize = LATENCY_BOUNDS.len() + 1;

/// Methods that are told apart. We serve and call half a dozen; this only bounds a mistake.
const MOST_METHODS: usize = 64;

/// Monotonic time since any fixed moment. It is given in, since this crate reads no clock.
pub type Stopwatch = Arc<dyn Fn() -> Duration + Send + Sync>;

/// How long the calls of one method took so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Calls in each bucket: those of [`LATENCY_BOUNDS`], and one for what took longer.
    pub buckets: Vec<u64>,
    /// All of them together.
    pub nanoseconds: u64,
    /// How many of them ended in an error.
    pub errors: u64,
}

impl Latency {
    /// How many calls were measured.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[derive(Debug, Default)]
struct Cells {
    buckets: [AtomicU64; BUCKETS],
    nanoseconds: AtomicU64,
    errors: AtomicU64,
}

impl Cells {
    fn measured(&self, took: Duration, ok: bool) {
        let seconds = took.as_secs_f64();
        let bucket = LATENCY_BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS - 1);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        self.errors.fetch_add(u64::from(!ok), Relaxed);
    }

    fn snapshot(&self) -> Latency {
        Latency {
            buckets: self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect(),
            nanoseconds: self.nanoseconds.load(Relaxed),
            errors: self.errors.load(Relaxed),
        }
    }
}

/// The latencies of all methods in one direction. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Latencies {
    stopwatch: Option<Stopwatch>,
    methods: Arc<RwLock<HashMap<HandlerName, Arc<Cells>>>>,
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.snapshot()).finish()
    }
}

impl Latencies {
    pub(super) fn timed(stopwatch: Stopwatch) -> Self {
        Self { stopwatch: Some(stopwatch), ..Self::default() }
    }

    /// A call of `method` begins; `None` if it is not measured.
    pub(super) fn begin(&self, method: &HandlerName) -> Option<Measuring> {
        let stopwatch = self.stopwatch.clone()?;
        let begun = stopwatch();
        Some(Measuring { cells: self.cells(method)?, begun, stopwatch })
    }

    fn cells(&self, method: &HandlerName) -> Option<Arc<Cells>> {
        // Nothing can panic while the lock is held, so a poisoned one still holds a whole value.
        let known = self.methods.read().unwrap_or_else(PoisonError::into_inner).get(method).cloned();
        if known.is_some() {
            return known;
        }
        let mut methods = self.methods.write().unwrap_or_else(PoisonError::into_inner);
        let room = methods.len() < MOST_METHODS || methods.contains_key(method);
        room.then(|| methods.entry(method.clone()).or_default().clone())
    }

    pub(super) fn snapshot(&self) -> BTreeMap<String, Latency> {
        let methods = self.methods.read().unwrap_or_else(PoisonError::into_inner);
        methods.iter().map(|(name, cells)| (name.as_str().to_owned(), cells.snapshot())).collect()
    }
}

/// A call that is being measured. Dropped without an end, it counts for nothing.
pub(super) struct Measuring {
    cells: Arc<Cells>,
    begun: Duration,
    stopwatch: Stopwatch,
}

impl Measuring {
    pub(super) fn end(self, ok: bool) {
        self.cells.measured((self.stopwatch)().saturating_sub(self.begun), ok);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(name: &str) -> HandlerName {
        HandlerName::new(name).unwrap()
    }

    /// A stopwatch that shows what was set.
    fn stopwatch() -> (Arc<AtomicU64>, Stopwatch) {
        let micros = Arc::new(AtomicU64::new(0));
        let shown = micros.clone();
        (micros, Arc::new(move || Duration::from_micros(shown.load(Relaxed))))
    }

    #[test]
    fn each_call_is_in_the_bucket_of_its_time() {
        let (micros, stopwatch) = stopwatch();
        let latencies = Latencies::timed(stopwatch);
        for (took, ok) in [(50, true), (100, true), (101, false), (1_000_000, true), (60_000_000, false)] {
            micros.store(7, Relaxed);
            let call = latencies.begin(&method("a.b")).unwrap();
            micros.store(7 + took, Relaxed);
            call.end(ok);
        }
        // One that is given up is no answer.
        drop(latencies.begin(&method("a.b")));
        let told = latencies.snapshot();
        let latency = &told["a.b"];
        let filled: Vec<_> = latency
            .buckets
            .iter()
            .enumerate()
            .filter(|(_, calls)| **calls > 0)
            .map(|(at, n)| (at, *n))
            .collect();
        assert_eq!(filled, [(0, 2), (1, 1), (11, 1), (BUCKETS - 1, 1)]);
        assert_eq!((latency.count(), latency.errors, latency.nanoseconds), (5, 2, 61_000_251_000));
    }

    #[test]
    fn without_a_stopwatch_nothing_is_measured_and_methods_are_bounded() {
        assert!(Latencies::default().begin(&method("a.b")).is_none());
        let latencies = Latencies::timed(stopwatch().1);
        for n in 0..2 * MOST_METHODS {
            if let Some(call) = latencies.begin(&method(&format!("m.{n}"))) {
                call.end(true);
            }
        }
        assert_eq!(latencies.snapshot().len(), MOST_METHODS);
        assert!(latencies.begin(&method("m.0")).is_some());
    }
}
