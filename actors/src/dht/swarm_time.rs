//! How far the local clock is from the swarm's, by what other nodes tell with each pong (`dht_time`).
//!
//! Each sample is corrected by half its round trip, the median of several peers counts, and a peer has one vote, its
//! latest. hivemind's own bound is used: `MAX_DHT_TIME_DISCREPANCY_SECONDS` (`hivemind/dht/protocol.py`). A clock
//! within it stays in charge; one that is beyond it is corrected until it is well within again. Whoever could bring
//! most of the peers that we know to lie could move our time; half of them cannot.

use std::{collections::HashMap, time::Duration};

use hivemind_proto::time::DhtTime;
use libp2p::PeerId;
use serde::Serialize;
use tokio::time::Instant;

/// A clock that is off by more is corrected, in seconds. Python nodes refuse to join through such a one.
const TOLERATED: f64 = 3.0;

/// A correction ends when the clock is off by less than this, in seconds: far enough below [`TOLERATED`] that samples
/// which scatter by their round trips do not switch it on and off.
const TOLERATED_AGAIN: f64 = 1.5;

/// A correction follows the median when it is off by more than this, in seconds. Each adjustment is a leap.
const ADJUSTMENT: f64 = 1.0;

/// Peers that must have told their time before anything follows from it: of two that disagree nobody knows which one
/// is right.
const QUORUM: usize = 3;

/// Samples kept, one a peer. The median of so many moves no more for a further one.
const MAX_SAMPLES: usize = 64;

/// A sample counts for so long. Clocks drift by less than a second a day, so this is about peers that have gone.
const SAMPLE_LIFE: Duration = Duration::from_secs(600);

/// A slower pong tells nothing: half its round trip is the error of what it says.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(1);

/// No clock is off by more, in seconds: a hundred years.
const PLAUSIBLE: f64 = 100.0 * 365.25 * 86_400.0;

/// What peers told, and what follows from it.
#[derive(Debug, Default)]
pub(super) struct Survey {
    samples: HashMap<PeerId, Sample>,
    correction: f64,
    leaps: u64,
}

#[derive(Debug)]
struct Sample {
    /// Seconds that the peer is ahead of us.
    offset: f64,
    at: Instant,
}

/// What a probe tells.
#[derive(Debug, Serialize)]
pub(super) struct ClockStatus {
    /// Seconds that the swarm is ahead of the local clock; `None` if too few have told.
    offset_seconds: Option<f64>,
    samples: usize,
    /// Seconds that are added to the local clock.
    correction_seconds: f64,
    /// How often the local clock was set while we ran.
    leaps: u64,
}

impl Survey {
    /// A pong came `round_trip` after `asked`, our time then, and told `told`.
    pub(super) fn sample(
        &mut self,
        peer: PeerId,
        asked: DhtTime,
        told: DhtTime,
        round_trip: Duration,
        now: Instant,
    ) {
        let offset = told.seconds_since(asked + round_trip / 2);
        if round_trip > MAX_ROUND_TRIP || offset.abs() > PLAUSIBLE {
            return;
        }
        if self.samples.len() >= MAX_SAMPLES && !self.samples.contains_key(&peer) {
            let oldest = self.samples.iter().min_by_key(|(_, sample)| sample.at).map(|(peer, _)| *peer);
            oldest.map(|peer| self.samples.remove(&peer));
        }
        self.samples.insert(peer, Sample { offset, at: now });
    }

    /// The local clock was set: what peers told beside the old one is worth nothing. The correction stays until they
    /// have told again, which takes a round trip: after a sleep of the machine it is still right.
    pub(super) fn forget(&mut self) {
        self.samples.clear();
        self.leaps += 1;
    }

    /// Draws the conclusion; whether the correction is another now.
    pub(super) fn conclude(&mut self, now: Instant) -> bool {
        self.samples.retain(|_, sample| now.duration_since(sample.at) < SAMPLE_LIFE);
        // With too few samples what was concluded before stays: no news is no reason to trust the clock again.
        let Some(median) = self.median() else { return false };
        let correction = match (self.correction, median.abs()) {
            (0.0, off) if off <= TOLERATED => 0.0,
            (_, off) if off < TOLERATED_AGAIN => 0.0,
            (held, _) if held != 0.0 && (median - held).abs() <= ADJUSTMENT => held,
            _ => median,
        };
        std::mem::replace(&mut self.correction, correction) != correction
    }

