//! Which lookups find what was announced, after part of the swarm was replaced or has vanished, and nothing was renewed.

use std::time::Duration;

use super::{
    Options,
    swarm::Swarm,
    work::{self, Costs},
};

/// Within this the part is replaced, node by node: longer than a record of Petals lives without being renewed.
const REPLACED_WITHIN: Duration = Duration::from_secs(300);

/// For the swarm to recover before the next case.
const SETTLE: Duration = Duration::from_secs(300);

const ANNOUNCEMENTS: usize = 300;

pub(crate) struct Churn {
    /// How much of the swarm.
    pub(crate) share: f64,
    /// Newcomers have taken the place of those who left, one after the other.
    pub(crate) replaced: Costs,
    /// All of them left at once a moment ago.
    pub(crate) vanished: Costs,
}

pub(crate) fn measure(swarm: &mut Swarm, share: f64, options: &Options) -> Churn {
    let leave = (swarm.len() as f64 * share).round() as usize;
    let lookups = options.lookups_under_churn(share);
    let (_, announced) = work::announcements(swarm, &format!("replaced-{share}"), ANNOUNCEMENTS);
    for _ in 0..leave {
        let gone = swarm.anybody_mortal();
        swarm.leave(gone);
        swarm.join();
        swarm.run_for(REPLACED_WITHIN / leave as u32);
    }
    let replaced = work::lookups(swarm, &announced, lookups);

    swarm.run_for(if leave == 0 { Duration::ZERO } else { SETTLE });
    let (_, announced) = work::announcements(swarm, &format!("vanished-{share}"), ANNOUNCEMENTS);
    for _ in 0..leave {
        let gone = swarm.anybody_mortal();
        swarm.leave(gone);
    }
    let vanished = work::lookups(swarm, &announced, lookups);
    for _ in 0..leave {
        swarm.join();
        swarm.run_for(REPLACED_WITHIN / leave as u32);
    }
    swarm.run_for(if leave == 0 { Duration::ZERO } else { SETTLE });

    println!("{} nodes, {:.0} % of them", swarm.len(), 100.0 * share);
    println!("  replaced within {} s: {}", REPLACED_WITHIN.as_secs(), replaced.show());
    println!("  vanished at once: {}", vanished.show());
    Churn { share, replaced, vanished }
}
