//! What an operator changes while the node runs.

use hivemind_proto::records::{BlockRange, ModelInfo, Rps, ServerInfo, ServerState};

use super::*;
use crate::server_info::{self, Offer, ServerInfoStore};

const SERVER: &str = "/api/v1/server-info";

fn offer() -> Offer {
    Offer {
        prefix: "model".parse().unwrap(),
        model: ModelInfo::new(8, None).unwrap(),
        server: ServerInfo::new(ServerState::Joining, Rps::ZERO, BlockRange::new(0, 4).unwrap()),
    }
}

fn serve(node: &Node, offer: Option<Offer>) -> Addr<ServerInfoStore> {
    let store = ServerInfoStore::new(server_info::Settings::volatile(offer), Birth::detached().0).start();
    node.doors.server_info.fill(store.clone());
    store
}

#[actix_rt::test]
async fn a_change_is_whole_and_versioned() {
    let node = start(any_port(), false, &[]).await;
    let patch = async |body: Value| node.send("PATCH", SERVER, "", &body.to_string()).await;
    assert_eq!(patch(json!({})).await.0, 503, "the actor is not there");
    let store = serve(&node, Some(offer()));
    let saved = |version| json!({ "version": version, "saved": true, "save_error": null });
    let change = json!({ "state": "online", "throughput": 7.5, "cache_tokens_left": 9, "public_name": "me" });
    assert_eq!(patch(change).await, (200, saved(2)));
    assert_eq!(patch(json!({ "state": "online" })).await, (200, saved(2)), "nothing new");
    let told = store.send(Probe).await.unwrap().0;
    assert_eq!(
        json!([told["state"], told["throughput"], told["cache_tokens_left"], told["public_name"]]),
        json!(["online", 7.5, 9, "me"])
    );
    let (status, refused) = patch(json!({ "throughput": 8, "blocks": "0:1", "state": "gone" })).await;
    let fields: Value =
        refused["errors"].as_array().unwrap().iter().map(|wrong| wrong["field"].clone()).collect();
    assert_eq!((status, fields), (400, json!(["blocks", "state"])));
    assert_eq!(store.send(Probe).await.unwrap().0["throughput"], 7.5, "nothing of it is done");
    assert_eq!(patch(json!({ "state": "auto" })).await, (200, saved(3)));
    assert_eq!(store.send(Probe).await.unwrap().0["state"], "joining");
    serve(&node, None);
    assert_eq!(patch(json!({ "throughput": 1 })).await.0, 404);
    node.end().await;
}

#[actix_rt::test]
async fn bodies_are_bounded_and_must_be_objects() {
    let node = start(any_port(), false, &[]).await;
    serve(&node, Some(offer()));
    for (body, status) in [
        ("", 400),
        ("[]", 400),
        ("7", 400),
        ("{\"throughput\":", 400),
        ("{\"throughput\": 1e999}", 400),
        (&format!("{{\"public_name\": \"{}\"}}", "x".repeat(20_000)), 413),
        (&"[".repeat(10_000), 400),
    ] {
        let (answered, said) = node.send("PATCH", SERVER, "", body).await;
        assert_eq!(answered, status, "{said}");
        assert!(said["error"].is_string(), "{said}");
    }
    assert_eq!(node.ask("GET", "/livez").await.0, 200);
    node.end().await;
}

#[actix_rt::test]
async fn log_levels_change_together_or_not_at_all() {
    const PATH: &str = "/api/v1/log-level";
    let node = start(any_port(), false, &[]).await;
    let put = async |body: Value| node.send("PUT", PATH, "", &body.to_string()).await;
    assert_eq!(node.ask("GET", PATH).await, (200, json!({ "files": "info", "console": "warn" })));
    assert_eq!(put(json!({ "files": "debug" })).await, (200, json!({ "files": "debug", "console": "warn" })));
    assert_eq!(put(json!({ "console": "off" })).await, (200, json!({ "files": "debug", "console": "off" })));
    assert_eq!(node.log.levels().console, None);
    for (wrong, fields) in [
        (json!({ "files": "info", "console": "wrong" }), json!(["console"])),
        (json!({ "files": "info", "colour": "x", "console": 1 }), json!(["colour", "console"])),
        (json!({}), json!(["files"])),
    ] {
        let (status, refused) = put(wrong).await;
        let named: Value =
            refused["errors"].as_array().unwrap().iter().map(|wrong| wrong["field"].clone()).collect();
        assert_eq!((status, named), (400, fields));
    }
    assert_eq!(node.ask("GET", PATH).await.1, json!({ "files": "debug", "console": "off" }));
    node.end().await;
}
