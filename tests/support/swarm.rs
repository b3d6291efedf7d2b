//! Real hivemind DHT nodes: drives `swarm.py`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    peers::peers,
    python::{Python, Raised},
};

/// A started node.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) peer_id: String,
    /// With their `/p2p/` part.
    pub(crate) addresses: Vec<String>,
}

/// One `DHTProtocol.rpc_store` that a node received.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StoreCall {
    pub(crate) callee: String,
    pub(crate) caller: String,
    /// Records in the call.
    pub(crate) rows: usize,
    /// Whether some of them are copies for a cache.
    pub(crate) in_cache: bool,
    /// Unix times in seconds, each once.
    pub(crate) expirations: Vec<f64>,
    /// Size of the request.
    pub(crate) bytes: usize,
    /// Unix time in seconds at which the peer began with it.
    pub(crate) at: f64,
}

/// What one `rpc_info` call gave: the decoded map, or an exception's text.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum RpcInfo {
    Answer { ok: Value },
    Raised { error: String, kind: String },
}

pub(crate) struct Swarm {
    python: Python,
}

impl Swarm {
    pub(crate) async fn new() -> Swarm {
        Swarm { python: Python::start(&peers().await.hivemind, "swarm.py") }
    }

    /// Full nodes; without initial peers, the first is the others' bootstrap. They have RSA identities, as Python peers do.
    pub(crate) async fn start(&self, names: &[&str], initial_peers: &[String]) -> Vec<Node> {
        let folder = self.python.folder();
        let options = json!({"names": names, "initial_peers": initial_peers, "identities": folder});
        self.started(options).await.expect("the nodes start")
    }

    /// As [`Swarm::start`], with Ed25519 identities, which cost nothing to make.
    pub(crate) async fn start_many(&self, names: &[&str]) -> Vec<Node> {
        self.started(json!({"names": names})).await.expect("the nodes start")
    }

    /// A node in client mode: it is in nobody's routing table.
    pub(crate) async fn start_client(&self, name: &str, initial_peers: &[String]) -> Node {
        let options = json!({"names": [name], "initial_peers": initial_peers, "client_mode": true});
        self.started(options).await.expect("the node starts").remove(0)
    }

    /// A full node with hivemind's validator of signatures, and what marks a subkey as its own.
    pub(crate) async fn start_owner(&self, name: &str, initial_peers: &[String]) -> String {
        let options = json!({"names": [name], "initial_peers": initial_peers, "validates": true});
        self.started(options).await.expect("the node starts");
        self.python.ask("owner", json!({"name": name})).await.as_str().unwrap().to_owned()
    }

    async fn started(&self, options: Value) -> Result<Vec<Node>, Raised> {
        let nodes = self.python.try_ask("start", options).await?;
        Ok(serde_json::from_value(nodes).expect("the form of a started node"))
    }

    pub(crate) async fn stop(&self, name: &str) {
        self.python.ask("stop", json!({"name": name})).await;
    }

    /// Stores a plain value for `ttl` seconds; false if no node took it.
    pub(crate) async fn store(&self, name: &str, key: &str, value: Value, ttl: f64) -> bool {
        self.python.ask("store", json!({"name": name, "key": key, "value": value, "ttl": ttl})).await
            == json!(true)
    }

    /// Stores one entry of a dictionary.
    pub(crate) async fn store_entry(
        &self,
        name: &str,
        key: &str,
        subkey: &Value,
        value: Value,
        ttl: f64,
    ) -> bool {
        let subkey = json!({"is": subkey});
        let request = json!({"name": name, "key": key, "subkey": subkey, "value": value, "ttl": ttl});
        self.python.ask("store", request).await == json!(true)
    }

    /// The latest value as `json_lines.py` writes it: `{"value": …, "ttl": seconds}`, or null.
    pub(crate) async fn get(&self, name: &str, key: &str) -> Value {
        self.python.ask("get", json!({"name": name, "key": key})).await
    }

    /// The DHT id of a key.
    pub(crate) async fn key_id(&self, key: &str) -> Vec<u8> {
        let id = self.python.ask("key_id", json!({"key": key})).await;
        hex::decode(id.as_str().unwrap()).unwrap()
    }

    /// A validated ping: the callee calls back. The DHT node id in hex.
    pub(crate) async fn ping(&self, name: &str, peer: &str) -> Result<Value, Raised> {
        self.python.try_ask("ping", json!({"name": name, "peer": peer})).await
    }

    pub(crate) async fn routing_table(&self, name: &str) -> Vec<String> {
        serde_json::from_value(self.python.ask("routing_table", json!({"name": name})).await).unwrap()
    }

    /// Has a node answer rpc_info as a Petals server would.
    pub(crate) async fn serve_rpc_info(&self, name: &str) {
        self.python.ask("serve_rpc_info", json!({"name": name})).await;
    }

    /// Calls `TransformerConnectionHandler.rpc_info` by peer id only, once for each uid, all at once.
    pub(crate) async fn rpc_info(&self, name: &str, peer: &str, uids: &[&str]) -> Vec<RpcInfo> {
        let answers = self.python.ask("rpc_info", json!({"name": name, "peer": peer, "uids": uids})).await;
        serde_json::from_value(answers).unwrap()
    }

    /// All store calls that the nodes received from `caller`.
    pub(crate) async fn store_calls_from(&self, caller: &str) -> Vec<StoreCall> {
        let calls = self.python.ask("store_calls", json!({})).await;
        let mut calls: Vec<StoreCall> = serde_json::from_value(calls).unwrap();
        calls.retain(|call| call.caller == caller);
        calls
    }
}

/// A map that `json_lines.py` wrote as pairs, by its string keys.
pub(crate) fn field<'a>(map: &'a Value, key: &str) -> &'a Value {
    let pairs = map["dict"].as_array().unwrap_or_else(|| panic!("no map: {map}"));
    let found = pairs.iter().find(|pair| pair[0] == key);
    found.map(|pair| &pair[1]).unwrap_or_else(|| panic!("no {key} in {map}"))
}
