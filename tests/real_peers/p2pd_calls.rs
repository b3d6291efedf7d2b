//! Unary calls between a bare p2pd and us, in both directions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use hivemind_proto::unary::CallError;

use crate::support::{
    deadline::{eventually, within},
    in_process::{Node, name},
    p2pd::{CallFailed, P2pd},
    shared,
};

const ECHO: &str = "Test.rpc_echo";
const RAISE: &str = "Test.rpc_raise";
const SILENT: &str = "Test.rpc_silent";
const UNKNOWN: &str = "Test.rpc_unknown";
/// What a Python handler's exception looks like on the wire.
const RAISED: &str = "KeyError('no such expert')";
/// Close to the largest message, 4 MiB, with room for its envelope.
const LARGEST: usize = 3_900 * 1024;
const AT_ONCE: u32 = 200;
/// For 3.9 MiB in a debug build on two cores.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Until the other side learns that a call was given up.
const CANCEL_LIMIT: Duration = Duration::from_secs(10);

/// 0 B, 1 B and 3.9 MiB, no two bytes in a row alike.
fn sizes() -> [Vec<u8>; 3] {
    let bytes = |length: usize| (0..length).map(|i| (i * 7 % 251) as u8).collect();
    [bytes(0), bytes(1), bytes(LARGEST)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_call_p2pd() {
    let _machine = shared().await;
    let (node, p2pd) = (Node::start().await, P2pd::start().await);
    p2pd.serve(ECHO, Arc::new(|data| Some(Ok(data)))).await;
    p2pd.serve(RAISE, Arc::new(|_| Some(Err(RAISED.into())))).await;
    let silent = Arc::new(AtomicUsize::new(0));
    let received = silent.clone();
    p2pd.serve(
        SILENT,
        Arc::new(move |_| {
            received.fetch_add(1, Ordering::SeqCst);
            None
        }),
    )
    .await;
    node.handle.connect(p2pd.peer_id, p2pd.addresses.clone(), CALL_LIMIT).await.unwrap();
    let call = async |handler: &str, data: Vec<u8>| {
        node.handle.call(p2pd.peer_id, &name(handler), data, CALL_LIMIT).await
    };

    for data in sizes() {
        assert!(call(ECHO, data.clone()).await.unwrap() == data, "an echo of {} bytes", data.len());
    }
    let raised = call(RAISE, vec![1]).await;
    assert!(matches!(&raised, Err(CallError::Handler(text)) if text == RAISED), "{raised:?}");
    let unknown = call(UNKNOWN, vec![1]).await;
    assert!(matches!(unknown, Err(CallError::UnknownHandler)), "{unknown:?}");

    // Given up while p2pd's handler is at it: p2pd cancels the handler.
    let mut abandoned = Box::pin(call(SILENT, vec![]));
    tokio::select! {
        answer = &mut abandoned => panic!("a silent handler answers {answer:?}"),
        _ = eventually(CALL_LIMIT, "the call arrives", async || match silent.load(Ordering::SeqCst) {
            0 => Err("not yet".to_owned()),
            _ => Ok(()),
        }) => {}
    }
    assert_eq!(p2pd.cancelled(), 0, "nothing is cancelled until then");
    drop(abandoned);
    eventually(CANCEL_LIMIT, "p2pd cancels its handler", async || match p2pd.cancelled() {
        0 => Err("not yet".to_owned()),
        _ => Ok(()),
    })
    .await;

    // A deadline is told as one.
    let late = node.handle.call(p2pd.peer_id, &name(SILENT), vec![], Duration::from_millis(300)).await;
    assert!(matches!(late, Err(CallError::Deadline)), "{late:?}");

    let answers = join_all((0..AT_ONCE).map(|number| call(ECHO, number.to_be_bytes().to_vec()))).await;
    for (number, answer) in (0..AT_ONCE).zip(answers) {
        assert_eq!(answer.unwrap(), number.to_be_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p2pd_calls_us() {
    let _machine = shared().await;
    let (node, p2pd) = (Node::start().await, P2pd::start().await);
    let mailbox = node.handle.serve(&[name(ECHO), name(RAISE), name(SILENT)], AT_ONCE as usize);
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok(call) = mailbox.recv().await {
            match call.handler.as_str() {
                ECHO => {
                    let data = call.data.clone();
                    call.answer(Ok(data));
                }
                RAISE => call.answer(Err(RAISED.into())),
                // Kept, so that it stays unanswered.
                _ => arrived.send(call).unwrap(),
            }
        }
    });
    p2pd.connect(node.peer_id, &node.addresses).await.unwrap();

    for data in sizes() {
        assert!(
            p2pd.call(node.peer_id, ECHO, data.clone()).await.unwrap() == data,
            "an echo of {} bytes",
            data.len()
        );
    }
    // Twice: the second negotiation is lazy, its data in the packet of its name.
    for _ in 0..2 {
        let raised = p2pd.call(node.peer_id, RAISE, vec![1]).await;
        assert_eq!(raised, Err(CallFailed::Handler(RAISED.into())));
    }
    let unknown = p2pd.call(node.peer_id, UNKNOWN, vec![1]).await;
    assert!(
        matches!(&unknown, Err(CallFailed::Daemon(text)) if text.contains("not supported")),
        "{unknown:?}"
    );

    let call_id = p2pd.begin_call(node.peer_id, SILENT);
    let call = within(CALL_LIMIT, "the call arrives", arrivals.recv()).await.unwrap();
    assert_eq!(call.caller, p2pd.peer_id, "the caller is the connection's peer");
    assert!(!call.is_cancelled());
    p2pd.cancel(call_id);
    eventually(CANCEL_LIMIT, "we see the call cancelled", async || match call.is_cancelled() {
        true => Ok(()),
        false => Err("not yet".to_owned()),
    })
    .await;

    let calls = (0..AT_ONCE).map(|number| p2pd.call(node.peer_id, ECHO, number.to_be_bytes().to_vec()));
    for (number, answer) in (0..AT_ONCE).zip(join_all(calls).await) {
        assert_eq!(answer.unwrap(), number.to_be_bytes());
    }
    let counters = node.handle.registry().counters();
    assert_eq!((counters.malformed, counters.oversized, counters.cancelled), (0, 0, 1));
}
