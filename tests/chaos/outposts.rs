//! The hivemind peers around petald, and the reader that looks for it. Drives two `outposts.py`: the reader has a
//! process of its own.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

use super::net::{Net, enter, text};
use crate::support::{peers::peers, python::Python};

/// Every node listens on it, each in its own namespace: an address outlives a restart.
pub(crate) const PORT: u16 = 4001;

/// What the reader saw at one moment.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Look {
    /// When it began, as Unix time.
    pub(crate) at: f64,
    pub(crate) took: f64,
    /// Peers that the reader knew then.
    pub(crate) known: usize,
    /// Records that were not found alive and ONLINE.
    pub(crate) missing: Vec<String>,
    /// Why the reader could not end its look: a fault of its own, that says nothing of the records.
    pub(crate) stuck: Option<String>,
    /// Of what was missing: by whom it was held all the same, and who could not be asked.
    pub(crate) evidence: Option<String>,
    /// When the first of the records that were found expires, as Unix time; 0 if none was.
    pub(crate) stalest: f64,
}

impl Look {
    pub(crate) fn found(&self) -> bool {
        self.missing.is_empty() && self.stuck.is_none()
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Node {
    /// With their `/p2p/` part.
    pub(crate) addresses: Vec<String>,
}

pub(crate) struct Outposts {
    peers: Python,
    reader: Python,
    /// Who lives now.
    pub(crate) alive: BTreeMap<String, Node>,
    identities: TempDir,
}

impl Outposts {
    pub(crate) async fn new() -> Outposts {
        let interpreter = peers().await.hivemind;
        let start = || Python::start(&interpreter, "outposts.py");
        let identities = tempfile::tempdir().unwrap();
        Outposts { peers: start(), reader: start(), alive: BTreeMap::new(), identities }
    }

    fn identity(&self, name: &str) -> PathBuf {
        self.identities.path().join(name)
    }

    /// Starts a node at its port, with the identity that it had before, that joins through all of `others` who live.
    pub(crate) async fn start(&mut self, net: &Net, name: &str) {
        self.start_as(net, name, name).await;
    }

    /// The same with the identity of another node, which has ended: it has moved here.
    pub(crate) async fn start_as(&mut self, net: &Net, name: &str, identity: &str) {
        let others: Vec<&String> = self.alive.values().flat_map(|node| &node.addresses).collect();
        let port = net.port(name);
        let request = json!({
            "name": name, "enter": enter(port), "address": format!("/ip4/{}/tcp/{PORT}", port.address),
            "initial_peers": others, "identity": text(&self.identity(identity)),
        });
        let node = self.peers.ask("start", request).await;
        self.alive.insert(name.to_owned(), serde_json::from_value(node).unwrap());
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self, name: &str) {
        self.alive.remove(name);
        self.peers.ask("kill", json!({"name": name})).await;
    }

    pub(crate) fn addresses(&self, names: &[&str]) -> Vec<String> {
        names.iter().flat_map(|name| self.alive[*name].addresses.clone()).collect()
    }

    /// Starts the reader, a client that knows these.
    pub(crate) async fn start_reader(&self, net: &Net, friends: &[String]) {
        let port = net.port("reader");
        let request = json!({
            "name": "reader", "enter": enter(port), "address": format!("/ip4/{}/tcp/{PORT}", port.address),
            "initial_peers": friends, "identity": null, "client_mode": true,
        });
        self.reader.ask("start", request).await;
        self.befriend(friends).await;
    }

    /// Whom the reader greets again when it has lost them.
    pub(crate) async fn befriend(&self, friends: &[String]) {
        self.reader.ask("rejoin", json!({"name": "reader", "initial_peers": friends})).await;
    }

    pub(crate) async fn watch(&self, prefix: &str, blocks: u32, peer_id: &str, interval: Duration) {
        let request = json!({
            "name": "reader", "prefix": prefix, "blocks": blocks, "peer_id": peer_id,
            "interval": interval.as_secs_f64(),
        });
        self.reader.ask("watch", request).await;
    }

    pub(crate) async fn end_reader(&self) {
        self.reader.ask("kill", json!({"name": "reader"})).await;
    }

    pub(crate) async fn unwatch(&self) {
        self.reader.ask("unwatch", json!({})).await;
    }

    /// The looks that have ended since this was last asked.
    pub(crate) async fn looks(&self) -> Vec<Look> {
        serde_json::from_value(self.reader.ask("looks", json!({})).await).unwrap()
    }
}
