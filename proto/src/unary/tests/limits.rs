//! Over capacity: told so, counted, and the connection lives.

use std::time::Duration;

use libp2p::core::upgrade::Version;

use super::{
    super::{CallError, InboundBytes, Registry, Settings},
    node::{ECHO, Node, PATIENCE, name, until},
};

fn is_busy(result: &Result<Vec<u8>, CallError>) -> bool {
    matches!(result, Err(CallError::Handler(text)) if text.starts_with("busy"))
}

async fn with_callee(settings: Settings, registry: Registry) -> (Node, Node) {
    let caller = Node::start(Version::V1Lazy, Settings::default()).await;
    let callee = Node::start_with(Version::V1Lazy, settings, registry).await;
    callee.serve_echo();
    caller.connect(&callee).await;
    (caller, callee)
}

#[tokio::test]
async fn more_calls_than_a_peer_may_have_are_told_busy() {
    let settings = Settings { inbound_per_peer: 3, ..Settings::default() };
    let (caller, callee) = with_callee(settings, Registry::new()).await;
    let mailbox = callee.registry.serve(&[name("Test.rpc_wait")], 16);
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(caller.begin(callee.peer, "Test.rpc_wait", vec![1], PATIENCE).await);
    }
    until(async || mailbox.len() == 3).await;
    for _ in 0..5 {
        assert!(is_busy(&caller.call(callee.peer, ECHO, vec![1; 100_000]).await));
    }
    assert_eq!(callee.registry.counters().refused_busy, 5);
    for answer in waiting {
        mailbox.recv().await.unwrap().answer(Ok(vec![2]));
        answer.await.unwrap().unwrap();
    }
    until(async || caller.call(callee.peer, ECHO, vec![3]).await == Ok(vec![3])).await;
}

#[tokio::test]
async fn a_full_queue_is_told_busy() {
    let (caller, callee) = with_callee(Settings::default(), Registry::new()).await;
    let mailbox = callee.registry.serve(&[name("Test.rpc_wait")], 1);
    let first = caller.begin(callee.peer, "Test.rpc_wait", vec![1], PATIENCE).await;
    until(async || mailbox.len() == 1).await;
    assert!(is_busy(&caller.call(callee.peer, "Test.rpc_wait", vec![1]).await));
    assert_eq!(callee.registry.counters().refused_busy, 1);
    mailbox.recv().await.unwrap().answer(Ok(vec![2]));
    assert_eq!(first.await.unwrap(), Ok(vec![2]));
}

/// Room for one large call.
fn little() -> Settings {
    let inbound_bytes = InboundBytes { all: 300_000, ..InboundBytes::default() };
    Settings { inbound_bytes, ..Settings::default() }
}

#[tokio::test]
async fn the_bytes_of_all_calls_are_bounded() {
    let (caller, callee) = with_callee(little(), Registry::new()).await;
    let mailbox = callee.registry.serve(&[name("Test.rpc_wait")], 16);
    let first = caller.begin(callee.peer, "Test.rpc_wait", vec![1; 200_000], PATIENCE).await;
    until(async || mailbox.len() == 1).await;
    assert!(is_busy(&caller.call(callee.peer, ECHO, vec![1; 200_000]).await));
    assert_eq!(caller.call(callee.peer, ECHO, vec![1; 50_000]).await, Ok(vec![1; 50_000]));
    mailbox.recv().await.unwrap().answer(Ok(vec![2]));
    assert_eq!(first.await.unwrap(), Ok(vec![2]));
    assert_eq!(caller.call(callee.peer, ECHO, vec![1; 200_000]).await, Ok(vec![1; 200_000]));
    assert_eq!(callee.registry.counters().refused_busy, 1);
}

#[tokio::test]
async fn answers_that_nobody_reads_are_bounded() {
    let (caller, callee) = with_callee(little(), Registry::new()).await;
    let mailbox = callee.registry.serve(&[name("Test.rpc_wait")], 16);
    let question = caller.begin(callee.peer, "Test.rpc_wait", vec![1], PATIENCE).await;
    mailbox.recv().await.unwrap().answer(Ok(vec![2; 400_000]));
    assert!(is_busy(&question.await.unwrap()));
    assert_eq!(callee.registry.counters().refused_busy, 1);
    let question = caller.begin(callee.peer, "Test.rpc_wait", vec![1], PATIENCE).await;
    mailbox.recv().await.unwrap().answer(Ok(vec![2; 200_000]));
    assert_eq!(question.await.unwrap(), Ok(vec![2; 200_000]));
}

#[tokio::test]
async fn our_own_calls_are_bounded() {
    let settings = Settings { outbound_per_connection: 2, max_message_bytes: 1000, ..Settings::default() };
    let (callee, caller) = with_callee(settings, Registry::new()).await;
    let mailbox = callee.registry.serve(&[name("Test.rpc_wait")], 16);
    let mut waiting = Vec::new();
    for _ in 0..2 {
        waiting.push(caller.begin(callee.peer, "Test.rpc_wait", vec![1], PATIENCE).await);
    }
    assert_eq!(caller.call(callee.peer, "Test.rpc_wait", vec![1]).await, Err(CallError::Busy));
    let error = caller.call(callee.peer, "Test.rpc_wait", vec![1; 1000]).await.unwrap_err();
    assert!(matches!(error, CallError::TooLarge { bytes: 1001.., limit: 1000 }), "{error:?}");
    for answer in waiting {
        mailbox.recv().await.unwrap().answer(Ok(vec![2]));
        answer.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_answer_over_the_bound_becomes_an_error() {
    let settings = Settings { max_message_bytes: 1000, ..Settings::default() };
    let (caller, callee) = with_callee(settings, Registry::new()).await;
    let mailbox = callee.registry.serve(&[name("Test.rpc_wait")], 16);
    let answer = caller.begin(callee.peer, "Test.rpc_wait", vec![1], PATIENCE).await;
    mailbox.recv().await.unwrap().answer(Ok(vec![0; 1000]));
    let error = answer.await.unwrap().unwrap_err();
    assert!(matches!(&error, CallError::Handler(text) if text.contains("more than 1000")), "{error:?}");
}

#[tokio::test]
async fn a_handler_that_never_answers_is_reported() {
    let settings = Settings { answer_deadline: Duration::from_millis(100), ..Settings::default() };
    let (caller, callee) = with_callee(settings, Registry::new()).await;
    let mailbox = callee.registry.serve(&[name("Test.rpc_wait")], 16);
    let answer = caller.begin(callee.peer, "Test.rpc_wait", vec![1], PATIENCE).await;
    let call = mailbox.recv().await.unwrap();
    let error = answer.await.unwrap().unwrap_err();
    assert!(matches!(&error, CallError::Handler(text) if text.contains("in time")), "{error:?}");
    assert!(call.is_cancelled());
    assert_eq!(callee.registry.counters().deadline, 1);
}
