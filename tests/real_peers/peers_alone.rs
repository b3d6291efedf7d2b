//! The real peers without petald: what fails here is the tests' own footing.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::sync::mpsc;

use crate::support::{
    deadline::{eventually, within},
    p2pd::{CallFailed, P2pd},
    reader::{Reader, Span},
    shared,
    swarm::{RpcInfo, Swarm, field},
};

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn petals_reads_what_petals_declares() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b", "c"], &[]).await;
    let server = Reader::server(&nodes[0].addresses).await;
    let peer_id = server.declare("python-model", 8, 2..6, "ONLINE").await;

    let reader = Reader::client(&nodes[2].addresses).await;
    let servers = reader.servers("python-model", 8).await;
    assert_eq!(servers.spans[&peer_id], Span { start: 2, end: 6 });
    assert_eq!(servers.states(&peer_id, 2..6), ["ONLINE"]);
    assert_eq!(servers.states(&peer_id, 6..8), ["absent"]);
    assert_eq!(reader.models().await["python-model"].num_blocks, 8);
    let record = reader.raw("python-model.3").await;
    let entry = field(&record["value"], &peer_id);
    assert_eq!(entry["value"]["tuple"][0], json!(2), "{entry}");
    assert!(!swarm.store_calls_from(&peer_id).await.is_empty());
}

#[tokio::test]
async fn python_answers_rpc_info_to_python() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b"], &[]).await;
    swarm.serve_rpc_info("a").await;
    swarm.start_client("caller", &nodes[1].addresses).await;
    let answers = swarm.rpc_info("caller", &nodes[0].peer_id, &["", "no.1"]).await;
    assert!(
        matches!(&answers[0], RpcInfo::Answer { ok } if *field(ok, "python") == json!(true)),
        "{answers:?}"
    );
    assert!(
        matches!(&answers[1], RpcInfo::Raised { error, kind } if error.contains("no.1") && kind == "P2PHandlerError")
    );
}

#[tokio::test]
async fn p2pd_calls_p2pd() {
    let _machine = shared().await;
    let (callee, caller) = (P2pd::start().await, P2pd::start().await);
    callee.serve("Test.rpc_echo", Arc::new(|data| Some(Ok(data)))).await;
    callee.serve("Test.rpc_raise", Arc::new(|_| Some(Err("KeyError('x')".into())))).await;
    caller.connect(callee.peer_id, &callee.addresses).await.unwrap();
    assert!(caller.connections().await.contains(&callee.peer_id));
    assert_eq!(caller.call(callee.peer_id, "Test.rpc_echo", vec![1, 2]).await, Ok(vec![1, 2]));
    let raised = caller.call(callee.peer_id, "Test.rpc_raise", vec![]).await;
    assert_eq!(raised, Err(CallFailed::Handler("KeyError('x')".into())));
    let unknown = caller.call(callee.peer_id, "Test.rpc_unknown", vec![]).await;
    assert!(matches!(unknown, Err(CallFailed::Daemon(_))), "{unknown:?}");

    // A call that its caller gives up is cancelled at the callee.
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let silent = move |_| {
        arrived.send(()).unwrap();
        None
    };
    callee.serve("Test.rpc_silent", Arc::new(silent)).await;
    let call_id = caller.begin_call(callee.peer_id, "Test.rpc_silent");
    within(LIMIT, "the call arrives", arrivals.recv()).await.unwrap();
    assert_eq!(callee.cancelled(), 0);
    caller.cancel(call_id);
    eventually(LIMIT, "the callee learns of it", async || match callee.cancelled() {
        0 => Err("not yet".to_owned()),
        _ => Ok(()),
    })
    .await;
}
