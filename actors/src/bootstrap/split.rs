//! Whether our initial peers are in one swarm: a search that begins with one of them, and with nothing that we know
//! ourselves, leads to the others or not.
//!
//! Two are together if the search leads from either to the other. We are a bridge ourselves: whoever asks us hears of
//! both sides, so that two swarms grow together through us within minutes where records are renewed, and within the
//! refresh of the tables elsewhere. What is told here is that they were apart for a while, and when they are no more.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use futures::future::join_all;
use hivemind_proto::dht::{Contact, DhtId, Found};
use libp2p::PeerId;
use serde::Serialize;

use super::Bootstrap;
use crate::dht::messages::LookupThrough;

/// Between two comparisons while all is well. One costs a search for each initial peer.
const PERIOD: Duration = Duration::from_secs(300);

/// From the start to the first comparison, and between two while there is doubt.
const DOUBT_PERIOD: Duration = Duration::from_secs(60);

/// Comparisons in a row that must find them apart before it is told: one that has just been restarted knows nobody
/// for a moment.
const APART_BEFORE_TOLD: u32 = 3;

/// And together, before that is told.
const TOGETHER_BEFORE_TOLD: u32 = 2;

/// Initial peers that are compared at most.
const MOST_COMPARED: usize = 16;

/// Initial peers that know each other, by peer id.
type Groups = Vec<Vec<String>>;

/// What was found so far.
#[derive(Debug, Default)]
pub(super) struct SplitWatch {
    /// Comparisons in a row that found them apart, or together.
    apart: u32,
    together: u32,
    /// The groups, while it is told that they are apart.
    told: Option<Groups>,
}

/// What a probe tells.
#[derive(Debug, Serialize)]
pub(super) struct SplitStatus {
    /// The groups of initial peers that do not know each other; none if all do, as far as is known.
    groups: Option<Groups>,
    /// Comparisons in a row that found them apart.
    comparisons_apart: u32,
}

/// What has changed.
#[derive(Debug, PartialEq)]
enum News {
    Apart(Groups),
    Together,
}

impl SplitWatch {
    /// Takes in a comparison.
    fn compared(&mut self, groups: Groups) -> Option<News> {
        if groups.len() > 1 {
            (self.apart, self.together) = (self.apart.saturating_add(1), 0);
            if let Some(told) = &mut self.told {
                *told = groups;
                return None;
            }
            return (self.apart >= APART_BEFORE_TOLD).then(|| News::Apart(self.told.insert(groups).clone()));
        }
        (self.apart, self.together) = (0, self.together.saturating_add(1));
        let over = self.told.is_some() && self.together >= TOGETHER_BEFORE_TOLD;
        over.then(|| {
            self.told = None;
            News::Together
        })
    }

    fn in_doubt(&self) -> bool {
        self.apart > 0 || self.told.is_some() || self.together == 0
    }

    pub(super) fn status(&self) -> SplitStatus {
        SplitStatus { groups: self.told.clone(), comparisons_apart: self.apart }
    }
}

/// The groups, from whom each peer's search led to; `None` if fewer than two answered.
fn judge(led: &[(PeerId, BTreeSet<PeerId>)]) -> Option<Groups> {
    // A search leads nowhere if the peer that it begins with has just failed: that proves nothing.
    let answered: Vec<_> = led.iter().filter(|(_, led)| !led.is_empty()).collect();
    let mut links = Vec::new();
    for (later, (peer, led)) in answered.iter().enumerate() {
        for (earlier, (other, other_led)) in answered[..later].iter().enumerate() {
            if led.contains(other) || other_led.contains(peer) {
                links.push((earlier, later));
            }
        }
    }
    let peers: Vec<PeerId> = answered.iter().map(|(peer, _)| *peer).collect();
    (peers.len() > 1).then(|| groups(&peers, &links))
}

