//! Our calls over one connection, driven by the swarm's task of it. Those of the remote are served below, by the
//! [`Muxer`](super::Muxer)'s own.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use futures_bounded::Delay;
use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::{DeniedUpgrade, OutboundUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedOutbound},
    },
};

use super::{
    CallError,
    callers::Caller,
    outbound::{Exchange, QueuedCall},
};

/// How long a connection is kept at least after a call in either direction. Hivemind peers call each other every few
/// minutes (records are renewed after 60 to 120 s, tables refreshed after some minutes).
const KEPT_AFTER_CALL: Duration = Duration::from_secs(600);

/// Our calls over one connection.
pub struct Handler {
    limit: usize,
    /// Calls that need a stream.
    queued: VecDeque<QueuedCall>,
    /// Calls for which a stream is being opened.
    opening: usize,
    outbound: FuturesUnordered<Exchange<Stream>>,
    caller: Arc<Caller>,
    /// The calls that had begun when the connection's use was last looked at.
    calls_seen: u64,
    /// While it runs, the connection is kept. One timer for all calls: the swarm's own is a new one for each.
    kept: Option<Delay>,
}

impl Handler {
    /// `limit` calls may be under way at once.
    pub(super) fn new(caller: Arc<Caller>, limit: usize) -> Self {
        Self {
            limit,
            queued: VecDeque::new(),
            opening: 0,
            outbound: FuturesUnordered::new(),
            caller,
            calls_seen: 0,
            kept: None,
        }
    }

    fn poll_use(&mut self, cx: &mut Context<'_>) {
        loop {
            if let Some(kept) = &mut self.kept
                && Pin::new(kept).poll(cx).is_pending()
            {
                return;
            }
            let calls = self.caller.calls();
            self.kept = (calls != self.calls_seen).then(|| Delay::tokio(KEPT_AFTER_CALL));
            self.calls_seen = calls;
            if self.kept.is_none() {
                return;
            }
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = QueuedCall;
    type ToBehaviour = Infallible;
    type InboundProtocol = DeniedUpgrade;
    type OutboundProtocol = Proposal;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = QueuedCall;

    fn listen_protocol(&self) -> SubstreamProtocol<DeniedUpgrade> {
        SubstreamProtocol::new(DeniedUpgrade, ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.kept.is_some()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Proposal, QueuedCall, Infallible>> {
        self.poll_use(cx);
        while let Some(call) = self.queued.pop_front() {
            if call.reply.is_cancelled() {
                continue;
            }
            self.opening += 1;
            let timeout = call.timeout;
            let proposal = Proposal(call.handler.protocol());
            let protocol = SubstreamProtocol::new(proposal, call).with_timeout(timeout);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        while let Poll::Ready(Some(())) = self.outbound.poll_next_unpin(cx) {}
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, call: QueuedCall) {
        self.caller.note_outbound();
        let under_way = self.queued.len() + self.opening + self.outbound.len();
        if under_way < self.limit {
            self.queued.push_back(call);
        } else {
            call.reply.send(Err(CallError::Busy));
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, DeniedUpgrade, Proposal, (), QueuedCall>) {
        match event {
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                self.opening = self.opening.saturating_sub(1);
                if !info.reply.is_cancelled() {
                    self.outbound.push(Exchange::new(protocol, info));
                }
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.opening = self.opening.saturating_sub(1);
                info.reply.send(Err(match error {
                    StreamUpgradeError::NegotiationFailed => CallError::UnknownHandler,
                    StreamUpgradeError::Timeout => CallError::Deadline,
                    StreamUpgradeError::Io(e) => CallError::Io(e.to_string()),
                    StreamUpgradeError::Apply(never) => match never {},
                }));
            }
            _ => {}
        }
    }
}

/// The one handler that we call.
pub struct Proposal(StreamProtocol);

impl UpgradeInfo for Proposal {
    type Info = StreamProtocol;
    type InfoIter = std::iter::Once<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once(self.0.clone())
    }
}

impl OutboundUpgrade<Stream> for Proposal {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker_ref;
    use libp2p::PeerId;
    use tokio::time::advance;

    use super::{super::callers::Callers, *};

    fn is_kept(handler: &mut Handler) -> bool {
        assert!(handler.poll(&mut Context::from_waker(noop_waker_ref())).is_pending());
        handler.connection_keep_alive()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_kept_while_there_are_calls() {
        let caller = Callers::default().get(PeerId::random());
        let mut handler = Handler::new(caller.clone(), 1);
        assert!(!is_kept(&mut handler));
        drop(caller.begin(1));
        assert!(is_kept(&mut handler));
        advance(KEPT_AFTER_CALL / 2).await;
        caller.note_outbound();
        advance(KEPT_AFTER_CALL * 3 / 4).await;
        assert!(is_kept(&mut handler), "the last call was less than that ago");
        advance(KEPT_AFTER_CALL * 2).await;
        assert!(!is_kept(&mut handler));
        drop(caller.begin(1));
        assert!(is_kept(&mut handler));
    }
}
