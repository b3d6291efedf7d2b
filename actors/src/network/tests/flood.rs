//! Streams without end, written by hand: yamux as others know it would wait for acknowledgements.
//!
//! Source: the specification of yamux (hashicorp/yamux, `spec.md`).

use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, future::join_all};
use hivemind_proto::connection::STREAMS;
use libp2p::{
    Multiaddr, core::upgrade::OutboundConnectionUpgrade, identity::Keypair, multiaddr::Protocol, noise, tcp,
};
use multistream_select::{Version, dialer_select_proto};
use tokio::{net::TcpStream, time::timeout};

use super::node::{Node, PATIENCE};

/// Of a frame.
const HEAD: usize = 12;
/// A data frame (type 0) that opens a stream.
const SYN: u8 = 1;
/// The flag of a stream that is reset.
const RST: u8 = 8;

/// Streams of one connection that may say nothing (`unary`).
const SILENT: usize = 1024;

/// A connection below its muxer, of which only the name is agreed upon.
async fn dial(address: Multiaddr) -> impl AsyncRead + AsyncWrite + Unpin {
    let mut parts = address.iter();
    let (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) = (parts.next(), parts.next()) else {
        panic!("not IPv4 and TCP: {address}")
    };
    let io = tcp::tokio::TcpStream(TcpStream::connect((ip, port)).await.unwrap());
    let (_, io) = dialer_select_proto(io, ["/noise"], Version::V1).await.unwrap();
    let noise = noise::Config::new(&Keypair::generate_ed25519()).unwrap();
    let (_, io) = noise.upgrade_outbound(io, "/noise").await.unwrap();
    dialer_select_proto(io, ["/yamux/1.0.0"], Version::V1).await.unwrap().1
}

#[tokio::test]
async fn a_flood_of_streams_is_held_and_calls_are_answered_meanwhile() {
    const CALLS: usize = 600;
    let (node, caller) = (Node::start().await, Node::start().await);
    caller.connect(&node).await;
    let (mut answered, mut sent) = dial(node.address().await).await.split();
    let flood = async {
        for stream in 0..2 * STREAMS as u32 {
            let head = [&[0, 0, 0, SYN][..], &(2 * stream + 1).to_be_bytes(), &[0; 4]].concat();
            sent.write_all(&head).await.unwrap();
        }
        sent.flush().await.unwrap();
        std::future::pending::<()>().await
    };
    let resets = async {
        let mut resets = 0;
        while resets < 2 * STREAMS - SILENT {
            let mut head = [0; HEAD];
            answered.read_exact(&mut head).await.unwrap();
            resets += usize::from(head[3] & RST != 0);
            // What node itself says on streams of its own.
            if head[1] == 0 {
                let length = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
                answered.read_exact(&mut vec![0; length as usize]).await.unwrap();
            }
        }
    };
    let held = async {
        tokio::select! { () = flood => {}, () = resets => {} }
    };
    let calls = join_all((0..CALLS).map(|_| caller.echo(node.peer())));
    let (calls, ()) = timeout(PATIENCE + Duration::from_secs(10), futures::future::join(calls, held))
        .await
        .expect("all but a few are reset, and all calls are answered");
    assert!(calls.iter().all(Result::is_ok), "{:?}", calls.iter().find(|call| call.is_err()));
    assert_eq!(calls.len(), CALLS);
    // Whoever floods is told, and stays connected.
    let told = |calls: u64| calls >= STREAMS as u64;
    node.until("both are connected", |status| status.connections == 2 && told(status.calls.refused_busy))
        .await;
}