    /// Whether more samples are wanted soon.
    pub(super) fn is_short(&self) -> bool {
        self.samples.len() < QUORUM
    }

    pub(super) fn samples(&self) -> usize {
        self.samples.len()
    }

    /// Seconds to be added to the local clock; 0 while that is right.
    pub(super) fn correction(&self) -> f64 {
        self.correction
    }

    pub(super) fn status(&self) -> ClockStatus {
        ClockStatus {
            offset_seconds: self.median(),
            samples: self.samples.len(),
            correction_seconds: self.correction,
            leaps: self.leaps,
        }
    }

    /// Of an even number, the one of the middle two that is nearer to our own clock.
    fn median(&self) -> Option<f64> {
        if self.is_short() {
            return None;
        }
        let mut offsets: Vec<f64> = self.samples.values().map(|sample| sample.offset).collect();
        offsets.sort_by(f64::total_cmp);
        let (low, high) = (offsets[(offsets.len() - 1) / 2], offsets[offsets.len() / 2]);
        Some(if low.abs() <= high.abs() { low } else { high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND_TRIP: Duration = Duration::from_millis(200);

    /// A survey in which peers are ahead of us by these seconds.
    fn told(survey: &mut Survey, offsets: &[f64], now: Instant) -> bool {
        survey.samples.clear();
        for offset in offsets {
            let asked = DhtTime::from_unix(1000.0).unwrap();
            let told = DhtTime::from_unix(1000.1 + offset).unwrap();
            survey.sample(PeerId::random(), asked, told, ROUND_TRIP, now);
        }
        survey.conclude(now)
    }

    #[test]
    fn a_clock_is_corrected_beyond_three_seconds_and_trusted_again_well_below() {
        let (mut survey, now) = (Survey::default(), Instant::now());
        for (offset, correction) in
            [(2.9, 0.0), (3.1, 3.1), (2.9, 3.1), (4.0, 3.1), (4.5, 4.5), (1.6, 1.6), (1.4, 0.0), (-9.0, -9.0)]
        {
            let before = survey.correction();
            let changed = told(&mut survey, &[offset; 3], now);
            assert!((survey.correction() - correction).abs() < 1e-9, "{offset}: {}", survey.correction());
            assert_eq!(changed, (before - correction).abs() > 1e-9);
        }
    }

    #[test]
    fn two_peers_prove_nothing_and_half_of_them_move_nothing() {
        let (mut survey, now) = (Survey::default(), Instant::now());
        assert!(!told(&mut survey, &[10.0, 10.0], now));
        assert!(!told(&mut survey, &[0.0, 0.1, 1e9, 1e9], now));
        assert!(!told(&mut survey, &[-0.1, 0.0, 0.2, 1e9, 1e9], now));
        assert!(told(&mut survey, &[0.0, 10.0, 10.0], now));
    }

    #[test]
    fn what_is_slow_or_absurd_or_old_does_not_count() {
        let (mut survey, now) = (Survey::default(), Instant::now());
        let asked = DhtTime::from_unix(1000.0).unwrap();
        survey.sample(PeerId::random(), asked, asked + Duration::from_secs(9), 2 * MAX_ROUND_TRIP, now);
        survey.sample(PeerId::random(), asked, DhtTime::from_unix(1e300).unwrap(), ROUND_TRIP, now);
        assert_eq!(survey.samples(), 0);
        told(&mut survey, &[0.0; MAX_SAMPLES + 9], now);
        assert_eq!(survey.samples(), MAX_SAMPLES);
        survey.conclude(now + SAMPLE_LIFE);
        assert_eq!(survey.samples(), 0);
    }

    #[test]
    fn without_news_the_correction_stays() {
        let (mut survey, now) = (Survey::default(), Instant::now());
        told(&mut survey, &[60.0; 3], now);
        survey.forget();
        assert!(!survey.conclude(now));
        assert!((survey.correction() - 60.0).abs() < 1e-9);
    }
}
