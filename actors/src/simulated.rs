//! A network inside one thread, for tests in virtual time: calls arrive after a latency, links and peers can be cut.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashSet},
    rc::Rc,
    time::Duration,
};

use hivemind_proto::unary::{CallError, OutboundCall};
use libp2p::PeerId;
use tokio::time::{sleep, timeout};

use crate::network::{Command, Commands, ConnectError, Handle};

/// One way.
const LATENCY: Duration = Duration::from_millis(5);

/// Commands of one peer that wait to be carried out.
const COMMANDS: usize = 1024;

/// Peers that can call each other.
#[derive(Clone, Default)]
pub(crate) struct SimulatedNetwork(Rc<RefCell<Peers>>);

#[derive(Default)]
struct Peers {
    handles: BTreeMap<PeerId, Handle>,
    cut: HashSet<PeerId>,
}

impl SimulatedNetwork {
    /// A new peer's handle.
    pub(crate) fn join(&self, peer: PeerId) -> Handle {
        let (handle, commands) = Handle::channel(peer, COMMANDS);
        self.0.borrow_mut().handles.insert(peer, handle.clone());
        actix_rt::spawn(self.clone().carry(peer, commands));
        handle
    }

    /// Nobody reaches `peer`, and it reaches nobody.
    pub(crate) fn cut(&self, peer: PeerId) {
        self.0.borrow_mut().cut.insert(peer);
    }

    /// Undoes [`Self::cut`].
    pub(crate) fn heal(&self, peer: PeerId) {
        self.0.borrow_mut().cut.remove(&peer);
    }

    async fn carry(self, from: PeerId, commands: Commands) {
        while let Ok(command) = commands.recv().await {
            match command {
                Command::Call { peer, call } => drop(actix_rt::spawn(self.clone().call(from, peer, call))),
                Command::Connect { peer, reply, .. } => {
                    let _ = reply.send(match self.reach(from, peer) {
                        Some(_) => Ok(()),
                        None => Err(ConnectError::Unreachable("cut off".into())),
                    });
                }
                Command::Status { .. } => {}
            }
        }
    }

    async fn call(self, from: PeerId, to: PeerId, call: OutboundCall) {
        sleep(LATENCY).await;
        let result = match self.reach(from, to) {
            None => {
                sleep(call.deadline.saturating_sub(LATENCY)).await;
                Err(CallError::Deadline)
            }
            Some(handle) => {
                let answer = handle.registry().deliver(from, &call.handler, call.data);
                timeout(call.deadline, answer).await.unwrap_or(Err(CallError::Deadline))
            }
        };
        sleep(LATENCY).await;
        let _ = call.reply.send(result);
    }

    fn reach(&self, from: PeerId, to: PeerId) -> Option<Handle> {
        let peers = self.0.borrow();
        let cut = peers.cut.contains(&from) || peers.cut.contains(&to);
        peers.handles.get(&to).filter(|_| !cut).cloned()
    }
}
