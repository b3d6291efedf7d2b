//! How others reach us, from the network to those who must act on it.

use std::sync::Arc;

use futures::{Future, Stream, future::join, stream};
use libp2p::Multiaddr;
use tokio::sync::watch;

use super::Told;
use crate::{
    dht::messages::TakePart,
    network::{Reach, Verdict},
    server_info::messages::{Change, Source, Update, UpdateError},
};

/// How others reach us from now on.
#[derive(Debug)]
pub(super) struct News(pub(super) Arc<Reach>);

/// What is known now, and everything that is found out later. Whoever is slow hears the latest alone.
pub(super) fn stream(reach: watch::Receiver<Option<Arc<Reach>>>) -> impl Stream<Item = News> {
    stream::unfold((reach, true), |(mut reach, first)| async move {
        if !first {
            reach.changed().await.ok()?;
        }
        loop {
            let now = reach.borrow_and_update().clone();
            match now {
                Some(now) => return Some((News(now), (reach, false))),
                None => reach.changed().await.ok()?,
            }
        }
    })
}

/// Tells those who stand above us. If one of them is gone, we are about to be rebuilt with it.
pub(super) fn tell(told: &Told, reach: &Reach) -> impl Future<Output = ()> + use<> {
    let part = told.dht.send(TakePart { as_client: reach.direct.is_empty() });
    let change = Change {
        using_relay: Some(reach.is_relayed()),
        dialable: Some(reach.is_dialable()),
        ..Change::default()
    };
    let update = told.server_info.send(Update { source: Source::Reachability, change });
    async move {
        let (_, updated) = join(part, update).await;
        if let Ok(Err(error)) = updated
            && error != UpdateError::NothingOffered
        {
            tracing::warn!(%error, "our record does not tell how others reach us");
        }
    }
}

/// One line for each change, which says no more than what is announced, and why.
pub(super) fn log(before: Option<&Reach>, now: &Reach) {
    let text =
        |addresses: &[Multiaddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let (direct, relayed) = (text(&now.direct), text(&now.relayed));
    match now.verdict {
        Verdict::Public => tracing::info!(direct, "announcing addresses of our own"),
        _ if now.is_relayed() => {
            tracing::info!(relayed, "announcing addresses at relays: nobody can dial us directly")
        }
        Verdict::Private => tracing::warn!(
            "nobody can dial us, and no relay stands in: not announced online; forward the port and name it in \
             network.announce, or name a relay in network.relays"
        ),
        Verdict::Unknown if before.is_some() => {
            tracing::warn!("no address is known at which others can dial us: not announced online");
        }
        Verdict::Unknown => {
            tracing::info!("it is not known yet whether others can dial us: nothing is announced online")
        }
    }
}
