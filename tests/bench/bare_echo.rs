//! What the transport allows: a stock swarm over TCP, noise and yamux with nothing but an echo, one stream a call.
//!
//! A message is its length as four bytes, big-endian, and as many bytes; the first four of a call say how many bytes its
//! answer is to have, so that both can be as long as those of the call that it is compared with.

use std::{
    collections::{HashMap, VecDeque},
    convert::Infallible,
    io,
    task::{Context, Poll},
};

use futures::{
    AsyncReadExt, AsyncWriteExt, StreamExt,
    future::{BoxFuture, FutureExt},
    stream::FuturesUnordered,
};
use hivemind_proto::unary::{CallError, OutboundCall};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm,
    core::{Endpoint, transport::PortUse, upgrade::ReadyUpgrade},
    identity::Keypair,
    swarm::{
        ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, SubstreamProtocol, SwarmEvent, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm,
        behaviour::ConnectionEstablished,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};

use super::caller::{Calls, config, transport};

const PROTOCOL: StreamProtocol = StreamProtocol::new("/echo/1.0.0");

const LONGEST_MESSAGE: usize = 4 * 1024 * 1024;

/// Listens on loopback, says where on its standard output, and echoes until it is killed.
pub(crate) async fn serve() -> Infallible {
    let key = Keypair::generate_ed25519();
    let peer = key.public().to_peer_id();
    let mut swarm = Swarm::new(transport(&key, None), Echo::default(), peer, config());
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    loop {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            println!("{address} {peer}");
        }
    }
}

/// The bytes of a call that asks for an answer of `answer` bytes.
pub(crate) fn call(bytes: usize, answer: usize) -> Vec<u8> {
    let mut call = vec![0x5a; bytes.max(4)];
    call[..4].copy_from_slice(&(answer as u32).to_be_bytes());
    call
}

/// Knows the connections, and hands calls to one of them.
#[derive(Default)]
pub(crate) struct Echo {
    connections: HashMap<PeerId, ConnectionId>,
    calls: VecDeque<(PeerId, ConnectionId, OutboundCall)>,
}

impl Calls for Echo {
    fn call(&mut self, peer: PeerId, call: OutboundCall) {
        match self.connections.get(&peer) {
            Some(connection) => self.calls.push_back((peer, *connection, call)),
            None => drop(call.reply.send(Err(CallError::NotConnected))),
        }
    }
}

impl NetworkBehaviour for Echo {
    type ConnectionHandler = EchoHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(EchoHandler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(EchoHandler::default())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, .. }) = event
        {
            self.connections.insert(peer_id, connection_id);
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        match self.calls.pop_front() {
            Some((peer_id, connection, event)) => Poll::Ready(ToSwarm::NotifyHandler {
                peer_id,
                handler: NotifyHandler::One(connection),
                event: Call(event),
            }),
            None => Poll::Pending,
        }
    }
}

/// A call on its way to its connection.
pub(crate) struct Call(OutboundCall);

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Call")
    }
}

/// The calls of one connection.
#[derive(Default)]
pub(crate) struct EchoHandler {
    queued: VecDeque<Call>,
    under_way: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl ConnectionHandler for EchoHandler {
    type FromBehaviour = Call;
    type ToBehaviour = Infallible;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Call;

    fn listen_protocol(&self) -> SubstreamProtocol<ReadyUpgrade<StreamProtocol>> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, Call, Infallible>> {
        if let Some(call) = self.queued.pop_front() {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), call);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        while let Poll::Ready(Some(())) = self.under_way.poll_next_unpin(cx) {}
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, call: Call) {
        self.queued.push_back(call);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, ReadyUpgrade<StreamProtocol>, ReadyUpgrade<StreamProtocol>, (), Call>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                // Whoever broke it off is not waiting.
                self.under_way.push(answer(protocol).map(drop).boxed());
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol,
                info: Call(call),
            }) => {
                let exchange = async move {
                    let answer = ask(protocol, &call.data).await;
                    let _ = call.reply.send(answer.map_err(|error| CallError::Io(error.to_string())));
                };
                self.under_way.push(exchange.boxed());
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info: Call(call), error }) => {
                let _ = call.reply.send(Err(CallError::Io(error.to_string())));
            }
            _ => {}
        }
    }
}

async fn answer(mut stream: Stream) -> io::Result<()> {
    let call = read(&mut stream).await?;
    let bytes = call.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes) as usize);
    write(&mut stream, &vec![0xa5; bytes.min(LONGEST_MESSAGE)]).await?;
    stream.close().await
}

async fn ask(mut stream: Stream, call: &[u8]) -> io::Result<Vec<u8>> {
    write(&mut stream, call).await?;
    stream.flush().await?;
    read(&mut stream).await
}

async fn read(stream: &mut Stream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let mut message = vec![0; (u32::from_be_bytes(length) as usize).min(LONGEST_MESSAGE)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write(stream: &mut Stream, message: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(4 + message.len());
    bytes.extend_from_slice(&(message.len() as u32).to_be_bytes());
    bytes.extend_from_slice(message);
    stream.write_all(&bytes).await
}
