//! Peers that write what they should not, on streams written by hand. Nothing of it reaches a handler,
//! and the connection lives on.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::{PeerId, core::upgrade::Version};

use super::{
    super::{CallError, Mailbox, Settings, codec},
    node::{ECHO, Node, PATIENCE, name, until},
    raw::{RawPeer, frame, read_error, read_message, read_to_end},
};

type Expected = fn(&CallError) -> bool;

const ID: codec::CallId = [9; 16];

async fn node(settings: Settings) -> (Node, Mailbox) {
    let node = Node::start(Version::V1Lazy, settings).await;
    let mailbox = node.registry.serve(&[name("Test.rpc_watched")], 4);
    node.serve_echo();
    (node, mailbox)
}

/// A call by hand, as Go sends it, and its echo.
async fn echoes(raw: &mut RawPeer) {
    let call = codec::encode_call(&ID, &raw.peer, ECHO, b"ping");
    let mut stream = raw.open_agreed(ECHO, &call).await;
    let body = read_message(&mut stream).await;
    let parsed = codec::parse(&body).unwrap();
    assert_eq!(parsed.id, ID);
    let codec::Content::Response(response) = parsed.content else { panic!("{parsed:?}") };
    assert_eq!(&body[response], b"ping");
    assert!(read_to_end(&mut stream).await.is_empty(), "one message, then the end");
}

#[tokio::test]
async fn malformed_messages_are_refused_and_counted() {
    let (node, mailbox) = node(Settings::default()).await;
    let mut raw = RawPeer::dial(&node.address).await;
    let cancel = [&[20, 0x0a, 16][..], &ID, &[0x2a, 0]].concat();
    let cases = [
        vec![0],
        vec![3, 0xff, 0xff, 0xff],
        [&[40][..], &[0xff; 40]].concat(),
        codec::encode_answer(&ID, Ok(b"an answer, not a call")),
        cancel,
        [&[18, 0x0a, 16][..], &ID].concat(),
        [&[20, 0x0a, 16][..], &ID, &[0x1a, 0]].concat(),
    ];
    for (index, case) in cases.iter().enumerate() {
        let mut stream = raw.open_agreed("Test.rpc_watched", case).await;
        let (id, text) = read_error(&mut stream).await;
        assert!(text.starts_with("malformed request"), "case {index}: {text}");
        assert_eq!(id, if index < 3 { [0; 16] } else { ID }, "case {index}");
        assert_eq!(node.registry.counters().malformed, index as u64 + 1);
    }
    assert!(mailbox.is_empty());
    echoes(&mut raw).await;
}

#[tokio::test]
async fn bytes_that_are_no_message_close_the_stream() {
    let (node, mailbox) = node(Settings::default()).await;
    let mut raw = RawPeer::dial(&node.address).await;
    for (index, case) in [&[0xff; 8][..], &[200, 1, 0x0a]].iter().enumerate() {
        let mut stream = raw.open("Test.rpc_watched", case).await;
        stream.close().await.unwrap();
        // The handshake at most, which may have waited for an answer.
        let handshake = [frame("/multistream/1.0.0"), frame("Test.rpc_watched")].concat();
        assert!(handshake.starts_with(&read_to_end(&mut stream).await));
        assert_eq!(node.registry.counters().malformed, index as u64 + 1);
    }
    assert!(mailbox.is_empty());
    echoes(&mut raw).await;
}

#[tokio::test]
async fn an_oversized_call_is_refused() {
    let (node, mailbox) = node(Settings { max_message_bytes: 100_000, ..Settings::default() }).await;
    let mut raw = RawPeer::dial(&node.address).await;
    // Its end is never sent: the length alone decides.
    let call = codec::encode_call(&ID, &raw.peer, "Test.rpc_watched", &[0; 200_000]);
    let mut stream = raw.open_agreed("Test.rpc_watched", &call[..50]).await;
    let (id, text) = read_error(&mut stream).await;
    assert_eq!(id, ID);
    assert!(text.contains("more than 100000"), "{text}");
    // A caller that writes everything before it reads, more than fits on the way, sees it as well.
    let call = codec::encode_call(&ID, &raw.peer, "Test.rpc_watched", &[0; 500_000]);
    let mut stream = raw.open_agreed("Test.rpc_watched", &call).await;
    assert_eq!(read_error(&mut stream).await.0, ID);
    assert_eq!(node.registry.counters().oversized, 2);
    assert!(mailbox.is_empty());
    echoes(&mut raw).await;
}

#[tokio::test]
async fn a_caller_that_ends_its_stream_has_cancelled() {
    let (node, mailbox) = node(Settings::default()).await;
    let mut raw = RawPeer::dial(&node.address).await;
    let call = codec::encode_call(&ID, &raw.peer, "Test.rpc_watched", b"work");
    let mut stream = raw.open_agreed("Test.rpc_watched", &call).await;
    let mut work = mailbox.recv().await.unwrap();
    assert_eq!((work.caller, &work.data[..]), (raw.peer, &b"work"[..]));
    stream.close().await.unwrap();
    tokio::time::timeout(PATIENCE, work.cancelled()).await.expect("the work is dropped");
    assert_eq!(node.registry.counters().cancelled, 1);
}

