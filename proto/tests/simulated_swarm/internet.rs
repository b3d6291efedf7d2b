//! What lies between the nodes: how long a message takes, which calls are lost, and what is on its way.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, HashMap},
    time::Duration,
};

use rand::{RngExt, rngs::SmallRng};

/// A call that brought no answer by then has failed: hivemind's deadline, and petald's.
pub(crate) const CALL_DEADLINE: Duration = Duration::from_secs(3);

/// Of so many calls one gets lost, and ends at its deadline. TCP would have sent it again: this is the rate at which
/// connections break.
const CALLS_PER_LOSS: u32 = 100;

/// Between neighbours.
const SHORTEST: f64 = 0.002;

/// From one side of the world to the other, along the edge of the square on which the nodes stand. Two random ones are
/// about half of that apart: 54 ms.
const WORLD_WIDTH: f64 = 0.1;

/// The mean of what chance adds, as a share of the way.
const JITTER: f64 = 0.1;

/// Round trips before the first call to a peer: TCP, its answer to the security and the muxer that are proposed, and
/// noise's two.
const DIAL_ROUND_TRIPS: u32 = 3;

/// A connection that carried nothing for so long is closed (`petald-actors`, `network/swarm.rs`).
const CONNECTION_IDLE: Duration = Duration::from_secs(600);

/// Something that happens at a moment; of two at once, what was sent first.
struct Mail<T> {
    at: Duration,
    number: u64,
    content: T,
}

impl<T> PartialEq for Mail<T> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<T> Eq for Mail<T> {}

impl<T> PartialOrd for Mail<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Mail<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at).then(self.number.cmp(&other.number))
    }
}

/// Everything that will happen, and where everybody is.
pub(crate) struct Internet<T> {
    queue: BinaryHeap<Reverse<Mail<T>>>,
    number: u64,
    /// On a square of width 1.
    places: Vec<(f64, f64)>,
    /// When two that are connected last spoke.
    connections: HashMap<(u32, u32), Duration>,
}

impl<T> Internet<T> {
    pub(crate) fn new() -> Self {
        Self { queue: BinaryHeap::new(), number: 0, places: Vec::new(), connections: HashMap::new() }
    }

    /// Gives a place to the next node.
    pub(crate) fn settle(&mut self, rng: &mut SmallRng) {
        self.places.push((rng.random(), rng.random()));
    }

    pub(crate) fn send(&mut self, at: Duration, content: T) {
        self.number += 1;
        self.queue.push(Reverse(Mail { at, number: self.number, content }));
    }

    /// The next thing that happens, unless that is later than `until`.
    pub(crate) fn next(&mut self, until: Duration) -> Option<(Duration, T)> {
        self.queue.peek().filter(|Reverse(mail)| mail.at <= until)?;
        self.queue.pop().map(|Reverse(mail)| (mail.at, mail.content))
    }

    /// How long a message takes.
    pub(crate) fn way(&self, a: u32, b: u32, rng: &mut SmallRng) -> Duration {
        let ((x, y), (u, v)) = (self.places[a as usize], self.places[b as usize]);
        let way = SHORTEST + WORLD_WIDTH * (x - u).hypot(y - v);
        // Exponentially distributed.
        let jitter = -JITTER * rng.random_range(f64::EPSILON..1.0).ln();
        Duration::from_secs_f64(way * (1.0 + jitter))
    }

    /// What it takes until two can speak; `None` if they are connected.
    pub(crate) fn dial(&mut self, a: u32, b: u32, now: Duration, rng: &mut SmallRng) -> Option<Duration> {
        let last = self.connections.insert((a.min(b), a.max(b)), now);
        match last.is_some_and(|last| now - last < CONNECTION_IDLE) {
            true => None,
            false => Some(2 * DIAL_ROUND_TRIPS * self.way(a, b, rng)),
        }
    }

    pub(crate) fn loses(rng: &mut SmallRng) -> bool {
        rng.random_ratio(1, CALLS_PER_LOSS)
    }
}
