//! A bare p2pd, driven over its control socket as hivemind's `P2P` drives it (hivemind/p2p/p2p_daemon.py).

mod connection;
mod messages;

use std::{path::PathBuf, time::Duration};

use libp2p::{Multiaddr, PeerId};
use prost::Message;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    process::Command,
};

use super::{deadline::eventually, deadline::within, peers::peers, process::Process};
use connection::Connection;
pub(crate) use connection::{CallFailed, Handler};
use messages::{
    ConnectRequest, DhtRequest, DhtResponse, PeerInfo, Request, Response, StreamOpenRequest, dht, request,
};

/// From start to the first answer on the control socket.
const START_LIMIT: Duration = Duration::from_secs(15);
/// What p2pd is given to dial a peer, in seconds; its answer is awaited a little longer.
const DIAL_SECONDS: i64 = 10;
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct P2pd {
    pub(crate) peer_id: PeerId,
    /// Without `/p2p/`.
    pub(crate) addresses: Vec<Multiaddr>,
    socket: PathBuf,
    connection: Connection,
    process: Process,
    _folder: TempDir,
}

impl P2pd {
    /// As `P2P.create` starts it, less UPnP.
    pub(crate) async fn start() -> P2pd {
        P2pd::start_with("-dhtServer=1").await
    }

    /// One that asks libp2p's Kademlia, and is in nobody's table.
    pub(crate) async fn start_client() -> P2pd {
        P2pd::start_with("-dhtClient=1").await
    }

    async fn start_with(dht_mode: &str) -> P2pd {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control");
        let mut command = Command::new(&peers().await.p2pd);
        command
            .args([
                "-autoRelay=0",
                "-autonat=1",
                "-b=0",
                "-connManager=1",
                "-idleTimeout=30s",
                "-natPortMap=0",
            ])
            .args(["-relay=1", "-relayHopLimit=0", "-tls=1", "-persistentConnMaxMsgSize=4194304", dht_mode])
            .arg("-hostAddrs=/ip4/127.0.0.1/tcp/0")
            .arg(format!("-listen=/unix{}", socket.display()))
            .env("GOLOG_LOG_LEVEL", "error");
        let process = Process::start("p2pd", command, &folder.path().join("output"), false);
        let identify = Request { kind: request::IDENTIFY, ..Default::default() };
        let (response, _) =
            eventually(START_LIMIT, "p2pd answers", async || ask(&socket, &identify).await).await;
        let identity = response.identify.expect("an answer to identify");
        let connection = Connection::open(&socket).await;
        P2pd {
            peer_id: PeerId::from_bytes(&identity.id).unwrap(),
            addresses: identity.addrs.into_iter().map(|a| Multiaddr::try_from(a).unwrap()).collect(),
            socket,
            connection,
            process,
            _folder: folder,
        }
    }

    pub(crate) fn process_id(&self) -> i32 {
        self.process.id()
    }

    pub(crate) async fn connect(&self, peer: PeerId, addresses: &[Multiaddr]) -> Result<(), String> {
        let connect = ConnectRequest {
            peer: peer.to_bytes(),
            addrs: addresses.iter().map(Multiaddr::to_vec).collect(),
            timeout: Some(DIAL_SECONDS),
        };
        let request = Request { kind: request::CONNECT, connect: Some(connect), ..Default::default() };
        ask(&self.socket, &request).await.map(drop)
    }

    /// Where `peer` is, as libp2p's Kademlia tells it.
    pub(crate) async fn find_peer(&self, peer: PeerId) -> Result<Vec<Multiaddr>, String> {
        let find = DhtRequest { kind: dht::FIND_PEER, peer: Some(peer.to_bytes()), ..Default::default() };
        let request = self.dht_request(find);
        let response = ask(&self.socket, &request).await?;
        let found = response.dht.and_then(|dht| dht.peer).ok_or("no peer in the answer")?;
        assert_eq!(found.id, peer.to_bytes());
        Ok(addresses(found))
    }

