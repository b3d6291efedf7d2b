//! Bad weather, chosen by a seed.

use std::time::Duration;

use rand::{
    RngExt,
    rngs::SmallRng,
    seq::{IndexedRandom, IteratorRandom},
};

use super::{
    process::{ACTORS, PERIOD},
    surroundings::{BOOTSTRAPS, PEERS},
};

/// What happens at the beginning of a storm; at its end all of it is undone.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Blow {
    /// These peers die, and come back at the end with other node ids.
    PeersDie(Vec<usize>),
    /// Nobody reaches these.
    PeersCut(Vec<usize>),
    /// We reach nobody.
    WeAreCut,
    /// These and we are a network of their own.
    Island(Vec<usize>),
    /// Calls take so long one way, and this part of them is lost.
    Rough { latency: Duration, loss: f64 },
    /// Actors panic, one after another, this far apart.
    Panics { actors: Vec<&'static str>, apart: Duration },
    /// `kill -9`, and a start after so long.
    Killed { away: Duration },
    /// SIGTERM, and a start after so long.
    Stopped { away: Duration },
}

/// Several blows at once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Storm {
    /// The calm before it.
    pub(super) calm: Duration,
    pub(super) blows: Vec<Blow>,
    pub(super) lasts: Duration,
}

/// Short things are as likely as long ones: the logarithm is what is evenly spread.
fn spread(rng: &mut SmallRng, shortest: f64, longest: f64) -> Duration {
    Duration::from_secs_f64((shortest.ln() + (longest / shortest).ln() * rng.random::<f64>()).exp())
}

const HOUR: f64 = 3600.0;

impl Storm {
    pub(super) fn next(rng: &mut SmallRng) -> Self {
        // Long enough to see that everything is back, and stays.
        let calm = 3 * PERIOD + spread(rng, 60.0, 4.0 * HOUR);
        let blows = (0..rng.random_range(1..=3)).map(|_| Blow::random(rng)).collect();
        Self { calm, blows, lasts: spread(rng, 1.0, 3.0 * HOUR) }
    }
}

impl Blow {
    fn random(rng: &mut SmallRng) -> Self {
        let some = |rng: &mut SmallRng| {
            let count = rng.random_range(1..PEERS);
            (0..PEERS).sample(rng, count)
        };
        match rng.random_range(0..10) {
            0 => Self::PeersDie((0..BOOTSTRAPS).collect()),
            1 => Self::PeersDie(some(rng)),
            2 => Self::PeersDie((0..PEERS).collect()),
            3 => Self::PeersCut((0..BOOTSTRAPS).collect()),
            4 => Self::WeAreCut,
            5 => Self::Island(some(rng)),
            6 => Self::Rough { latency: spread(rng, 0.05, 1.0), loss: rng.random_range(0.0..0.3) },
            7 => {
                let count = rng.random_range(1..60);
                let mut order: Vec<_> = (0..count).map(|n| ACTORS[n % ACTORS.len()]).collect();
                if rng.random() {
                    let one = *ACTORS.choose(rng).unwrap();
                    order = vec![one; count.min(20)];
                }
                // A supervisor tolerates 25 failures of one actor within 120 s.
                Self::Panics { actors: order, apart: spread(rng, 0.9, 60.0) }
            }
            8 => Self::Killed { away: spread(rng, 0.1, 2.0 * HOUR) },
            _ => Self::Stopped { away: spread(rng, 0.1, 2.0 * HOUR) },
        }
    }
}
