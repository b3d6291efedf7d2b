//! The unary calls of one connection, driven by the connection's own task.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use futures::{
    StreamExt,
    future::{BoxFuture, FutureExt},
    stream::FuturesUnordered,
};
use libp2p::{
    PeerId, Stream, StreamProtocol,
    core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};

use super::{
    CallError, Registry, Settings,
    counters::count,
    inbound::Host,
    outbound::{Exchange, QueuedCall},
};
use crate::bare_name::HandlerName;

/// Calls of one connection that may be told at once that we are busy. Each holds a stream until the
/// caller has read it; more streams than that are reset.
const REFUSALS_PER_CONNECTION: usize = 1024;

/// The unary calls of one connection.
pub struct Handler {
    host: Arc<Host>,
    /// Calls that need a stream.
    queued: VecDeque<QueuedCall>,
    /// Calls for which a stream is being opened.
    opening: usize,
    outbound: FuturesUnordered<Exchange<Stream>>,
    inbound: FuturesUnordered<BoxFuture<'static, ()>>,
    refusals: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Handler {
    pub(super) fn new(caller: PeerId, settings: Settings, registry: Registry) -> Self {
        Self {
            host: Arc::new(Host { caller, settings, registry }),
            queued: VecDeque::new(),
            opening: 0,
            outbound: FuturesUnordered::new(),
            inbound: FuturesUnordered::new(),
            refusals: FuturesUnordered::new(),
        }
    }

    fn on_inbound(&mut self, stream: Stream, protocol: &StreamProtocol) {
        let host = self.host.clone();
        if self.inbound.len() < host.settings.inbound_per_connection {
            // The name was on our own list.
            if let Some(handler) = HandlerName::from_protocol(protocol) {
                self.inbound.push(host.serve(stream, handler).boxed());
            }
        } else if self.refusals.len() < REFUSALS_PER_CONNECTION {
            self.refusals.push(host.turn_away(stream).boxed());
        } else {
            count(&host.registry.cells.refused_busy);
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = QueuedCall;
    type ToBehaviour = Infallible;
    type InboundProtocol = Offer;
    type OutboundProtocol = Proposal;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = QueuedCall;

    fn listen_protocol(&self) -> SubstreamProtocol<Offer> {
        // Called at every poll of the connection, so the list is shared.
        let offer = Offer { names: self.host.registry.offered(), next: 0 };
        SubstreamProtocol::new(offer, ()).with_timeout(self.host.settings.read_deadline)
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Proposal, QueuedCall, Infallible>> {
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
        while let Poll::Ready(Some(())) = self.inbound.poll_next_unpin(cx) {}
        while let Poll::Ready(Some(())) = self.refusals.poll_next_unpin(cx) {}
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, call: QueuedCall) {
        let under_way = self.queued.len() + self.opening + self.outbound.len();
        if under_way < self.host.settings.outbound_per_connection {
            self.queued.push_back(call);
        } else {
            call.reply.send(Err(CallError::Busy));
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Offer, Proposal, (), QueuedCall>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                let (stream, protocol) = protocol;
                self.on_inbound(stream, &protocol);
            }
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

/// The handlers that we serve, offered to a caller. Also the iterator over their names.
#[derive(Clone)]
pub struct Offer {
    names: Arc<[StreamProtocol]>,
    next: usize,
}

impl Iterator for Offer {
    type Item = StreamProtocol;

    fn next(&mut self) -> Option<StreamProtocol> {
        let name = self.names.get(self.next)?.clone();
        self.next += 1;
        Some(name)
    }
}

impl UpgradeInfo for Offer {
    type Info = StreamProtocol;
    type InfoIter = Self;

    fn protocol_info(&self) -> Self {
        self.clone()
    }
}

impl InboundUpgrade<Stream> for Offer {
    type Output = (Stream, StreamProtocol);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((stream, protocol)))
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
