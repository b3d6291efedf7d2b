//! The branch of the tree that makes up the node: what stands above what. Started from top to bottom, stopped from
//! bottom to top; an actor holds addresses only of actors above it, and is rebuilt when one of those fails.
//!
//! ```text
//! swarm            rest_for_one
//! ├─ network       there is a libp2p swarm with our identity, listening, within its limits
//! ├─ dht           hivemind's DHT is answered, searched and written to
//! ├─ bootstrap     we are joined; initial peers are never forgotten
//! ├─ server_info   one validated account of what we serve, on disk
//! ├─ backend       the announced state follows the model server behind us; only if there is one
//! ├─ rpc_info      whoever asks is told
//! ├─ announcer     every record of ours is at its replicas
//! ├─ pinger        our record tells how long the way to the following blocks is
//! ├─ reachability  who asks whether a peer can be called is told what a stranger finds
//! └─ observer      a stranger's view of us: the only source of "visible"
//! ```
//!
//! Where nothing is offered, in a bootstrap, there are no backend, rpc_info, announcer and pinger.
//!
//! rpc_info stands above the announcer: the health monitor asks as soon as it has seen a record, and remembers a
//! failure for 300 s. The network is given in, so that the same branch runs over a simulated one.

#[cfg(test)]
mod tests;

use actix::{Actor, Addr};

use crate::{
    announcer::{self, Announcer},
    backend::{self, Backend},
    bootstrap::{self, Bootstrap},
    clock::SharedClock,
    dht::{self, Dht},
    network,
    observer::{self, Observer},
    pinger::{self, Pinger},
    reachability::{self, Reachability},
    rpc_info::{self, RpcInfoServer},
    server_info::{self, ServerInfoStore},
    supervisor::{self, Child, ChildSettings, Intensity, Slot, Strategy},
};

/// What the actors of the branch are made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Of the dht actor.
    pub dht: dht::Settings,
    /// Of the bootstrap actor.
    pub bootstrap: bootstrap::Settings,
    /// Of the server_info actor.
    pub server_info: server_info::Settings,
    /// Of the backend actor; `None` if there is no model server to follow.
    pub backend: Option<backend::Settings>,
    /// Of the rpc_info actor.
    pub rpc_info: rpc_info::Settings,
    /// Of the announcer.
    pub announcer: announcer::Settings,
    /// Of the pinger.
    pub pinger: pinger::Settings,
    /// Of the reachability actor.
    pub reachability: reachability::Settings,
    /// Of the observer; `None` where nobody asks whether we are visible.
    pub observer: Option<observer::Settings>,
}

/// The branch, described. `network` stands above all others, which reach it through `handle`; `patience` tells how an
/// actor is supervised.
pub fn branch(
    settings: Settings,
    network: Child,
    handle: &network::Handle,
    clock: &SharedClock,
    patience: impl Fn(&str) -> ChildSettings,
) -> Child {
    let (dht, server_info) = (Slot::new(), Slot::new());
    let serves = settings.server_info.offer.is_some();
    let dht_child = {
        let (settings, handle, clock) = (settings.dht, handle.clone(), clock.clone());
        let build = move |birth| Dht::new(settings.clone(), handle.clone(), clock.clone(), birth);
        supervisor::actor("dht", &dht, patience("dht"), build)
    };
    let bootstrap = {
        let (settings, handle, dht) = (settings.bootstrap, handle.clone(), dht.clone());
        let build = move |birth| Bootstrap::new(settings.clone(), handle.clone(), above(&dht), birth);
        supervisor::actor("bootstrap", &Slot::new(), patience("bootstrap"), build)
    };
    let server_info_child = {
        let settings = settings.server_info;
        let build = move |birth| ServerInfoStore::new(settings.clone(), birth);
        supervisor::actor("server_info", &server_info, patience("server_info"), build)
    };
    let backend = settings.backend.map(|settings| {
        let (server_info, clock) = (server_info.clone(), clock.clone());
        let build = move |birth| Backend::new(settings.clone(), above(&server_info), clock.clone(), birth);
        supervisor::actor("backend", &Slot::new(), patience("backend"), build)
    });
    let rpc_info = {
        let (settings, handle, server_info) = (settings.rpc_info, handle.clone(), server_info.clone());
        let build =
            move |birth| RpcInfoServer::new(settings.clone(), handle.clone(), above(&server_info), birth);
        supervisor::actor("rpc_info", &Slot::new(), patience("rpc_info"), build)
    };
    let announcer = {
        let (settings, clock) = (settings.announcer, clock.clone());
        let (dht, server_info) = (dht.clone(), server_info.clone());
        let (dht, server_info) = (dht.clone(), server_info.clone());
        let build = move |birth| {
            Announcer::new(settings.clone(), above(&dht), above(&server_info), clock.clone(), birth)
        };
        supervisor::actor("announcer", &Slot::new(), patience("announcer"), build)
    };
    let pinger = {
        let (settings, handle) = (settings.pinger, handle.clone());
        let (dht, server_info) = (dht.clone(), server_info.clone());
        let build = move |birth| {
            Pinger::new(settings.clone(), handle.clone(), above(&dht), above(&server_info), birth)
        };
        supervisor::actor("pinger", &Slot::new(), patience("pinger"), build)
    };
    let reachability = {
        let (settings, handle) = (settings.reachability, handle.clone());
        let build = move |birth| Reachability::new(settings.clone(), handle.clone(), birth);
        supervisor::actor("reachability", &Slot::new(), patience("reachability"), build)
    };
    let observer = settings.observer.map(|settings| {
        let (handle, clock) = (handle.clone(), clock.clone());
        let build = move |birth| {
            let (dht, server_info) = (above(&dht), above(&server_info));
            Observer::new(settings.clone(), handle.clone(), dht, server_info, clock.clone(), birth)
        };
        supervisor::actor("observer", &Slot::new(), patience("observer"), build)
    });
    let mut children = vec![network, dht_child, bootstrap, server_info_child];
    if serves {
        children.extend(backend);
        children.extend([rpc_info, announcer, pinger]);
    }
    children.push(reachability);
    children.extend(observer);
    supervisor::supervisor("swarm", Strategy::RestForOne, Intensity::default(), children)
}

#[expect(
    clippy::expect_used,
    reason = "an actor is built after those above it; if one of them has failed since, this start fails with it"
)]
fn above<A: Actor>(slot: &Slot<A>) -> Addr<A> {
    slot.get().expect("the actor above is running")
}
