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
//! ├─ reachability  all know how others reach us; who asks whether a peer can be called is told what a stranger finds
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
    config_keeper::{Live, Seat},
    dht::{self, Dht},
    network,
    observer::{self, Observer},
    pinger::{self, Pinger},
    reachability::{self, Reachability, Told},
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

/// The actors of the branch that live by new settings without a restart.
#[derive(Debug, Clone)]
pub struct Seats {
    /// Of the bootstrap actor.
    pub bootstrap: Seat<Bootstrap, bootstrap::Settings>,
    /// Of the server_info actor.
    pub server_info: Seat<ServerInfoStore, server_info::Settings>,
    /// Of the backend actor, if there is one.
    pub backend: Option<Seat<Backend, backend::Settings>>,
    /// Of the announcer.
    pub announcer: Seat<Announcer, announcer::Settings>,
    /// Of the pinger.
    pub pinger: Seat<Pinger, pinger::Settings>,
    /// Of the observer, if there is one.
    pub observer: Option<Seat<Observer, observer::Habits>>,
}

/// The branch, described, and the seats of those in it that reload. `network` stands above all others, which reach it
/// through `handle`; `patience` tells how an actor is supervised.
pub fn branch(
    settings: Settings,
    network: Child,
    handle: &network::Handle,
    clock: &SharedClock,
    patience: impl Fn(&str) -> ChildSettings,
) -> (Child, Seats) {
    let serves = settings.server_info.offer.is_some();
    let seats = Seats {
        bootstrap: Seat::new(settings.bootstrap),
        server_info: Seat::new(settings.server_info),
        backend: settings.backend.map(Seat::new),
        announcer: Seat::new(settings.announcer),
        pinger: Seat::new(settings.pinger),
        observer: settings.observer.as_ref().map(|observer| Seat::new(observer.habits())),
    };
    let (dht, server_info) = (Slot::new(), seats.server_info.slot.clone());
    let dht_child = {
        let (settings, handle, clock) = (settings.dht, handle.clone(), clock.clone());
        let build = move |birth| Dht::new(settings.clone(), handle.clone(), clock.clone(), birth);
        supervisor::actor("dht", &dht, patience("dht"), build)
    };
    let bootstrap = {
        let (settings, handle, dht) = (seats.bootstrap.settings.clone(), handle.clone(), dht.clone());
        let build = move |birth| Bootstrap::new(current(&settings), handle.clone(), above(&dht), birth);
        supervisor::actor("bootstrap", &seats.bootstrap.slot, patience("bootstrap"), build)
    };
    let server_info_child = {
        let settings = seats.server_info.settings.clone();
        let build = move |birth| ServerInfoStore::new(current(&settings), birth);
        supervisor::actor("server_info", &server_info, patience("server_info"), build)
    };
    let backend = seats.backend.as_ref().map(|seat| {
        let (settings, server_info, clock) = (seat.settings.clone(), server_info.clone(), clock.clone());
        let build = move |birth| Backend::new(current(&settings), above(&server_info), clock.clone(), birth);
        supervisor::actor("backend", &seat.slot, patience("backend"), build)
    });
    let rpc_info = {
        let (settings, handle, server_info) = (settings.rpc_info, handle.clone(), server_info.clone());
        let build =
            move |birth| RpcInfoServer::new(settings.clone(), handle.clone(), above(&server_info), birth);
        supervisor::actor("rpc_info", &Slot::new(), patience("rpc_info"), build)
    };
    let announcer = {
        let (settings, clock) = (seats.announcer.settings.clone(), clock.clone());
        let (dht, server_info) = (dht.clone(), server_info.clone());
        let build = move |birth| {
            Announcer::new(current(&settings), above(&dht), above(&server_info), clock.clone(), birth)
        };
        supervisor::actor("announcer", &seats.announcer.slot, patience("announcer"), build)
    };
    let pinger = {
        let (settings, handle) = (seats.pinger.settings.clone(), handle.clone());
        let (dht, server_info) = (dht.clone(), server_info.clone());
        let build = move |birth| {
            Pinger::new(current(&settings), handle.clone(), above(&dht), above(&server_info), birth)
        };
        supervisor::actor("pinger", &seats.pinger.slot, patience("pinger"), build)
    };
    let reachability = {
        let (settings, handle) = (settings.reachability, handle.clone());
        let (dht, server_info) = (dht.clone(), server_info.clone());
        let build = move |birth| {
            let told = Told { dht: above(&dht).recipient(), server_info: above(&server_info).recipient() };
            Reachability::new(settings.clone(), handle.clone(), Some(told), birth)
        };
        supervisor::actor("reachability", &Slot::new(), patience("reachability"), build)
    };
    let observer = seats.observer.as_ref().zip(settings.observer).map(|(seat, settings)| {
        let (habits, handle, clock) = (seat.settings.clone(), handle.clone(), clock.clone());
        let (dht, server_info) = (dht.clone(), server_info.clone());
        let build = move |birth| {
            let (dht, server_info) = (above(&dht), above(&server_info));
            let settings = settings.clone().with(current(&habits));
            Observer::new(settings, handle.clone(), dht, server_info, clock.clone(), birth)
        };
        supervisor::actor("observer", &seat.slot, patience("observer"), build)
    });
    let mut children = vec![network, dht_child, bootstrap, server_info_child];
    if serves {
        children.extend(backend);
        children.extend([rpc_info, announcer, pinger]);
    }
    children.push(reachability);
    children.extend(observer);
    (supervisor::supervisor("swarm", Strategy::RestForOne, Intensity::default(), children), seats)
}

/// What an incarnation is built from: the settings that hold at its birth.
fn current<S: Clone>(settings: &Live<S>) -> S {
    S::clone(&settings.now())
}

#[expect(
    clippy::expect_used,
    reason = "an actor is built after those above it; if one of them has failed since, this start fails with it"
)]
fn above<A: Actor>(slot: &Slot<A>) -> Addr<A> {
    slot.get().expect("the actor above is running")
}
