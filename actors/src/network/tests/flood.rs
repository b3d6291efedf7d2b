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

use super::node::{ECHO, Node, PATIENCE, settings};

/// Of a frame.
const HEAD: usize = 12;
/// The types of frames that matter here: data, and what has none.
const DATA: u8 = 0;
const PING: u8 = 2;
const GO_AWAY: u8 = 3;
/// The flag of a frame that opens a stream, and of a ping that asks.
const SYN: u8 = 1;
/// The flag of a stream that is reset.
const RST: u8 = 8;

const PING_FRAME: [u8; HEAD] = [0, PING, 0, SYN, 0, 0, 0, 0, 0, 0, 0, 0];

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

/// A frame that opens the stream of this number and says `text` on it.
fn opening(number: usize, text: &[u8]) -> Vec<u8> {
    let id = 2 * number as u32 + 1;
    [&[0, DATA, 0, SYN][..], &id.to_be_bytes(), &(text.len() as u32).to_be_bytes(), text].concat()
}

/// The head of the next frame; its data is read past.
async fn next_frame(answered: &mut (impl AsyncRead + Unpin)) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    answered.read_exact(&mut head).await.unwrap();
    if head[1] == DATA {
        let length = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
        answered.read_exact(&mut vec![0; length as usize]).await.unwrap();
    }
    head
}

/// The heads of all frames before the answer to a ping.
async fn until_pong(answered: &mut (impl AsyncRead + Unpin)) -> Vec<[u8; HEAD]> {
    let mut heard = Vec::new();
    loop {
        let head = next_frame(answered).await;
        if head[1] == PING && head[3] & SYN == 0 {
            return heard;
        }
        heard.push(head);
    }
}

#[tokio::test]
async fn a_flood_of_streams_is_held_and_calls_are_answered_meanwhile() {
    const CALLS: usize = 600;
    let (node, caller) = (Node::start().await, Node::start().await);
    caller.connect(&node).await;
    let (mut answered, mut sent) = dial(node.address().await).await.split();
    let flood = async {
        for number in 0..2 * STREAMS {
            sent.write_all(&opening(number, &[])).await.unwrap();
        }
        sent.flush().await.unwrap();
        std::future::pending::<()>().await
    };
    let resets = async {
        let mut resets = 0;
        while resets < 2 * STREAMS - SILENT {
            let head = next_frame(&mut answered).await;
            resets += usize::from(head[3] & RST != 0);
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

/// Every stream that a peer may hold, whatever for, and then more. yamux ends the connection only with a remote that does
/// as it is told.
#[tokio::test]
async fn whoever_opens_one_stream_too_many_is_told_to_go_away_and_nobody_else_notices() {
    /// That are open at once from our side, for identify and the like.
    const OWN: usize = 8;
    let mut patient = settings();
    // Nothing ends in the course of this because it is slow.
    patient.unary.read_deadline = 10 * PATIENCE;
    let calls = patient.unary.inbound_per_peer;
    let (node, caller) = (Node::start_with(patient).await, Node::start().await);
    caller.connect(&node).await;
    let (mut answered, mut sent) = dial(node.address().await).await.split();
    // As many calls that never come as may be under way, as many that are being refused, and the rest says nothing.
    let name = format!("{ECHO}\n");
    let call = [b"\x13/multistream/1.0.0\n", &[name.len() as u8][..], name.as_bytes()].concat();
    let text = |number: usize| if number < STREAMS - SILENT { &call[..] } else { &[] };
    for number in 0..STREAMS - OWN {
        sent.write_all(&opening(number, text(number))).await.unwrap();
    }
    sent.write_all(&PING_FRAME).await.unwrap();
    sent.flush().await.unwrap();
    let heard = timeout(PATIENCE, until_pong(&mut answered)).await.expect("the ping is answered");
    assert!(heard.iter().all(|head| head[3] & RST == 0 && head[1] != GO_AWAY), "all are held");
    let refused = (STREAMS - SILENT - calls) as u64;
    node.until("all are held", |status| status.connections == 2 && status.calls.refused_busy == refused)
        .await;
    assert!(caller.echo(node.peer()).await.is_ok());

    let flood = async {
        for number in STREAMS - OWN..2 * STREAMS {
            sent.write_all(&opening(number, &[])).await.unwrap();
        }
        sent.write_all(&PING_FRAME).await.unwrap();
        sent.flush().await.unwrap();
    };
    let both = futures::future::join(flood, until_pong(&mut answered));
    let (calls, ((), heard)) =
        timeout(PATIENCE, futures::future::join(join_all((0..100).map(|_| caller.echo(node.peer()))), both))
            .await
            .expect("calls are answered, and so is the ping");
    assert!(calls.iter().all(Result::is_ok));
    let told = heard.iter().filter(|head| head[1] == GO_AWAY).count();
    assert!((STREAMS - OWN..=STREAMS + OWN).contains(&told), "{told}: none of them is taken");

    // As everybody's yamux does then.
    drop((sent, answered));
    node.until("one is left", |status| status.connections == 1 && status.connected_peers == 1).await;
    assert!(caller.echo(node.peer()).await.is_ok());
}
