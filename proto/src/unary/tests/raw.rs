//! A peer that writes its streams by hand: no swarm, no wrapper, the handshake as Go sends it.

use std::task::Poll;

use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, future::poll_fn};
use libp2p::{
    Multiaddr, Transport,
    core::{
        Endpoint,
        muxing::{StreamMuxerExt, SubstreamBox},
        transport::{DialOpts, PortUse},
    },
    identity::Keypair,
};
use tokio::sync::mpsc;

use super::{
    super::{codec, frame_reader::FrameReader},
    node::transport,
};

/// A connection to a node. The node's calls arrive at `inbound`.
pub(super) struct RawPeer {
    pub(super) peer: libp2p::PeerId,
    opened: mpsc::Receiver<SubstreamBox>,
    pub(super) inbound: mpsc::Receiver<SubstreamBox>,
    wanted: mpsc::Sender<()>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for RawPeer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl RawPeer {
    pub(super) async fn dial(address: &Multiaddr) -> Self {
        let key = Keypair::generate_ed25519();
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let mut transport = transport(&key, None);
        let (_, mut muxer) = transport.dial(address.clone(), options).unwrap().await.unwrap();
        let (wanted, mut wants) = mpsc::channel(16);
        let (to_opened, opened) = mpsc::channel(16);
        let (to_inbound, inbound) = mpsc::channel(16);
        let task = tokio::spawn(async move {
            let mut wanting = false;
            poll_fn(|cx| {
                loop {
                    while let Poll::Ready(Ok(stream)) = muxer.poll_inbound_unpin(cx) {
                        to_inbound.try_send(stream).unwrap();
                    }
                    if !wanting && let Poll::Ready(want) = wants.poll_recv(cx) {
                        match want {
                            Some(()) => wanting = true,
                            None => return Poll::Ready(()),
                        }
                    }
                    if wanting && let Poll::Ready(stream) = muxer.poll_outbound_unpin(cx) {
                        let Ok(stream) = stream else { return Poll::Ready(()) };
                        wanting = false;
                        to_opened.try_send(stream).unwrap();
                        continue;
                    }
                    match muxer.poll_unpin(cx) {
                        Poll::Ready(Err(_)) => return Poll::Ready(()),
                        Poll::Ready(Ok(_)) => {}
                        Poll::Pending => return Poll::Pending,
                    }
                }
            })
            .await;
        });
        Self { peer: key.public().to_peer_id(), opened, inbound, wanted, task }
    }

    /// A stream on which the handshake for `handler` and `data` went out together, as Go does it.
    pub(super) async fn open(&mut self, handler: &str, data: &[u8]) -> SubstreamBox {
        self.wanted.send(()).await.unwrap();
        let mut stream = self.opened.recv().await.unwrap();
        let hello = [frame("/multistream/1.0.0"), frame(handler), data.to_vec()].concat();
        stream.write_all(&hello).await.unwrap();
        stream.flush().await.unwrap();
        stream
    }

    /// Opens a stream for `handler` that the node must accept.
    pub(super) async fn open_agreed(&mut self, handler: &str, data: &[u8]) -> SubstreamBox {
        let mut stream = self.open(handler, data).await;
        expect(&mut stream, &[frame("/multistream/1.0.0"), frame(handler)].concat()).await;
        stream
    }

    /// The next stream that the node opens, agreed upon, and the request on it.
    pub(super) async fn accept(&mut self, handler: &str) -> (SubstreamBox, Vec<u8>) {
        let mut stream = self.inbound.recv().await.unwrap();
        let hello = [frame("/multistream/1.0.0"), frame(handler)].concat();
        expect(&mut stream, &hello).await;
        stream.write_all(&hello).await.unwrap();
        stream.flush().await.unwrap();
        let request = read_message(&mut stream).await;
        (stream, request)
    }
}

async fn expect(stream: &mut SubstreamBox, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    stream.read_exact(&mut got).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(bytes));
}

pub(super) fn frame(name: &str) -> Vec<u8> {
    [&[(name.len() + 1) as u8][..], name.as_bytes(), b"\n"].concat()
}

/// One whole message, without its length.
pub(super) async fn read_message(stream: &mut SubstreamBox) -> Vec<u8> {
    let mut reader = FrameReader::new(8 * 1024 * 1024, None);
    poll_fn(|cx| reader.poll_read(stream, cx)).await.unwrap()
}

/// The text of the error that must come, and its call's id.
pub(super) async fn read_error(stream: &mut SubstreamBox) -> (codec::CallId, String) {
    let body = read_message(stream).await;
    let parsed = codec::parse(&body).unwrap();
    let codec::Content::Error(error) = parsed.content else { panic!("{parsed:?}") };
    (parsed.id, String::from_utf8(body[error].to_vec()).unwrap())
}

/// Waits for the end of the stream, and returns what came before it.
pub(super) async fn read_to_end(stream: &mut SubstreamBox) -> Vec<u8> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).map(drop).await;
    rest
}
