//! A peer that speaks libp2p by hand: each layer can be left unfinished.

use std::{future::poll_fn, net::Ipv4Addr, pin::Pin, task::Poll, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt};
use hivemind_proto::messages::p2pd::{
    CallUnaryRequest, CallUnaryResponse, PersistentConnectionRequest, call_unary_response,
    persistent_connection_request::Message as Kind,
};
use libp2p::{
    PeerId,
    core::{muxing::StreamMuxer, upgrade::OutboundConnectionUpgrade},
    identity::Keypair,
    noise,
    tcp::tokio::TcpStream,
    yamux,
};
use multistream_select::{Negotiated, Version, dialer_select_proto};
use prost::Message;
use tokio::{
    net::TcpSocket,
    sync::{mpsc, oneshot},
    time::timeout,
};

/// For a connection, or an answer; the petald under test may take long to say no.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// The muxed streams of a connection that may be asked for at once.
const ASKED: usize = 64;

pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The layer above noise.
pub(crate) type Secured = noise::Output<Negotiated<TcpStream>>;

/// A TCP connection from `source`, an address of loopback.
pub(crate) async fn tcp(source: Ipv4Addr, port: u16) -> Result<tokio::net::TcpStream, Failure> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((source, 0).into())?;
    Ok(timeout(LIMIT, socket.connect((Ipv4Addr::LOCALHOST, port).into())).await??)
}

/// A connection under noise, and who is at its other end.
pub(crate) async fn secured(
    key: &Keypair,
    source: Ipv4Addr,
    port: u16,
) -> Result<(PeerId, Secured), Failure> {
    let io = TcpStream(tcp(source, port).await?);
    let secure = async {
        let (_, io) = dialer_select_proto(io, ["/noise"], Version::V1).await?;
        let secured = noise::Config::new(key)?.upgrade_outbound(io, "/noise").await?;
        Ok::<_, Failure>(secured)
    };
    timeout(LIMIT, secure).await?
}

/// A whole connection, driven by a task of its own that ends when the value is dropped.
pub(crate) struct Wire {
    streams: mpsc::Sender<oneshot::Sender<yamux::Stream>>,
}

impl Wire {
    pub(crate) async fn connect(key: &Keypair, source: Ipv4Addr, port: u16) -> Result<Wire, Failure> {
        let (_, io) = secured(key, source, port).await?;
        let mux = async {
            let (_, io) = dialer_select_proto(io, ["/yamux/1.0.0"], Version::V1).await?;
            let mut config = yamux::Config::default();
            config.set_max_num_streams(4096);
            let muxer = config.upgrade_outbound(io, "/yamux/1.0.0").await?;
            Ok::<_, Failure>(muxer)
        };
        let mut muxer = timeout(LIMIT, mux).await??;
        let (streams, mut asked) = mpsc::channel::<oneshot::Sender<yamux::Stream>>(ASKED);
        tokio::spawn(async move {
            let mut waiting: Option<oneshot::Sender<yamux::Stream>> = None;
            poll_fn(|cx| {
                loop {
                    while let Poll::Ready(event) = Pin::new(&mut muxer).poll(cx) {
                        if event.is_err() {
                            return Poll::Ready(());
                        }
                    }
                    while let Poll::Ready(stream) = Pin::new(&mut muxer).poll_inbound(cx) {
                        match stream {
                            Ok(stream) => drop(tokio::spawn(serve(stream))),
                            Err(_) => return Poll::Ready(()),
                        }
                    }
                    if waiting.is_none() {
                        match asked.poll_recv(cx) {
                            Poll::Ready(Some(asker)) => waiting = Some(asker),
                            Poll::Ready(None) => return Poll::Ready(()),
                            Poll::Pending => return Poll::Pending,
                        }
                    }
                    match Pin::new(&mut muxer).poll_outbound(cx) {
                        Poll::Ready(Ok(stream)) => {
                            if let Some(asker) = waiting.take() {
                                let _ = asker.send(stream);
                            }
                        }
                        Poll::Ready(Err(_)) => return Poll::Ready(()),
                        Poll::Pending => return Poll::Pending,
                    }
                }
            })
            .await;
        });
        Ok(Wire { streams })
    }

