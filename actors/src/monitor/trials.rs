//! Single peers that somebody asks about by name. Each trial makes a swarm and some connections at a client's behest: so
//! trials are few, at once and in a second, and an answer is given again while it is fresh.
//!
//! Protocol facts: a Petals server asks about itself at its start, every 15 s for up to 7 minutes, and gives up after 10 s
//! without an answer (`petals/server/reachability.py`, `validate_reachability`).

use std::{collections::HashMap, time::Duration};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use hivemind_proto::allowance::{Allowance, Rate};
use libp2p::PeerId;
use tokio::time::Instant;

use super::{messages::TooMany, state::Reach};

/// Trials under way at once. Each holds a swarm of its own, some 100 KiB, for some seconds.
const AT_ONCE: usize = 16;

/// All trials together: a swarm costs some milliseconds of CPU, so this is a few hundredths of a core.
const TRIALS: Rate = Rate { burst: 32.0, per_second: 5.0 };

/// For how long an answer is given again: less than a server waits before it asks again.
const FRESH: Duration = Duration::from_secs(10);

/// The whole trial: less than the 10 s for which a server waits.
pub(super) const DEADLINE: Duration = Duration::from_secs(9);

/// A trial that several may wait for.
pub(super) type Trial = Shared<BoxFuture<'static, Reach>>;

/// The trials of the last seconds.
#[derive(Debug)]
pub(super) struct Trials {
    begun: Instant,
    allowance: Allowance,
    /// When each began; at most what [`TRIALS`] lets in while an answer is fresh.
    recent: HashMap<PeerId, (Instant, Trial)>,
}

impl Trials {
    pub(super) fn new() -> Self {
        let allowance = Allowance::full(TRIALS, 0.0);
        Self { begun: Instant::now(), allowance, recent: HashMap::new() }
    }

    /// The trial of `peer` that is under way or fresh; otherwise the one that `begin` makes.
    pub(super) fn of(&mut self, peer: PeerId, begin: impl FnOnce() -> Trial) -> Result<Trial, TooMany> {
        let now = Instant::now();
        self.recent.retain(|_, (began, trial)| trial.peek().is_none() || now - *began < FRESH);
        if let Some((_, trial)) = self.recent.get(&peer) {
            return Ok(trial.clone());
        }
        let under_way = self.recent.values().filter(|(_, trial)| trial.peek().is_none()).count();
        if under_way >= AT_ONCE || !self.allowance.take(TRIALS, 1.0, (now - self.begun).as_secs_f64()) {
            return Err(TooMany);
        }
        let trial = begin();
        self.recent.insert(peer, (now, trial.clone()));
        Ok(trial)
    }
}

/// A trial, whatever it does.
pub(super) fn trial(of: impl Future<Output = Reach> + Send + 'static) -> Trial {
    of.boxed().shared()
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_trial_serves_all_who_ask_soon() {
        let (mut trials, peer) = (Trials::new(), PeerId::random());
        let (end, ended) = oneshot::channel::<()>();
        let reach = || Reach::Answered { seconds: 0.5 };
        let first = trials
            .of(peer, || {
                trial(async move {
                    let _ = ended.await;
                    reach()
                })
            })
            .unwrap();
        let second = trials.of(peer, || panic!("a second trial")).unwrap();
        end.send(()).unwrap();
        assert_eq!((first.await, second.await), (reach(), reach()));
        assert_eq!(trials.of(peer, || panic!("a second trial")).unwrap().await, reach());
        tokio::time::advance(FRESH).await;
        let failed = Reach::Failed { error: "gone".into() };
        let later = failed.clone();
        assert_eq!(trials.of(peer, || trial(async { later })).unwrap().await, failed);
    }

    #[tokio::test(start_paused = true)]
    async fn trials_are_few_at_once_and_in_a_second() {
        let mut trials = Trials::new();
        let forever = || trial(std::future::pending());
        for _ in 0..AT_ONCE {
            drop(trials.of(PeerId::random(), forever).unwrap());
        }
        assert!(trials.of(PeerId::random(), forever).is_err());
        let (mut trials, mut begun) = (Trials::new(), 0);
        for _ in 0..100 {
            let done = || trial(std::future::ready(Reach::NotAsked));
            if let Ok(trial) = trials.of(PeerId::random(), done) {
                trial.await;
                begun += 1;
            }
        }
        assert_eq!(begun, 32);
    }
}
