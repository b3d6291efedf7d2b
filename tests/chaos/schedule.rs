//! Bad weather, chosen by a seed: gusts, each of one or two troubles, with calm between them.
//!
//! A swarm whose peers all lose their storage within one period has lost every record, whoever announced it; so
//! at most two peers are away at once, and every record is stored anew before the next gust.

use std::{fmt, time::Duration};

use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::SliceRandom};

use super::world::{BOOTSTRAPS, PEERS};
use crate::support::actors::ACTORS;

/// As a hang of the machine, a snapshot of the virtual machine, or a debugger.
const STOPPED: Duration = Duration::from_secs(20);
/// Round trips take 200 ms longer.
const DELAY: Duration = Duration::from_millis(100);
const LOSS: f64 = 0.05;

/// One kind of trouble. All of it is over at the end of its gust.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    /// These are killed, and started again: same identity, new node id, nothing stored.
    Restart(Vec<&'static str>),
    /// The cable of a node is pulled.
    Cut(&'static str),
    /// The link of a node is slow and loses frames.
    Rough(&'static str),
    /// SIGSTOP.
    Stop,
    /// `kill -9`, and a start at once.
    Kill,
    /// The log disk is full.
    FullDisk,
    /// These actors panic, half a second apart.
    Panics(Vec<&'static str>),
}

#[derive(Clone, Debug)]
pub(crate) struct Gust {
    /// The calm before it.
    pub(crate) calm: Duration,
    pub(crate) troubles: Vec<Trouble>,
    pub(crate) lasts: Duration,
}

impl Gust {
    /// Draws the next gust of a seed.
    fn draw(rng: &mut SmallRng, kinds: &mut Vec<u8>) -> Gust {
        if kinds.is_empty() {
            // Every kind comes as often as any other, in an order of its own each time.
            *kinds = (0..8).collect();
            kinds.shuffle(rng);
        }
        let ours = match kinds.pop().unwrap_or_default() {
            0 => Trouble::Stop,
            1 | 2 => Trouble::Kill,
            3 => Trouble::FullDisk,
            4 => Trouble::Cut("petald"),
            5 => Trouble::Rough("petald"),
            _ => {
                let mut actors = ACTORS.to_vec();
                actors.shuffle(rng);
                actors.truncate(rng.random_range(1..=ACTORS.len()));
                Trouble::Panics(actors)
            }
        };
        let peer = PEERS[rng.random_range(0..PEERS.len())];
        let theirs = match rng.random_range(0..6) {
            0 => Some(Trouble::Restart(BOOTSTRAPS.to_vec())),
            1 | 2 => Some(Trouble::Restart(vec![peer])),
            3 => Some(Trouble::Cut(peer)),
            4 => Some(Trouble::Rough(peer)),
            _ => None,
        };
        let lasts = match ours {
            Trouble::Stop => STOPPED,
            _ => Duration::from_millis(rng.random_range(4_000..20_000)),
        };
        let calm = Duration::from_millis(rng.random_range(1_000..6_000));
        Gust { calm, troubles: theirs.into_iter().chain([ours]).collect(), lasts }
    }

    /// As many as fill `lasts`, if records come back after each as they should.
    pub(crate) fn schedule(seed: u64, lasts: Duration) -> Vec<Gust> {
        let mut rng = SmallRng::seed_from_u64(seed);
        let (mut kinds, mut gusts, mut so_far) = (Vec::new(), Vec::new(), Duration::ZERO);
        while so_far < lasts {
            let gust = Gust::draw(&mut rng, &mut kinds);
            so_far += gust.calm + gust.lasts;
            gusts.push(gust);
        }
        gusts
    }
}

impl Trouble {
    pub(crate) fn weather(&self) -> (Duration, f64) {
        (DELAY, LOSS)
    }
}

impl fmt::Display for Gust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "after {:.1} s, for {:.1} s: {:?}",
            self.calm.as_secs_f64(),
            self.lasts.as_secs_f64(),
            self.troubles
        )
    }
}
