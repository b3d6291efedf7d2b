//! Calls between two nodes that mean well, with both versions of the negotiation.

use std::{sync::Arc, time::Duration};

use futures::{FutureExt, future::join_all};
use libp2p::core::upgrade::Version;
use tokio::sync::Barrier;

use super::{
    super::{CallError, Settings},
    node::{ECHO, Node, PATIENCE, name, pair, until},
};

const VERSIONS: [Version; 2] = [Version::V1, Version::V1Lazy];

/// 3.9 MiB, close to what a Python peer can send at most.
const LARGE: usize = 39 * 1024 * 1024 / 10;

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index * 31 % 251) as u8).collect()
}

#[tokio::test]
async fn messages_of_all_sizes_are_echoed() {
    for version in VERSIONS {
        let (caller, callee) = pair(version).await;
        for size in [0, 1, 2000, 2048, 100_000, LARGE] {
            let data = bytes(size);
            let answer = caller.call(callee.peer, ECHO, data.clone()).await.unwrap();
            assert!(answer == data, "{size} bytes");
        }
        assert_eq!(callee.registry.counters().answered, 6);
        assert_eq!(caller.registry.counters().calls_ok, 6);
    }
}

/// The handler answers when all the calls are with it: were one held back, none would end in time.
async fn calls_at_once(count: usize, version: Version) {
    let (caller, callee) = pair(version).await;
    let all_are_there = Arc::new(Barrier::new(count));
    callee.serve("Test.rpc_together", move |data| {
        let all_are_there = all_are_there.clone();
        async move {
            all_are_there.wait().await;
            Ok(data)
        }
        .boxed()
    });
    let mut answers = Vec::new();
    for index in 0..count {
        let data = index.to_be_bytes().to_vec();
        answers.push(caller.begin(callee.peer, "Test.rpc_together", data, PATIENCE).await);
    }
    for (index, answer) in join_all(answers).await.into_iter().enumerate() {
        assert_eq!(answer.unwrap(), Ok(index.to_be_bytes().to_vec()), "call {index}");
    }
    assert_eq!(callee.with(|swarm| swarm.network_info().num_peers()).await, 1);
}

#[tokio::test]
async fn two_hundred_calls_at_once() {
    for version in VERSIONS {
        calls_at_once(200, version).await;
    }
}

#[tokio::test]
async fn six_hundred_calls_at_once() {
    for version in VERSIONS {
        calls_at_once(600, version).await;
    }
}

#[tokio::test]
async fn a_handlers_error_is_told() {
    let (caller, callee) = pair(Version::V1Lazy).await;
    callee.serve("Test.rpc_fail", |_| async { Err("KeyError('no such block')".to_owned()) }.boxed());
    let error = caller.call(callee.peer, "Test.rpc_fail", vec![1]).await.unwrap_err();
    assert_eq!(error, CallError::Handler("KeyError('no such block')".to_owned()));
    assert_eq!(callee.registry.counters().handler_errors, 1);
    assert_eq!(caller.registry.counters().calls_failed, 1);
}

#[tokio::test]
async fn an_unknown_handler_is_told_apart() {
    for version in VERSIONS {
        let (caller, callee) = pair(version).await;
        for size in [0, 100, LARGE] {
            let error = caller.call(callee.peer, "Test.rpc_none", bytes(size)).await.unwrap_err();
            assert_eq!(error, CallError::UnknownHandler, "{version:?}, {size} bytes");
        }
        // A handler that is served later is found.
        callee.serve("Test.rpc_none", |data| async { Ok(data) }.boxed());
        assert_eq!(caller.call(callee.peer, "Test.rpc_none", vec![5]).await, Ok(vec![5]));
    }
}

