//! Reads the requests of one connection, and writes their answers.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt, SinkExt, StreamExt,
    channel::{mpsc, oneshot},
    future::BoxFuture,
    stream::FuturesUnordered,
};
use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::{DeniedUpgrade, ReadyUpgrade},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol,
        derive_prelude::Either,
        handler::{ConnectionEvent, FullyNegotiatedInbound},
    },
};
use tokio::time::timeout;

use super::wire::{self, Message};

/// Streams of one connection on which requests are read. go-libp2p keeps one for all its requests, and opens more for
/// those that are under way at once.
const STREAMS: usize = 16;

/// How long a stream is kept without a request.
const IDLE: Duration = Duration::from_secs(60);

/// How long reading, answering and writing one may take.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// A request, and where its answer goes; it is dropped for a request that is not answered.
#[derive(Debug)]
pub(in crate::network) struct Asked {
    pub(super) request: Message,
    pub(super) reply: oneshot::Sender<Option<Message>>,
}

/// Whether requests are served.
#[derive(Debug, Clone, Copy)]
pub(in crate::network) struct Serve(pub(super) bool);

pub(in crate::network) struct Handler {
    protocol: StreamProtocol,
    serves: bool,
    streams: FuturesUnordered<BoxFuture<'static, ()>>,
    /// For the streams; each has one request under way.
    asks: mpsc::Sender<Asked>,
    asked: mpsc::Receiver<Asked>,
}

impl Handler {
    pub(super) fn new(protocol: StreamProtocol, serves: bool) -> Self {
        let (asks, asked) = mpsc::channel(0);
        Self { protocol, serves, streams: FuturesUnordered::new(), asks, asked }
    }
}

/// Answers requests until the peer has no more.
async fn serve(mut stream: Stream, mut asks: mpsc::Sender<Asked>) {
    while let Ok(Ok(Some(request))) = timeout(IDLE, wire::read(&mut stream)).await {
        let (reply, answer) = oneshot::channel();
        if asks.send(Asked { request, reply }).await.is_err() {
            return;
        }
        match answer.await {
            Ok(Some(answer)) => match timeout(WRITE_DEADLINE, wire::write(&mut stream, &answer)).await {
                Ok(Ok(())) => {}
                _ => return,
            },
            // It wants no answer.
            Ok(None) => {}
            Err(oneshot::Canceled) => return,
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Serve;
    type ToBehaviour = Asked;
    type InboundProtocol = Either<ReadyUpgrade<StreamProtocol>, DeniedUpgrade>;
    type InboundOpenInfo = ();
    type OutboundProtocol = DeniedUpgrade;
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        let upgrade = match self.serves {
            true => Either::Left(ReadyUpgrade::new(self.protocol.clone())),
            false => Either::Right(DeniedUpgrade),
        };
        SubstreamProtocol::new(upgrade, ())
    }

    fn on_behaviour_event(&mut self, Serve(serves): Serve) {
        self.serves = serves;
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, (), Self::ToBehaviour>> {
        while let Poll::Ready(Some(())) = self.streams.poll_next_unpin(cx) {}
        if let Poll::Ready(Some(asked)) = self.asked.poll_next_unpin(cx) {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(asked));
        }
        Poll::Pending
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<Self::InboundProtocol, Self::OutboundProtocol>) {
        if let ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
            protocol: futures::future::Either::Left(stream),
            ..
        }) = event
            && self.streams.len() < STREAMS
        {
            self.streams.push(serve(stream, self.asks.clone()).boxed());
        }
    }
}
