//! A network inside one thread, for tests in virtual time: calls take time, get lost in bad weather, and do not arrive
//! where a link is cut or a peer is gone.

mod link;
mod neighbour;

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet},
    ops::Range,
    rc::Rc,
    time::Duration,
};

use hivemind_proto::unary::{CallError, OutboundCall};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::network::{Command, Commands, ConnectError, Handle};

pub(crate) use self::{link::Link, neighbour::Neighbour};

/// Commands of one peer that wait to be carried out.
const COMMANDS: usize = 64;

/// How calls fare on their way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Weather {
    /// One way.
    pub(crate) latency: Range<Duration>,
    /// The part of all requests, and of all answers, that does not arrive.
    pub(crate) loss: f64,
}

impl Weather {
    /// 5 ms one way, and nothing gets lost.
    pub(crate) const FAIR: Self =
        Self { latency: Duration::from_millis(5)..Duration::from_millis(5), loss: 0.0 };
}

/// Peers that can call each other. Clones share one network.
#[derive(Clone)]
pub(crate) struct SimulatedNetwork(Rc<RefCell<Peers>>);

struct Peers {
    handles: BTreeMap<PeerId, Handle>,
    commands: BTreeMap<PeerId, Commands>,
    cut: HashSet<PeerId>,
    /// These reach each other only, and nobody else reaches them.
    island: HashSet<PeerId>,
    weather: Weather,
    rng: SmallRng,
    watchers: Vec<Watcher>,
}

/// Sees every call when it leaves, and what it gives back is dropped when the call has ended.
pub(crate) type Watcher = Rc<dyn Fn(PeerId, &OutboundCall) -> Option<Box<dyn std::any::Any>>>;

/// Whether a call would arrive.
enum Way {
    Open(Handle),
    /// Nobody is there: the caller is told at once, as by a closed port.
    Closed,
    /// Nothing comes back.
    Cut,
}

impl Default for SimulatedNetwork {
    fn default() -> Self {
        Self::seeded(0)
    }
}

impl SimulatedNetwork {
    /// A network whose losses and latencies are chosen by `seed`.
    pub(crate) fn seeded(seed: u64) -> Self {
        let (handles, commands, cut, island) = Default::default();
        let (weather, rng) = (Weather::FAIR, SmallRng::seed_from_u64(seed));
        Self(Rc::new(RefCell::new(Peers {
            handles,
            commands,
            cut,
            island,
            weather,
            rng,
            watchers: Vec::new(),
        })))
    }

    /// A new peer's handle.
    pub(crate) fn join(&self, peer: PeerId) -> Handle {
        let (handle, commands) = self.enter(peer);
        actix_rt::spawn(self.clone().carry(peer, commands));
        handle
    }

    /// A new peer's handle, and its other end: nothing that the peer asks for happens until it is carried. A peer that
    /// enters again was restarted: its former handle reaches nobody any more.
    pub(crate) fn enter(&self, peer: PeerId) -> (Handle, Commands) {
        let (handle, commands) = Handle::channel(peer, COMMANDS);
        let mut peers = self.0.borrow_mut();
        peers.handles.insert(peer, handle.clone());
        if let Some(former) = peers.commands.insert(peer, commands.clone()) {
            former.close();
        }
        drop(peers);
        (handle, commands)
    }

    /// `peer` is gone.
    pub(crate) fn leave(&self, peer: PeerId) {
        self.0.borrow_mut().handles.remove(&peer);
    }

    /// Nobody reaches `peer`, and it reaches nobody.
    pub(crate) fn cut(&self, peer: PeerId) {
        self.0.borrow_mut().cut.insert(peer);
    }

    /// Undoes [`Self::cut`].
    pub(crate) fn heal(&self, peer: PeerId) {
        self.0.borrow_mut().cut.remove(&peer);
    }

