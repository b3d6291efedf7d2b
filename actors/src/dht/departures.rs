//! Members whose last connection has closed: they are asked whether they are still there.
//!
//! A process that ends closes its connections at once, and every search that is led to it then waits a call's deadline
//! in vain. The original notices with the next call to it; here it leaves the table within a second or two. A peer that
//! only closed an idle connection answers, and stays.

use std::{collections::HashSet, time::Duration};

use actix::{ActorFutureExt, AsyncContext, Context, StreamHandler, WrapFuture};
use futures::stream;
use libp2p::PeerId;
use tokio::sync::broadcast;

use super::Dht;
use crate::network::NetworkEvent;

/// From the close to the question: two peers that dialled each other at once close one of their connections, and a
/// peer that is restarted needs a moment.
const GRACE: Duration = Duration::from_millis(500);

/// Members that are asked at once. Of more that close at the same moment the survey notices later that they have gone.
const MOST_ASKED: usize = 64;

/// The members that are being asked.
#[derive(Debug, Default)]
pub(super) struct Departures(HashSet<PeerId>);

/// The last connection to a peer is gone.
pub(super) struct Disconnected(PeerId);

/// Who disconnects. Whoever is missed because there are too many is noticed by the survey.
pub(super) fn disconnected(
    events: broadcast::Receiver<NetworkEvent>,
) -> impl futures::Stream<Item = Disconnected> {
    stream::unfold(events, |mut events| async move {
        loop {
            match events.recv().await {
                Ok(NetworkEvent::Disconnected(peer)) => return Some((Disconnected(peer), events)),
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    })
}

impl StreamHandler<Disconnected> for Dht {
    fn handle(&mut self, Disconnected(peer): Disconnected, ctx: &mut Self::Context) {
        let is_member = self.node.table().id_of(&peer).is_some();
        if is_member && self.departures.0.len() < MOST_ASKED && self.departures.0.insert(peer) {
            ctx.run_later(GRACE, move |this, ctx| this.ask_whether_there(peer, ctx));
        }
    }

    fn finished(&mut self, _: &mut Self::Context) {}
}

impl Dht {
    /// A failed call takes the peer out of the table, and an answer keeps it there.
    fn ask_whether_there(&mut self, peer: PeerId, ctx: &mut Context<Self>) {
        let pong = self.start(ctx, |node, now| node.ping(peer, false, now));
        ctx.spawn(pong.into_actor(self).map(move |_, this, _| {
            this.departures.0.remove(&peer);
        }));
    }
}
