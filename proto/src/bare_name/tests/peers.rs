//! Who stands at the other end: a peer that negotiates as go-multistream does, and what is said.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{
    super::BareStream,
    pipe::{End, Rng},
};

pub(super) const MULTISTREAM: &[u8] = b"/multistream/1.0.0";

pub(super) fn frame(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut length = body.len() + 1;
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(body);
    out.push(b'\n');
    out
}

pub(super) async fn read_frame(io: &mut End) -> io::Result<Vec<u8>> {
    let (mut length, mut shift) = (0, 0);
    loop {
        let mut byte = [0];
        io.read_exact(&mut byte).await?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; length];
    io.read_exact(&mut body).await?;
    assert_eq!(body.pop(), Some(b'\n'));
    Ok(body)
}

/// go-multistream's `Negotiate`: no rule about slashes, the header goes out with the first answer.
pub(super) async fn go_listener(io: &mut End, handlers: &[String]) -> io::Result<String> {
    assert_eq!(read_frame(io).await?, MULTISTREAM);
    let mut out = frame(MULTISTREAM);
    loop {
        let name = String::from_utf8(read_frame(io).await?).unwrap();
        let known = handlers.contains(&name);
        out.extend(frame(if known { name.as_bytes() } else { b"na" }));
        io.write_all(&out).await?;
        io.flush().await?;
        out.clear();
        if known {
            return Ok(name);
        }
    }
}

/// How a Go dialer negotiates.
#[derive(Clone, Copy)]
pub(super) enum Manner<'a> {
    /// Header, proposal and data in one write.
    Lazy,
    /// It waits for each answer. It may ask for the list of handlers, which must be this one, and propose one first
    /// that is not served.
    Patient { list: Option<&'a [String]>, misses_first: bool },
}

/// go-multistream's `SelectProtoOrFail`, then `ping` and the answer `pong`.
pub(super) async fn go_dialer(io: &mut End, name: &str, manner: Manner<'_>, ping: &[u8], pong: &[u8]) {
    let (list, misses_first) = match manner {
        Manner::Lazy => {
            let packet = [&frame(MULTISTREAM)[..], &frame(name.as_bytes()), ping].concat();
            io.write_all(&packet).await.unwrap();
            io.close().await.unwrap();
            assert_eq!(read_frame(io).await.unwrap(), MULTISTREAM);
            assert_eq!(read_frame(io).await.unwrap(), name.as_bytes());
            let mut got = Vec::new();
            io.read_to_end(&mut got).await.unwrap();
            assert!(got == pong, "the dialer got {} bytes, not {}", got.len(), pong.len());
            return;
        }
        Manner::Patient { list, misses_first } => (list, misses_first),
    };
    io.write_all(&frame(MULTISTREAM)).await.unwrap();
    assert_eq!(read_frame(io).await.unwrap(), MULTISTREAM);
    if let Some(handlers) = list {
        io.write_all(&frame(b"ls")).await.unwrap();
        let expected: Vec<u8> = handlers.iter().flat_map(|name| frame(name.as_bytes())).collect();
        assert_eq!(read_frame(io).await.unwrap(), expected);
    }
    if misses_first {
        io.write_all(&frame(b"no.such")).await.unwrap();
        assert_eq!(read_frame(io).await.unwrap(), b"na");
    }
    io.write_all(&frame(name.as_bytes())).await.unwrap();
    assert_eq!(read_frame(io).await.unwrap(), name.as_bytes());
    talk_first(io, ping, pong).await.unwrap();
}

/// Data that begins like a handshake: it must not be touched.
pub(super) fn data(rng: &mut Rng, most: usize) -> Vec<u8> {
    let mut data = [frame(MULTISTREAM), frame(b"DHTProtocol.rpc_ping"), frame(b"na"), frame(b"ls")].concat();
    let count = rng.below(most);
    data.extend((0..count).map(|_| rng.next() as u8));
    data
}

/// One to four names of all kinds, with lengths at the edge of one- and two-byte length prefixes.
pub(super) fn names(rng: &mut Rng) -> Vec<String> {
    let padded = |letter: &str, count: usize| format!("{letter}{}", "x".repeat(count));
    let all = [
        "/ipfs/kad/1.0.0".to_owned(),
        "DHTProtocol.rpc_ping".to_owned(),
        "hello".to_owned(),
        "/bare/tricky".to_owned(),
        "n".to_owned(),
        padded("p", 119),
        padded("q", 120),
        padded("r", 121),
        padded("s", 125),
        padded("t", 126),
        padded("u", 5000),
        "/".to_owned(),
        "//".to_owned(),
        "names with spaces".to_owned(),
        "\u{1F980}".to_owned(),
        "/bare".to_owned(),
        "/bare/".to_owned(),
    ];
    let count = 1 + rng.below(4);
    (0..count).map(|_| all[rng.below(all.len())].clone()).collect()
}

/// Fails instead of hanging.
pub(super) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let limit = Duration::from_secs(20);
    runtime.block_on(async { tokio::time::timeout(limit, future).await.expect("stuck") })
}

/// Says `send`, ends its side, and must still hear `expect`.
pub(super) async fn talk_first(
    mut io: impl AsyncRead + AsyncWrite + Unpin,
    send: &[u8],
    expect: &[u8],
) -> io::Result<()> {
    io.write_all(send).await?;
    io.close().await?;
    let mut got = Vec::new();
    io.read_to_end(&mut got).await?;
    assert!(got == expect, "the dialer got {} bytes, not {}", got.len(), expect.len());
    Ok(())
}

pub(super) async fn listen_first(
    mut io: impl AsyncRead + AsyncWrite + Unpin,
    send: &[u8],
    expect: &[u8],
) -> io::Result<()> {
    let mut got = Vec::new();
    io.read_to_end(&mut got).await?;
    assert!(got == expect, "the listener got {} bytes, not {}", got.len(), expect.len());
    io.write_all(send).await?;
    io.close().await
}

/// Notes the most bytes that the wrapper held, after each read and write.
pub(super) struct Watched {
    pub(super) io: BareStream<End>,
    pub(super) most: usize,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_read(cx, buf);
        self.most = self.most.max(self.io.held_bytes());
        outcome
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, buf);
        self.most = self.most.max(self.io.held_bytes());
        outcome
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}