/// Puts together who is linked; `links` are pairs of indexes into `peers`.
fn groups(peers: &[PeerId], links: &[(usize, usize)]) -> Groups {
    let mut group: Vec<usize> = (0..peers.len()).collect();
    for (a, b) in links {
        let (kept, merged) = (group[*a].min(group[*b]), group[*a].max(group[*b]));
        group.iter_mut().filter(|group| **group == merged).for_each(|group| *group = kept);
    }
    let names: BTreeSet<usize> = group.iter().copied().collect();
    let members = |name| (0..peers.len()).filter(|index| group[*index] == name).collect::<Vec<_>>();
    names
        .into_iter()
        .map(|name| members(name).iter().map(|index| peers[*index].to_base58()).collect())
        .collect()
}

impl Bootstrap {
    pub(super) fn compare_later(&mut self, ctx: &mut Context<Self>) {
        self.comparing = self.peers.len() > 1;
        if !self.comparing {
            return;
        }
        let period = if self.split.in_doubt() { DOUBT_PERIOD } else { PERIOD };
        ctx.run_later(period, Self::compare);
    }

    /// Searches from each initial peer that answers towards the others.
    fn compare(&mut self, ctx: &mut Context<Self>) {
        let answering = self.peers.iter().filter_map(|watched| watched.contact());
        let compared: Vec<Contact> = answering.take(MOST_COMPARED).collect();
        if compared.len() < 2 {
            return self.compare_later(ctx); // that says nothing
        }
        let searches = compared.iter().map(|first| {
            let others = compared.iter().filter(|other| other.id != first.id);
            let keys: Vec<DhtId> = others.map(|other| other.id).collect();
            self.dht.send(LookupThrough { first: *first, keys })
        });
        let searches = join_all(searches);
        ctx.spawn(searches.into_actor(self).map(move |found, this, ctx| {
            let led_to = |found: Result<Result<HashMap<DhtId, Found>, _>, _>| -> BTreeSet<PeerId> {
                let found = found.ok().and_then(Result::ok).unwrap_or_default();
                found.values().flat_map(|found| &found.nearest).map(|contact| contact.peer).collect()
            };
            let peers = compared.iter().map(|contact| contact.peer);
            let led: Vec<_> = peers.zip(found.into_iter().map(led_to)).collect();
            if let Some(groups) = judge(&led) {
                this.compared(groups);
            }
            this.compare_later(ctx);
        }));
    }

    fn compared(&mut self, groups: Groups) {
        match self.split.compared(groups) {
            Some(News::Apart(groups)) => tracing::warn!(
                ?groups,
                "initial peers do not know each other: they are in different swarms, and we in all of them"
            ),
            Some(News::Together) => tracing::info!("initial peers know each other again"),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_linked_over_others_is_in_one_group() {
        let peers: Vec<PeerId> = (0..5).map(|_| PeerId::random()).collect();
        assert_eq!(groups(&peers, &[]).len(), 5);
        let grouped = groups(&peers, &[(3, 4), (0, 2), (2, 4)]);
        let name = |index: usize| peers[index].to_base58();
        assert_eq!(grouped, [vec![name(0), name(2), name(3), name(4)], vec![name(1)]]);
    }

    #[test]
    fn each_change_is_told_once_and_not_at_the_first_doubt() {
        let mut watch = SplitWatch::default();
        let apart = || vec![vec!["a".to_owned()], vec!["b".to_owned()]];
        let together = || vec![vec!["a".to_owned(), "b".to_owned()]];
        let mut told = Vec::new();
        for groups in [
            together(),
            apart(),
            apart(),
            together(),
            apart(),
            apart(),
            apart(),
            apart(),
            together(),
            apart(),
            together(),
            together(),
            together(),
        ] {
            told.push(watch.compared(groups));
        }
        let at: Vec<usize> = (0..told.len()).filter(|index| told[*index].is_some()).collect();
        assert_eq!(at, [6, 11]);
        assert_eq!((&told[6], &told[11]), (&Some(News::Apart(apart())), &Some(News::Together)));
        assert_eq!(watch.status().groups, None);
    }
}