    /// From now on `island` is a network of its own; an empty one undoes it.
    pub(crate) fn part(&self, island: impl IntoIterator<Item = PeerId>) {
        self.0.borrow_mut().island = island.into_iter().collect();
    }

    /// What the weather is like from now on.
    pub(crate) fn set_weather(&self, weather: Weather) {
        self.0.borrow_mut().weather = weather;
    }

    /// Shows `watcher` every call from now on.
    pub(crate) fn watch(&self, watcher: Watcher) {
        self.0.borrow_mut().watchers.push(watcher);
    }

    /// Carries out what `from` asks for, until it is gone or this is dropped: then its calls are lost.
    async fn carry(self, from: PeerId, commands: Commands) {
        let mut calls = JoinSet::new();
        while let Ok(command) = commands.recv().await {
            while calls.try_join_next().is_some() {}
            match command {
                Command::Call { peer, call } => {
                    calls.spawn_local(self.clone().call(from, peer, call));
                }
                Command::Connect { peer, reply, .. } => {
                    let _ = reply.send(match self.way(from, peer) {
                        Way::Open(_) => Ok(()),
                        Way::Closed => Err(ConnectError::Unreachable("nobody is there".into())),
                        Way::Cut => Err(ConnectError::Unreachable("cut off".into())),
                    });
                }
                Command::Addresses { peers, reply } => {
                    let known = |peer: PeerId| Some((peer, vec![self.address(from, peer)?]));
                    let _ = reply.send(peers.into_iter().filter_map(known).collect());
                }
                Command::Status { .. } | Command::HangUp { .. } => {}
            }
        }
    }

    async fn call(self, from: PeerId, to: PeerId, call: OutboundCall) {
        let watchers = self.0.borrow().watchers.clone();
        let _watched: Vec<_> = watchers.iter().map(|watcher| watcher(from, &call)).collect();
        let deadline = call.deadline;
        let result = timeout(deadline, self.exchange(from, to, &call)).await;
        let _ = call.reply.send(result.unwrap_or(Err(CallError::Deadline)));
    }

    async fn exchange(&self, from: PeerId, to: PeerId, call: &OutboundCall) -> Result<Vec<u8>, CallError> {
        self.travel().await;
        let answer = match self.way(from, to) {
            Way::Open(handle) => handle.registry().deliver(from, &call.handler, call.data.clone()).await,
            Way::Closed => Err(CallError::Unreachable("nobody is there".into())),
            Way::Cut => std::future::pending().await,
        };
        self.travel().await;
        match self.way(from, to) {
            Way::Cut => std::future::pending().await,
            _ => answer,
        }
    }

    /// One way through the weather. What is lost never arrives.
    async fn travel(&self) {
        let (latency, lost) = {
            let Peers { weather, rng, .. } = &mut *self.0.borrow_mut();
            let Range { start, end } = weather.latency;
            (start + (end - start).mul_f64(rng.random()), rng.random::<f64>() < weather.loss)
        };
        match lost {
            true => std::future::pending().await,
            false => sleep(latency).await,
        }
    }

    /// Where `peer` is: whom nobody can dial has no address.
    fn address(&self, from: PeerId, peer: PeerId) -> Option<Multiaddr> {
        let Way::Open(_) = self.way(from, peer) else { return None };
        let index = self.0.borrow().handles.keys().position(|known| *known == peer)?;
        let ip = Protocol::Ip4([198, 18, 0, 1].into());
        Some(Multiaddr::empty().with(ip).with(Protocol::Tcp(1000 + u16::try_from(index).ok()?)))
    }

    fn way(&self, from: PeerId, to: PeerId) -> Way {
        let peers = self.0.borrow();
        let cut = peers.cut.contains(&from) || peers.cut.contains(&to);
        if cut || peers.island.contains(&from) != peers.island.contains(&to) {
            return Way::Cut;
        }
        peers.handles.get(&to).cloned().map_or(Way::Closed, Way::Open)
    }
}
