//! A reader of the swarm through petals' own functions: drives `petals_reader.py`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{peers::peers, python::Python};

/// What petals' `ServerInfo.from_tuple` made of a record.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Server {
    /// OFFLINE, JOINING or ONLINE.
    pub(crate) state: String,
    pub(crate) throughput: f64,
    pub(crate) start_block: Option<u32>,
    pub(crate) end_block: Option<u32>,
    pub(crate) public_name: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) torch_dtype: Option<String>,
    pub(crate) quant_type: Option<String>,
    pub(crate) cache_tokens_left: Option<u64>,
    pub(crate) using_relay: Option<bool>,
    /// As `json_lines.py` writes a dict.
    pub(crate) next_pings: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// What petals' `get_remote_module_infos` and `compute_spans` gave.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Servers {
    /// For each block, its servers by peer id.
    pub(crate) blocks: Vec<BTreeMap<String, Server>>,
    pub(crate) spans: BTreeMap<String, Span>,
}

impl Servers {
    /// The states in which the blocks of `range` are declared by `peer`, each once; "absent" for a missing record.
    pub(crate) fn states(&self, peer: &str, range: std::ops::Range<usize>) -> Vec<String> {
        let state =
            |block: &BTreeMap<_, Server>| block.get(peer).map_or("absent".to_owned(), |s| s.state.clone());
        let mut states: Vec<String> = self.blocks[range].iter().map(state).collect();
        states.sort_unstable();
        states.dedup();
        states
    }
}

/// An entry of `_petals.models` that petals' `ModelInfo.from_dict` accepted.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Model {
    pub(crate) num_blocks: u32,
    pub(crate) repository: Option<String>,
    pub(crate) raw: Value,
}

pub(crate) struct Reader {
    python: Python,
}

impl Reader {
    /// A client-mode peer that knows only `initial_peers`.
    pub(crate) async fn client(initial_peers: &[String]) -> Reader {
        Reader::start(initial_peers, true).await
    }

    /// A full node that can also declare blocks, as a Petals server does.
    pub(crate) async fn server(initial_peers: &[String]) -> Reader {
        Reader::start(initial_peers, false).await
    }

    async fn start(initial_peers: &[String], client_mode: bool) -> Reader {
        let python = Python::start(&peers().await.petals, "petals_reader.py");
        python.ask("start", json!({"initial_peers": initial_peers, "client_mode": client_mode})).await;
        Reader { python }
    }

    /// `_petals.models` by dht_prefix; empty if the record is not there.
    pub(crate) async fn models(&self) -> BTreeMap<String, Model> {
        let models = self.python.ask("models", json!({})).await;
        serde_json::from_value::<Option<_>>(models).unwrap().unwrap_or_default()
    }

    /// All blocks of a model; spans count servers that are ONLINE.
    pub(crate) async fn servers(&self, prefix: &str, num_blocks: u32) -> Servers {
        let servers = self.python.ask("servers", json!({"prefix": prefix, "num_blocks": num_blocks})).await;
        serde_json::from_value(servers).unwrap()
    }

    /// The span of each server of a model in whatever state, with the record that it comes from, as the health monitor has
    /// them: `{"spans": {peer: {"start": …, "end": …, "server": …}}}`.
    pub(crate) async fn health(&self, prefix: &str, num_blocks: u32) -> Value {
        let request = json!({"prefix": prefix, "num_blocks": num_blocks, "min_state": "OFFLINE"});
        self.python.ask("servers", request).await
    }

    /// The record under `key` as it is stored: types and times to live (see `json_lines.py`), or null.
    pub(crate) async fn raw(&self, key: &str) -> Value {
        self.python.ask("raw", json!({"keys": [key]})).await[0].take()
    }

    /// Declares the blocks `range` of `prefix` through petals' own function; returns the declaring peer id.
    pub(crate) async fn declare(
        &self,
        prefix: &str,
        num_blocks: u32,
        range: std::ops::Range<u32>,
        state: &str,
    ) -> String {
        let request = json!({
            "prefix": prefix, "num_blocks": num_blocks, "start_block": range.start, "end_block": range.end,
            "state": state, "ttl": 60,
        });
        let answer = self.python.ask("declare", request).await;
        assert_eq!(answer["stored"], true, "{answer}");
        answer["peer_id"].as_str().unwrap().to_owned()
    }
}
