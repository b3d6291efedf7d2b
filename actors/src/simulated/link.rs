//! What stands in for the network actor in a tree over a simulated network.

use actix::{Actor, Context, Handler};
use libp2p::PeerId;
use serde_json::json;
use tokio::task::AbortHandle;

use super::SimulatedNetwork;
use crate::{
    network::Commands,
    supervisor::{Birth, Drain, Probe, ProbeReport},
};

/// As the network actor does, it carries calls while it lives; those under way are lost with it, and those
/// that wait are carried by the one after it.
pub(crate) struct Link {
    network: SimulatedNetwork,
    peer: PeerId,
    /// In a box, since an actor must be movable and this is not.
    commands: Box<Commands>,
    birth: Birth,
    carrier: Option<AbortHandle>,
}

impl Link {
    pub(crate) fn new(network: SimulatedNetwork, peer: PeerId, commands: Commands, birth: Birth) -> Self {
        Self { network, peer, commands: Box::new(commands), birth, carrier: None }
    }
}

impl Actor for Link {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        let carrier = self.network.clone().carry(self.peer, Commands::clone(&self.commands));
        self.carrier = Some(actix_rt::spawn(carrier).abort_handle());
        self.birth.ready.notify();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(carrier) = &self.carrier {
            carrier.abort();
        }
    }
}

impl Handler<Probe> for Link {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        ProbeReport(json!({ "simulated": true }))
    }
}

impl Handler<Drain> for Link {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {}
}
