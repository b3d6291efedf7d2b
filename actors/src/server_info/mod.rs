//! The server_info actor keeps this true: there is one validated, versioned account of what we serve.
//!
//! Whoever wants to change it sends [`messages::Update`]; whoever depends on it subscribes. A restart goes back to
//! what the config says.

pub mod messages;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use actix::{Actor, Context, Handler, MessageResult};
use hivemind_proto::records::{BlockUid, DhtPrefix, ModelInfo, ServerInfo};
use serde_json::json;
use tokio::sync::watch;

use self::messages::{Change, Subscribe, Update, UpdateError};
use crate::supervisor::{Birth, Drain, Probe, ProbeReport};

/// What the actor is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is served; `None` for a bootstrap, which announces nothing.
    pub offer: Option<Offer>,
}

/// A span of a model's blocks, offered by one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Whose blocks.
    pub prefix: DhtPrefix,
    /// The whole model.
    pub model: ModelInfo,
    /// The server: its span lies within the model.
    pub server: ServerInfo,
}

impl Offer {
    /// The uid of every block that is offered.
    pub fn blocks(&self) -> impl Iterator<Item = BlockUid> {
        self.server.blocks.iter().map(|index| self.prefix.block(index))
    }
}

/// The offer as it stood at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Counts the changes, from 1.
    pub version: u64,
    /// What is offered.
    pub offer: Offer,
}

/// The latest snapshot, whenever it changes; `None` for a bootstrap.
pub type Snapshots = watch::Receiver<Option<Arc<Snapshot>>>;

/// The actor.
pub struct ServerInfoStore {
    birth: Birth,
    current: watch::Sender<Option<Arc<Snapshot>>>,
}

impl ServerInfoStore {
    /// An actor that begins with what the settings say.
    pub fn new(settings: Settings, birth: Birth) -> Self {
        let first = settings.offer.map(|offer| Arc::new(Snapshot { version: 1, offer }));
        Self { birth, current: watch::Sender::new(first) }
    }

    fn apply(&mut self, change: Change) -> Result<u64, UpdateError> {
        let current = self.current.borrow().clone().ok_or(UpdateError::NothingOffered)?;
        let mut offer = current.offer.clone();
        change.apply(&mut offer.server);
        if offer == current.offer {
            return Ok(current.version);
        }
        if offer.server.state != current.offer.server.state {
            let (from, to) = (current.offer.server.state, offer.server.state);
            tracing::info!(?from, ?to, "server state changed");
        }
        let version = current.version + 1;
        self.current.send_replace(Some(Arc::new(Snapshot { version, offer })));
        Ok(version)
    }
}

impl Actor for ServerInfoStore {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.birth.ready.notify();
    }
}

impl Handler<Update> for ServerInfoStore {
    type Result = Result<u64, UpdateError>;

    fn handle(&mut self, Update(change): Update, _: &mut Self::Context) -> Self::Result {
        self.apply(change)
    }
}

impl Handler<Subscribe> for ServerInfoStore {
    type Result = MessageResult<Subscribe>;

    fn handle(&mut self, _: Subscribe, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.current.subscribe())
    }
}

impl Handler<Probe> for ServerInfoStore {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        let Some(snapshot) = self.current.borrow().clone() else {
            return ProbeReport(json!({ "offered": false }));
        };
        let Offer { prefix, model, server } = &snapshot.offer;
        ProbeReport(json!({
            "offered": true,
            "version": snapshot.version,
            "dht_prefix": prefix.as_str(),
            "num_blocks": model.num_blocks(),
            "repository": model.repository(),
            "blocks": server.blocks.to_string(),
            "state": server.state,
            "throughput": server.throughput,
            "public_name": server.public_name,
            "software": server.version,
            "torch_dtype": server.torch_dtype,
            "quant_type": server.quant_type,
            "adapters": server.adapters,
            "cache_tokens_left": server.cache_tokens_left,
            "network_rps": server.network_rps,
            "forward_rps": server.forward_rps,
            "inference_rps": server.inference_rps,
        }))
    }
}

impl Handler<Drain> for ServerInfoStore {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {}
}
