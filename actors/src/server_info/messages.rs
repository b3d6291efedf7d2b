//! What other actors ask of the server_info actor.

use actix::Message;
use hivemind_proto::records::{Rps, ServerInfo, ServerState};

use super::Snapshots;

/// Changes what is offered. The answer is the version that holds the change.
#[derive(Debug, Message)]
#[rtype(result = "Result<u64, UpdateError>")]
pub struct Update(pub Change);

/// What is to change; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// How far the server is.
    pub state: Option<ServerState>,
    /// Requests per second, all in all.
    pub throughput: Option<Rps>,
    /// Requests per second that the network would carry.
    pub network_rps: Option<Rps>,
    /// Tokens per second in a forward pass.
    pub forward_rps: Option<Rps>,
    /// Tokens per second in inference.
    pub inference_rps: Option<Rps>,
    /// Free places in the attention cache.
    pub cache_tokens_left: Option<u64>,
    /// Whether others reach us through a relay.
    pub using_relay: Option<bool>,
}

impl Change {
    pub(super) fn apply(self, server: &mut ServerInfo) {
        server.state = self.state.unwrap_or(server.state);
        server.throughput = self.throughput.unwrap_or(server.throughput);
        server.network_rps = self.network_rps.or(server.network_rps);
        server.forward_rps = self.forward_rps.or(server.forward_rps);
        server.inference_rps = self.inference_rps.or(server.inference_rps);
        server.cache_tokens_left = self.cache_tokens_left.or(server.cache_tokens_left);
        server.using_relay = self.using_relay.or(server.using_relay);
    }
}

/// Why nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// This node is a bootstrap.
    #[error("this node offers no blocks: its config has no [server]")]
    NothingOffered,
}

/// Asks for the offer, now and whenever it changes.
#[derive(Debug, Message)]
#[rtype(result = "Snapshots")]
pub struct Subscribe;