    /// A stream on which nothing has been said.
    pub(crate) async fn stream(&self) -> Result<yamux::Stream, Failure> {
        let (asker, stream) = oneshot::channel();
        self.streams.send(asker).await?;
        Ok(timeout(LIMIT, stream).await??)
    }

    /// A stream on which `content` follows the proposal of `handler` at once, as a lazy dialer sends it.
    pub(crate) async fn say(&self, handler: &str, content: &[u8]) -> Result<yamux::Stream, Failure> {
        let mut stream = self.stream().await?;
        let opening = [&proposal(handler), content].concat();
        timeout(LIMIT, async {
            stream.write_all(&opening).await?;
            stream.flush().await
        })
        .await??;
        Ok(stream)
    }

    /// Calls `handler`; the answer's call id and its content, or the error's text.
    pub(crate) async fn call(
        &self,
        handler: &str,
        peer: &PeerId,
        id: [u8; 16],
        data: Vec<u8>,
    ) -> Result<(Vec<u8>, Result<Vec<u8>, String>), Failure> {
        let mut stream = self.say(handler, &call(handler, peer, id, data)).await?;
        timeout(LIMIT, answer(&mut stream, handler)).await?
    }
}

/// Serves libp2p's ping, without which a connection counts as dead, and nothing else.
async fn serve(mut stream: yamux::Stream) -> std::io::Result<()> {
    const PING: &[u8] = b"/ipfs/ping/1.0.0\n";
    let mut opening = [0; HEADER.len() + 1];
    stream.read_exact(&mut opening).await?;
    let mut name = vec![0; opening[HEADER.len()].into()];
    stream.read_exact(&mut name).await?;
    stream.write_all(HEADER).await?;
    if name != PING {
        stream.write_all(b"\x03na\n").await?;
        return stream.close().await;
    }
    stream.write_all(&[&[PING.len() as u8], PING].concat()).await?;
    stream.flush().await?;
    let mut content = [0; 32];
    loop {
        stream.read_exact(&mut content).await?;
        stream.write_all(&content).await?;
        stream.flush().await?;
    }
}

/// What begins every stream.
const HEADER: &[u8] = b"\x13/multistream/1.0.0\n";

/// Everything that a dialer says before its data.
pub(crate) fn proposal(handler: &str) -> Vec<u8> {
    let name = [handler.as_bytes(), b"\n"].concat();
    let mut opening = HEADER.to_vec();
    prost::encoding::encode_varint(name.len() as u64, &mut opening);
    [opening, name].concat()
}

/// The message of a call, with its length.
pub(crate) fn call(handler: &str, peer: &PeerId, id: [u8; 16], data: Vec<u8>) -> Vec<u8> {
    let call = CallUnaryRequest { peer: peer.to_bytes(), proto: handler.to_owned(), data };
    PersistentConnectionRequest { call_id: id.to_vec(), message: Some(Kind::CallUnary(call)) }
        .encode_length_delimited_to_vec()
}

/// Reads what the other end answers to a proposal and a call.
async fn answer(
    stream: &mut yamux::Stream,
    handler: &str,
) -> Result<(Vec<u8>, Result<Vec<u8>, String>), Failure> {
    let mut opening = vec![0; proposal(handler).len()];
    stream.read_exact(&mut opening).await?;
    if opening != proposal(handler) {
        return Err("it refuses the handler".into());
    }
    let mut head = Vec::new();
    let length = loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        head.push(byte[0]);
        if byte[0] < 0x80 {
            break prost::encoding::decode_varint(&mut head.as_slice())?;
        }
    };
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body).await?;
    let message = PersistentConnectionRequest::decode(body.as_slice())?;
    let result = match message.message {
        Some(Kind::UnaryResponse(CallUnaryResponse { result: Some(result) })) => match result {
            call_unary_response::Result::Response(data) => Ok(data),
            call_unary_response::Result::Error(text) => Err(String::from_utf8_lossy(&text).into_owned()),
        },
        other => return Err(format!("no answer: {other:?}").into()),
    };
    Ok((message.call_id, result))
}
