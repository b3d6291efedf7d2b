//! A peer that fills the window of each of its streams with what nobody reads, written by hand: yamux as others know it
//! would wait for acknowledgements.
//!
//! Source: the specification of yamux (hashicorp/yamux, `spec.md`): 12 bytes of header, and 256 KiB for each new stream.

use futures::{AsyncWrite, AsyncWriteExt};
use hivemind_proto::dht::{DhtId, FIND_HANDLER, PING_HANDLER, Request, Row, STORE_HANDLER};
use libp2p::identity::Keypair;
use multistream_select::{Version, dialer_select_proto};
use tokio::time::sleep_until;

use super::{
    loads::{Aim, SOURCE, id},
    wire::{Failure, Wire, call, proposal, secured},
};

/// More than any node has for one connection.
const STREAMS: u32 = 4000;

/// What fits into a new stream, in bytes.
const WINDOW: usize = 256 << 10;

/// So many are left alone: those that a swarm negotiates with, as many as it does at once, read what comes.
const SILENT: u32 = 200;

/// Large answers that clog the connection: no more of them fit between two hosts.
const LARGE: u32 = 78;

/// Of each of them, in bytes: it fits into a window.
const ANSWER: usize = 200 << 10;

/// Opens a stream with its first frame (SYN).
const OPENS: u8 = 1;

/// Streams with calls whose answers are never read; or such that are no handler's, and wait for the swarm.
pub(crate) async fn windows(aim: Aim) -> Result<(), Failure> {
    let calls = rand::random();
    let key = DhtId::of_bytes(&id());
    if calls {
        let row = Row {
            key: key.as_bytes().to_vec(),
            tag: vec![0xc0],
            value: [&[0xc6][..], &(ANSWER as u32).to_be_bytes(), &vec![7; ANSWER]].concat().into(),
            expiration: aim.now + aim.seconds,
            in_cache: false,
        };
        let wire = Wire::connect(&Keypair::generate_ed25519(), SOURCE, aim.port).await?;
        let store = Request::Store { sender: None, rows: vec![row] };
        let _ = wire.call(STORE_HANDLER, &aim.peer, id(), store.encode()).await?;
    }
    let (_, io) = secured(&Keypair::generate_ed25519(), SOURCE, aim.port).await?;
    let (_, mut io) = dialer_select_proto(io, ["/yamux/1.0.0"], Version::V1).await?;
    let said = |handler: &str, request: Request| {
        [proposal(handler), call(handler, &aim.peer, id(), request.encode())].concat()
    };
    let opening = |stream: u32| match (calls, stream) {
        (true, ..LARGE) => said(FIND_HANDLER, Request::Find { sender: None, keys: vec![key] }),
        (true, _) => said(PING_HANDLER, Request::Ping { sender: None, validate: false }),
        (false, _) => proposal("/nobody/1.0.0"),
    };
    for stream in 0..STREAMS {
        frame(&mut io, OPENS, stream, &opening(stream)).await?;
    }
    io.flush().await?;
    let most = vec![7; WINDOW];
    for stream in if calls { LARGE } else { SILENT }..STREAMS {
        frame(&mut io, 0, stream, &most[opening(stream).len()..]).await?;
        io.flush().await?;
    }
    sleep_until(aim.until).await;
    Ok(())
}

async fn frame(
    io: &mut (impl AsyncWrite + Unpin),
    flags: u8,
    stream: u32,
    body: &[u8],
) -> Result<(), Failure> {
    // A version and a type, both 0; the dialer's ids are odd.
    let head = [&[0, 0, 0, flags][..], &(2 * stream + 1).to_be_bytes(), &(body.len() as u32).to_be_bytes()];
    io.write_all(&head.concat()).await?;
    io.write_all(body).await?;
    Ok(())
}
