//! The messages of libp2p's Kademlia (`specs/kad-dht`, dht.proto), and how they lie on a stream: each after its
//! length, an unsigned varint.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use prost::Message as _;

/// Of one request, in bytes: a record with its key, or a provider with its addresses, are some hundred. Go's limit is 4 MiB.
const LARGEST_REQUEST: usize = 16 * 1024;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Message {
    #[prost(enumeration = "Kind", tag = "1")]
    pub(super) kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) key: Vec<u8>,
    #[prost(message, repeated, tag = "8")]
    pub(super) closer_peers: Vec<Peer>,
    #[prost(message, repeated, tag = "9")]
    pub(super) provider_peers: Vec<Peer>,
    #[prost(int32, tag = "10")]
    pub(super) cluster_level: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Peer {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) id: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) addresses: Vec<Vec<u8>>,
    #[prost(enumeration = "Connection", tag = "3")]
    pub(super) connection: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Kind {
    PutValue = 0,
    GetValue = 1,
    AddProvider = 2,
    GetProviders = 3,
    FindNode = 4,
    Ping = 5,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Connection {
    NotConnected = 0,
    Connected = 1,
    CanConnect = 2,
    CannotConnect = 3,
}

/// The next request; `None` if the peer has closed its side.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Message>> {
    let Some(length) = read_length(stream).await? else { return Ok(None) };
    if length > LARGEST_REQUEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the request is too large"));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    let message = Message::decode(&bytes[..]);
    message.map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

pub(super) async fn write(stream: &mut (impl AsyncWrite + Unpin), answer: &Message) -> io::Result<()> {
    stream.write_all(&answer.encode_length_delimited_to_vec()).await?;
    stream.flush().await
}

async fn read_length(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<usize>> {
    let mut length = 0;
    // As many bytes as the longest allowed length takes.
    for shift in [0, 7, 14] {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return if shift == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        length |= usize::from(byte[0] & 0x7f) << shift;
        if byte[0] < 0x80 {
            return Ok(Some(length));
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "the length of the request is too large"))
}
