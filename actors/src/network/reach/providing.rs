//! When our key is provided in libp2p's Kademlia.

use std::time::Duration;

/// After the first time that we provided our key, when the table may have held few peers.
const PROVIDE_SOON: Duration = Duration::from_secs(60);

/// From then on: a provider is believed for a day, and whoever is nearest to the key by then may be new.
const PROVIDE_AGAIN: Duration = Duration::from_secs(3600);

/// When our key was provided.
#[derive(Debug, Default)]
pub(super) struct Providing {
    due: Option<Duration>,
    times: u32,
}

impl Providing {
    /// Whether it is time to do it, which is then taken to be done.
    pub(super) fn is_due(&mut self, now: Duration) -> bool {
        if self.due.is_some_and(|due| now < due) {
            return false;
        }
        let again = if self.times == 0 { PROVIDE_SOON } else { PROVIDE_AGAIN };
        *self = Self { due: Some(now + again), times: self.times + 1 };
        true
    }
}
