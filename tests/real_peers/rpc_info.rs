//! A stub as the health monitor uses it: `TransformerConnectionHandler.rpc_info`, by peer id only.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    deadline::eventually,
    petald::{CACHE_TOKENS_LEFT, Config, Home, PUBLIC_NAME, THROUGHPUT, TORCH_DTYPE},
    shared,
    swarm::{RpcInfo, Swarm, field},
};

/// Until the stranger's kad lookup finds an address that petald has told its bootstrap.
const FOUND_LIMIT: Duration = Duration::from_secs(15);
/// How many calls at once, as a burst of monitors would make.
const BURST: usize = 200;

fn assert_tells(info: &Value) {
    assert!(field(info, "version").is_string(), "{info}");
    assert_eq!(*field(info, "dht_client_mode"), json!(false));
    assert_eq!(*field(info, "cache_tokens_available"), json!(CACHE_TOKENS_LEFT));
    assert_eq!(*field(info, "torch_dtype"), json!(TORCH_DTYPE));
    assert_eq!(*field(info, "public_name"), json!(PUBLIC_NAME));
    assert_eq!(*field(info, "throughput"), json!(THROUGHPUT));
    assert!(field(info, "throughput").is_f64(), "{info}");
    assert!(!field(info, "state").is_null() && !field(info, "spans").is_null(), "{info}");
}

#[tokio::test]
async fn a_stub_is_answered_by_peer_id_alone() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b"], &[]).await;
    let config = Config { initial_peers: nodes[0].addresses.clone(), ..Config::default() };
    let home = Home::new(&config);
    let petald = home.run().await;
    swarm.start_client("caller", &nodes[1].addresses).await;

    let (info, _) = eventually(FOUND_LIMIT, "rpc_info is answered", async || {
        match swarm.rpc_info("caller", &petald.peer_id, &[""]).await.remove(0) {
            RpcInfo::Answer { ok } => Ok(ok),
            RpcInfo::Raised { error, .. } => Err(error),
        }
    })
    .await;
    assert_tells(&info);

    let answers = swarm.rpc_info("caller", &petald.peer_id, &["test-model.0", "test-model.7"]).await;
    for answer in &answers {
        match answer {
            RpcInfo::Answer { ok } => assert_tells(ok),
            raised => panic!("a block of ours: {raised:?}"),
        }
    }

    let unknown = ["test-model.8", "other-model.0", "no uid at all"];
    let answers = swarm.rpc_info("caller", &petald.peer_id, &unknown).await;
    for (uid, answer) in unknown.iter().zip(&answers) {
        // A handler's error, not a failed call: the peer is there and says no.
        let named = matches!(answer, RpcInfo::Raised { error, kind } if error.contains(uid) && kind == "P2PHandlerError");
        assert!(named, "{uid}: {answer:?}");
    }

    let answers = swarm.rpc_info("caller", &petald.peer_id, &[""; BURST]).await;
    let answered = answers.iter().filter(|answer| matches!(answer, RpcInfo::Answer { .. })).count();
    assert_eq!(
        answered,
        BURST,
        "{:?}",
        answers.iter().find(|answer| matches!(answer, RpcInfo::Raised { .. }))
    );
}
