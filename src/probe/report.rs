//! What a probe found: a line for each layer, or one JSON object.

use std::fmt;

use libp2p::PeerId;
use serde::{Serialize, Serializer};

use super::records::Announced;
use super::visit::{Layer, ServerAnswer, Step, Visit};

/// What a probe found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    #[serde(serialize_with = "text")]
    peer_id: PeerId,
    /// Where it was connected to.
    address: Option<String>,
    /// The first layer that failed, if one did.
    failed: Option<Layer>,
    agent: Option<String>,
    clock_offset_seconds: Option<f64>,
    layers: Vec<Tried>,
    pub(super) rpc_info: Option<ServerAnswer>,
    pub(super) records: Vec<Announced>,
}

#[derive(Debug, Serialize)]
struct Tried {
    layer: Layer,
    works: bool,
    told: String,
    seconds: f64,
}

impl Report {
    pub(super) fn new(peer_id: PeerId) -> Self {
        Self {
            peer_id,
            address: None,
            failed: None,
            agent: None,
            clock_offset_seconds: None,
            layers: Vec::new(),
            rpc_info: None,
            records: Vec::new(),
        }
    }

    /// Takes over what the visit noted.
    pub(super) fn tell(&mut self, visit: Visit<'_>) {
        self.failed = visit.failure().map(|(layer, _)| layer);
        self.address = visit.address.map(|address| address.to_string());
        self.agent = visit.agent;
        self.clock_offset_seconds = visit.clock_offset;
        self.layers = visit.steps.into_iter().map(Tried::from).collect();
    }

    /// Whether every layer that was tried answered.
    pub(crate) fn is_ok(&self) -> bool {
        self.failed.is_none()
    }
}

impl From<Step> for Tried {
    fn from(Step { layer, outcome, took }: Step) -> Self {
        let works = outcome.is_ok();
        Self { layer, works, told: outcome.unwrap_or_else(|cause| cause), seconds: took.as_secs_f64() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "peer    {}", self.peer_id)?;
        for Tried { layer, works, told, seconds } in &self.layers {
            let mark = if *works { "ok    " } else { "FAILED" };
            writeln!(f, "{mark}  {:<9} {told} ({:.0} ms)", layer.name(), seconds * 1000.0)?;
        }
        Ok(())
    }
}

fn text<S: Serializer>(peer: &PeerId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(peer)
}