/// Bytes after the one message, with it or later, would fill the stream's buffer.
#[tokio::test]
async fn more_than_one_message_is_refused() {
    let (node, mailbox) = node(Settings::default()).await;
    let mut raw = RawPeer::dial(&node.address).await;
    let call = codec::encode_call(&ID, &raw.peer, "Test.rpc_watched", b"work");
    let mut stream = raw.open_agreed("Test.rpc_watched", &[call.clone(), vec![0; 10]].concat()).await;
    let (id, text) = read_error(&mut stream).await;
    assert_eq!((id, &text[..]), (ID, "malformed request: bytes after the message"));
    assert!(mailbox.is_empty());

    let mut stream = raw.open_agreed("Test.rpc_watched", &call).await;
    let mut work = mailbox.recv().await.unwrap();
    stream.write_all(&[0; 10]).await.unwrap();
    stream.flush().await.unwrap();
    tokio::time::timeout(PATIENCE, work.cancelled()).await.expect("the work is dropped");
    assert!(read_to_end(&mut stream).await.is_empty());
    assert_eq!(node.registry.counters().malformed, 2);
    echoes(&mut raw).await;
}

#[tokio::test]
async fn a_slow_caller_is_cut_off() {
    let (node, mailbox) =
        node(Settings { read_deadline: Duration::from_millis(100), ..Settings::default() }).await;
    let mut raw = RawPeer::dial(&node.address).await;
    let call = codec::encode_call(&ID, &raw.peer, "Test.rpc_watched", &[0; 200_000]);
    for beginning in [&call[..0], &call[..2], &call[..40], &call[..100_000]] {
        let mut stream = raw.open_agreed("Test.rpc_watched", beginning).await;
        assert!(read_to_end(&mut stream).await.is_empty());
    }
    assert_eq!(node.registry.counters().deadline, 4);
    assert!(mailbox.is_empty());
    echoes(&mut raw).await;
}

#[tokio::test]
async fn bad_answers_are_told_apart() {
    let (node, _mailbox) = node(Settings { max_message_bytes: 100_000, ..Settings::default() }).await;
    let mut raw = RawPeer::dial(&node.address).await;
    let peer = raw.peer;
    until(async || node.with(move |swarm| swarm.is_connected(&peer)).await).await;
    let large = codec::encode_answer(&ID, Ok(&[0; 200_000]));
    let not_an_answer = codec::encode_call(&ID, &PeerId::random(), "x", b"");
    let cases: [(&[u8], Expected); 6] = [
        (&[], |error| matches!(error, CallError::Io(_))),
        (&[9, 9, 9], |error| matches!(error, CallError::Io(_))),
        (&[3, 0xff, 0xff, 0xff], |error| matches!(error, CallError::Malformed(_))),
        (&[0xff; 9], |error| matches!(error, CallError::Malformed(_))),
        (&not_an_answer, |error| matches!(error, CallError::Malformed(_))),
        (&large, |error| matches!(error, CallError::TooLarge { limit: 100_000, .. })),
    ];
    for (index, (answer, expected)) in cases.iter().enumerate() {
        let waiting = node.begin(peer, "Raw.rpc_call", vec![7; 3000], PATIENCE).await;
        let (mut stream, request) = raw.accept("Raw.rpc_call").await;
        let parsed = codec::parse(&request).unwrap();
        let codec::Content::Call { data, .. } = parsed.content else { panic!("{parsed:?}") };
        assert_eq!(&request[data], &[7; 3000]);
        let _ = stream.write_all(answer).await;
        let _ = stream.close().await;
        let error = waiting.await.unwrap().unwrap_err();
        assert!(expected(&error), "case {index}: {error:?}");
    }
    assert_eq!(node.registry.counters().calls_failed, 6);
}

/// Our request stays open: p2pd takes an end of stream for a cancelled call.
#[tokio::test]
async fn a_request_leaves_its_side_open_until_it_is_cancelled() {
    let (node, _mailbox) = node(Settings::default()).await;
    let mut raw = RawPeer::dial(&node.address).await;
    let peer = raw.peer;
    until(async || node.with(move |swarm| swarm.is_connected(&peer)).await).await;
    let waiting = node.begin(peer, "Raw.rpc_call", vec![7], PATIENCE).await;
    let (mut stream, _) = raw.accept("Raw.rpc_call").await;
    let early = tokio::time::timeout(Duration::from_millis(100), stream.read(&mut [0; 1])).await;
    assert!(early.is_err(), "{early:?}");
    drop(waiting);
    let ended = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 1])).await.expect("the callee sees it");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test]
async fn a_refusal_in_gos_words_is_an_unknown_handler() {
    let (node, _mailbox) = node(Settings::default()).await;
    let mut raw = RawPeer::dial(&node.address).await;
    let peer = raw.peer;
    until(async || node.with(move |swarm| swarm.is_connected(&peer)).await).await;
    let waiting = node.begin(peer, "Raw.rpc_none", vec![7; 1_000_000], PATIENCE).await;
    let mut stream = raw.inbound.recv().await.unwrap();
    stream.write_all(&[frame("/multistream/1.0.0"), frame("na")].concat()).await.unwrap();
    stream.flush().await.unwrap();
    // The rest of the request is never read: the refusal is seen while writing.
    assert_eq!(waiting.await.unwrap(), Err(CallError::UnknownHandler));
    drop(stream);
}
