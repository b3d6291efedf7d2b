//! Round trips, smoothed as petals smooths them (`petals/utils/ping.py`, `PingAggregator`).

use std::{collections::BTreeMap, time::Duration};

use libp2p::PeerId;
use tokio::time::Instant;

/// The weight of the latest round trip: petals' `ema_alpha`.
const LATEST_WEIGHT: f64 = 0.2;

/// A server that was not asked for so long is not told of any more: petals' `expiration`.
const LIFE: Duration = Duration::from_secs(300);

/// Servers told of at once. Ten a round and a life of 300 s make up to fifty at Petals' period.
const MOST: usize = 64;

/// The smoothed round trips.
#[derive(Debug, Default)]
pub(super) struct RoundTrips(BTreeMap<PeerId, Smoothed>);

#[derive(Debug)]
struct Smoothed {
    /// +inf if it did not answer.
    seconds: f64,
    at: Instant,
}

impl RoundTrips {
    /// A server answered after so long, or did not.
    pub(super) fn measured(&mut self, peer: PeerId, round_trip: Option<Duration>, now: Instant) {
        self.0.retain(|_, smoothed| now.duration_since(smoothed.at) < LIFE);
        let latest = round_trip.map_or(f64::INFINITY, |round_trip| round_trip.as_secs_f64());
        let seconds = match self.0.get(&peer) {
            // One failure makes it infinite, and the first answer after it counts alone.
            Some(before) if before.seconds.is_finite() => {
                LATEST_WEIGHT * latest + (1.0 - LATEST_WEIGHT) * before.seconds
            }
            _ => latest,
        };
        if self.0.len() >= MOST && !self.0.contains_key(&peer) {
            let oldest = self.0.iter().min_by_key(|(_, smoothed)| smoothed.at).map(|(peer, _)| *peer);
            oldest.map(|peer| self.0.remove(&peer));
        }
        self.0.insert(peer, Smoothed { seconds, at: now });
    }

    /// Seconds, by server.
    pub(super) fn seconds(&mut self, now: Instant) -> BTreeMap<PeerId, f64> {
        self.0.retain(|_, smoothed| now.duration_since(smoothed.at) < LIFE);
        self.0.iter().map(|(peer, smoothed)| (*peer, smoothed.seconds)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_petals_smooths() {
        let (mut trips, peer, now) = (RoundTrips::default(), PeerId::random(), Instant::now());
        let ms = |ms| Some(Duration::from_millis(ms));
        for (measured, expected) in [
            (ms(100), 0.1),
            (ms(200), 0.12),
            (None, f64::INFINITY),
            (None, f64::INFINITY),
            (ms(300), 0.3),
            (ms(50), 0.25),
        ] {
            trips.measured(peer, measured, now);
            let seconds = trips.seconds(now)[&peer];
            assert!(seconds == expected || (seconds - expected).abs() < 1e-9, "{seconds} {expected}");
        }
    }

    #[test]
    fn what_is_old_or_too_much_is_forgotten() {
        let (mut trips, now) = (RoundTrips::default(), Instant::now());
        for n in 0..100 {
            trips.measured(PeerId::random(), None, now + Duration::from_millis(n));
        }
        assert_eq!(trips.seconds(now).len(), MOST);
        assert!(trips.seconds(now + LIFE + Duration::from_secs(1)).is_empty());
    }
}