#[tokio::test]
async fn a_cancelled_call_is_seen_by_the_callee() {
    for version in VERSIONS {
        let (caller, callee) = pair(version).await;
        let mailbox = callee.registry.serve(&[name("Test.rpc_wait")], 4);
        let answer = caller.begin(callee.peer, "Test.rpc_wait", vec![1], PATIENCE).await;
        let mut call = mailbox.recv().await.unwrap();
        assert!(!call.is_cancelled());
        drop(answer);
        tokio::time::timeout(PATIENCE, call.cancelled()).await.expect("the callee sees it");
        assert!(call.is_cancelled());
        call.answer(Ok(vec![]));
        assert_eq!(callee.registry.counters().cancelled, 1);
        assert_eq!(caller.call(callee.peer, ECHO, vec![2]).await, Ok(vec![2]), "the connection lives");
    }
}

#[tokio::test]
async fn a_dropped_call_has_an_error_text() {
    let (caller, callee) = pair(Version::V1Lazy).await;
    let mailbox = callee.registry.serve(&[name("Test.rpc_drop")], 4);
    let answer = caller.begin(callee.peer, "Test.rpc_drop", vec![1], PATIENCE).await;
    drop(mailbox.recv().await.unwrap());
    assert!(
        matches!(answer.await.unwrap(), Err(CallError::Handler(text)) if text.contains("without an answer"))
    );
}

#[tokio::test]
async fn a_connection_lost_in_mid_call_is_told() {
    for version in VERSIONS {
        let (caller, callee) = pair(version).await;
        let mailbox = callee.registry.serve(&[name("Test.rpc_wait")], 4);
        let answer = caller.begin(callee.peer, "Test.rpc_wait", vec![1], PATIENCE).await;
        let mut call = mailbox.recv().await.unwrap();
        drop(callee);
        assert_eq!(answer.await.unwrap(), Err(CallError::ConnectionLost));
        tokio::time::timeout(PATIENCE, call.cancelled()).await.expect("the callee sees it too");
    }
}

#[tokio::test]
async fn without_a_connection_there_is_no_call() {
    let caller = Node::start(Version::V1Lazy, Settings::default()).await;
    let error = caller.call(libp2p::PeerId::random(), ECHO, vec![]).await.unwrap_err();
    assert_eq!(error, CallError::NotConnected);
}

#[tokio::test]
async fn the_callers_deadline_ends_a_call() {
    let (caller, callee) = pair(Version::V1Lazy).await;
    let mailbox = callee.registry.serve(&[name("Test.rpc_wait")], 4);
    let deadline = Duration::from_millis(100);
    let answer = caller.begin(callee.peer, "Test.rpc_wait", vec![1], deadline).await;
    let call = mailbox.recv().await.unwrap();
    assert_eq!(answer.await.unwrap(), Err(CallError::Deadline));
    until(async || call.is_cancelled()).await;
}

#[tokio::test]
async fn the_same_names_have_the_same_queue() {
    let (caller, callee) = pair(Version::V1Lazy).await;
    let names = [name("Test.rpc_a"), name("Test.rpc_b")];
    let first = callee.registry.serve(&names, 4);
    let answer = caller.begin(callee.peer, "Test.rpc_b", vec![1], PATIENCE).await;
    until(async || first.len() == 1).await;
    // Whoever served it was restarted; the call waited.
    drop(first);
    let second = callee.registry.serve(&names, 4);
    let call = second.recv().await.unwrap();
    assert_eq!((call.caller, call.handler.as_str()), (caller.peer, "Test.rpc_b"));
    call.answer(Ok(vec![2]));
    assert_eq!(answer.await.unwrap(), Ok(vec![2]));
}

#[tokio::test]
async fn a_simulated_network_delivers_alike() {
    let registry = super::super::Registry::new();
    let mailbox = registry.serve(&[name(ECHO)], 1);
    let peer = libp2p::PeerId::random();
    let waiting = registry.deliver(peer, &name(ECHO), vec![1]);
    let busy = registry.deliver(peer, &name(ECHO), vec![2]).await;
    assert!(matches!(busy, Err(CallError::Handler(text)) if text.starts_with("busy")));
    mailbox.recv().await.unwrap().answer(Ok(vec![3]));
    assert_eq!(waiting.await, Ok(vec![3]));
    assert_eq!(registry.deliver(peer, &name("x"), vec![]).await, Err(CallError::UnknownHandler));
}