    /// Who provides `cid`, and where they are.
    pub(crate) async fn find_providers(&self, cid: Vec<u8>) -> Result<Vec<(PeerId, Vec<Multiaddr>)>, String> {
        let find =
            DhtRequest { kind: dht::FIND_PROVIDERS, cid: Some(cid), count: Some(10), ..Default::default() };
        let mut stream = UnixStream::connect(&self.socket).await.map_err(|e| e.to_string())?;
        exchange(&mut stream, &self.dht_request(find)).await?;
        let mut providers = Vec::new();
        loop {
            let next: DhtResponse = within(ANSWER_LIMIT, "p2pd tells providers", read(&mut stream))
                .await
                .map_err(|e| e.to_string())?;
            match next.peer {
                _ if next.kind == dht::END => return Ok(providers),
                Some(peer) => providers.push((PeerId::from_bytes(&peer.id).unwrap(), addresses(peer))),
                None => {}
            }
        }
    }

    fn dht_request(&self, dht: DhtRequest) -> Request {
        let dht = DhtRequest { timeout: Some(DIAL_SECONDS), ..dht };
        Request { kind: request::DHT, dht: Some(dht), ..Default::default() }
    }

    /// The peers that it is connected to.
    pub(crate) async fn connections(&self) -> Vec<PeerId> {
        let request = Request { kind: request::LIST_PEERS, ..Default::default() };
        let response = ask(&self.socket, &request).await.unwrap();
        response.peers.iter().map(|peer| PeerId::from_bytes(&peer.id).unwrap()).collect()
    }

    /// Answers calls to `proto` with `handler`.
    pub(crate) async fn serve(&self, proto: &str, handler: Handler) {
        self.connection.serve(proto, handler).await;
    }

    pub(crate) async fn call(&self, peer: PeerId, proto: &str, data: Vec<u8>) -> Result<Vec<u8>, CallFailed> {
        self.connection.call(peer, proto, data).await
    }

    /// Starts a call; [`P2pd::cancel`] with the id that it returns gives it up, as a time-out of a hivemind stub does.
    pub(crate) fn begin_call(&self, peer: PeerId, proto: &str) -> Vec<u8> {
        self.connection.begin_call(peer, proto)
    }

    pub(crate) fn cancel(&self, call_id: Vec<u8>) {
        self.connection.cancel(call_id);
    }

    /// How many calls to handlers of this p2pd were cancelled by their callers.
    pub(crate) fn cancelled(&self) -> usize {
        self.connection.cancelled()
    }

    /// A raw stream to `peer` under `proto`: what is written to it lies on the stream as it is.
    pub(crate) async fn open_stream(&self, peer: PeerId, proto: &str) -> Result<UnixStream, String> {
        let mut stream = UnixStream::connect(&self.socket).await.map_err(|e| e.to_string())?;
        let open = StreamOpenRequest {
            peer: peer.to_bytes(),
            proto: vec![proto.to_owned()],
            timeout: Some(DIAL_SECONDS),
        };
        let request = Request { kind: request::STREAM_OPEN, stream_open: Some(open), ..Default::default() };
        exchange(&mut stream, &request).await?;
        Ok(stream)
    }
}

fn addresses(peer: PeerInfo) -> Vec<Multiaddr> {
    peer.addrs.into_iter().map(|address| Multiaddr::try_from(address).unwrap()).collect()
}

async fn ask(socket: &std::path::Path, request: &Request) -> Result<Response, String> {
    let mut stream = UnixStream::connect(socket).await.map_err(|e| e.to_string())?;
    exchange(&mut stream, request).await
}

async fn exchange(stream: &mut UnixStream, request: &Request) -> Result<Response, String> {
    stream.write_all(&request.encode_length_delimited_to_vec()).await.map_err(|e| e.to_string())?;
    let response: Response =
        within(ANSWER_LIMIT, "p2pd answers", read(stream)).await.map_err(|e| e.to_string())?;
    match response.error {
        Some(error) => Err(error.msg),
        None => Ok(response),
    }
}

/// Reads one message after its length, an unsigned varint.
async fn read<M: Message + Default>(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<M> {
    let (mut length, mut shift) = (0usize, 0);
    loop {
        let byte = stream.read_u8().await?;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    Ok(M::decode(message.as_slice())?)
}
