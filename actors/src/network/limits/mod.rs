//! Who may be connected: a bound for all connections, one for those that others opened, one for each peer and for each
//! range of addresses, one for those that are being made.
//!
//! - Places are kept for our own dials: others never have more than their bound, which is lower than that of all.
//! - Whom we have asked for, such as bootstraps and relays, has a place when it comes by itself, too.
//! - When all places are taken, a newcomer takes that of a peer with whom nothing was ever done, then of one with whom
//!   nothing was done for long. What was done are calls of hivemind handlers in either direction: what a peer says of
//!   itself decides nothing, and identify does not tell names without a slash anyway.
//!
//! - A connection over which nothing goes is closed, soon with a peer with whom nothing was ever done (`stay`).
//!
//! Calls, streams and bytes of one peer are bounded where they are served: see [`hivemind_proto::unary`].

mod census;
mod range;
mod refusals;
mod stay;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    convert::Infallible,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished,
    },
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::Limits;
use census::{Bounds, Census};
use range::Range;
use refusals::Refusal;
use stay::Stay;

pub use refusals::Refusals;

/// How often it is looked who was of use: a few times within [`census::GRACE`], and within the time that a stranger has.
const LOOK: Duration = Duration::from_secs(3);

/// How many calls there were so far with a peer, in either direction.
pub(super) type Calls = Box<dyn Fn(&PeerId) -> u64 + Send>;

/// Keeps the connections within their bounds. It must be the first behaviour, so that no other sees one that is refused.
pub(super) struct Behaviour {
    census: Census,
    calls: Calls,
    refusals: Refusals,
    /// What is being closed.
    closing: VecDeque<(PeerId, ConnectionId)>,
    look: Interval,
}

impl Behaviour {
    /// To be made within a tokio runtime.
    pub(super) fn new(limits: &Limits, calls: Calls) -> Self {
        let bounds = Bounds {
            all: limits.established,
            incoming: limits.established_incoming,
            of_peer: limits.established_per_peer,
            of_range: limits.established_per_range,
            pending: limits.pending,
            // When it ends, the swarm gives the connection the time of a stranger.
            stay: limits.idle.saturating_sub(limits.stranger_idle),
        };
        let mut look = interval(LOOK.min(limits.stranger_idle / 4).max(Duration::from_millis(1)));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            census: Census::new(bounds),
            calls,
            refusals: Refusals::default(),
            closing: VecDeque::new(),
            look,
        }
    }

    /// We ask to be connected to `peer`.
    pub(super) fn want(&mut self, peer: PeerId) {
        self.census.want(peer);
    }

    pub(super) fn refusals(&self) -> Refusals {
        self.refusals
    }

    fn refuse(&mut self, refusal: Refusal) -> ConnectionDenied {
        self.refusals.count(refusal);
        ConnectionDenied::new(refusal)
    }

    fn admit(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        range: Option<Range>,
        incoming: bool,
    ) -> Result<Stay, ConnectionDenied> {
        self.census.end_pending(&id);
        let victim = self.census.admit(&peer, range, incoming, Instant::now());
        let victim = victim.map_err(|refusal| self.refuse(refusal))?;
        if let Some((id, peer)) = victim.and_then(|id| Some((id, self.census.close(id)?))) {
            tracing::debug!(%peer, "closed for another peer: nothing was done over it lately");
            self.refusals.evicted += 1;
            self.closing.push_back((peer, id));
        }
        Ok(self.census.stay(id))
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Stay;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let begun = self.census.begin_incoming(id, Range::of(remote));
        begun.map_err(|refusal| self.refuse(refusal))
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(id, peer, Range::of(remote), true)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        _: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        let begun = self.census.begin_outgoing(id);
        begun.map(|()| Vec::new()).map_err(|refusal| self.refuse(refusal))
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(id, peer, Range::of(remote), false)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => {
                let (address, incoming) = match endpoint {
                    ConnectedPoint::Listener { send_back_addr, .. } => (send_back_addr, true),
                    ConnectedPoint::Dialer { address, .. } => (address, false),
                };
                self.census.opened(connection_id, peer_id, Range::of(address), incoming, Instant::now());
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) => {
                self.census.closed(&connection_id);
                self.closing.retain(|(_, id)| *id != connection_id);
            }
            FromSwarm::DialFailure(failure) => self.census.end_pending(&failure.connection_id),
            FromSwarm::ListenFailure(failure) => self.census.end_pending(&failure.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, id)) = self.closing.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(id) });
        }
        while self.look.poll_tick(cx).is_ready() {
            self.census.look(&self.calls, Instant::now());
        }
        Poll::Pending
    }
}
