//! petals' own ReachabilityProtocol asks petald whether its peers can be called.

use serde_json::{Value, json};

use crate::support::{
    peers::peers,
    petald::{Config, Home, Petald},
    python::Python,
    shared,
};

struct Servers {
    python: Python,
    petald: Petald,
    _home: Home,
}

impl Servers {
    async fn new() -> Servers {
        let home = Home::new(&Config::default());
        let petald = home.run().await;
        let python = Python::start(&peers().await.petals, "reachability.py");
        Servers { python, petald, _home: home }
    }

    /// Starts a peer that knows petald, and returns its peer id.
    async fn start(&self, name: &str, options: Value) -> String {
        let mut request = json!({"name": name, "initial_peers": self.petald.addresses});
        request.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        self.python.ask("start", request).await.as_str().unwrap().to_owned()
    }

    /// What petald tells `name` of `peer`.
    async fn ask(&self, name: &str, peer: &str) -> Value {
        let request = json!({"name": name, "peer": self.petald.peer_id, "about": peer});
        self.python.ask("ask", request).await
    }

    async fn check_direct_reachability(&self, listens: bool) -> Value {
        let request = json!({"initial_peers": self.petald.addresses, "listens": listens});
        self.python.ask("check_direct_reachability", request).await
    }
}

#[tokio::test]
async fn petald_tells_who_can_be_called() {
    let _machine = shared().await;
    let servers = Servers::new().await;
    let open = servers.start("open", json!({})).await;
    let closed = servers.start("closed", json!({"listens": false})).await;
    let mute = servers.start("mute", json!({"serves": false})).await;

    assert_eq!(servers.ask("open", &open).await, true, "about itself");
    assert_eq!(servers.ask("closed", &closed).await, false, "only over its own connection");
    assert_eq!(servers.ask("closed", &open).await, true, "about another");
    assert_eq!(servers.ask("open", &closed).await, false, "about another that nobody can dial");
    assert_eq!(servers.ask("open", &mute).await, false, "it can be dialled, and does not answer");
    assert_eq!(servers.ask("mute", &servers.petald.peer_id).await, true, "about petald");
    let nobody = libp2p::PeerId::random().to_base58();
    assert_eq!(servers.ask("mute", &nobody).await, false, "about nobody");
}

#[tokio::test]
async fn petals_learns_from_petald_whether_it_needs_a_relay() {
    let _machine = shared().await;
    let servers = Servers::new().await;
    assert_eq!(servers.check_direct_reachability(true).await, true);
    assert_eq!(servers.check_direct_reachability(false).await, false);
}
