//! What other actors hear from the monitor, and say to it.

use std::sync::Arc;

use actix::Message;
use libp2p::PeerId;
use tokio::sync::watch;

use super::state::{Reach, SwarmState};

/// What the last crawl found, whenever there is another; `None` before the first. It outlives a restart of the actor.
pub type SwarmStates = watch::Receiver<Option<Arc<SwarmState>>>;

/// Somebody wants to see the swarm: while it is asked for, it is crawled, and at once if the last word is old.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Look;

/// Whether a stranger can call `rpc_info` of `peer`. Asked again soon, the answer is the same.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<Reach, TooMany>")]
pub struct IsReachable {
    /// Who is tried.
    pub peer: PeerId,
}

/// Why nobody was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many peers are being tried: ask again later")]
pub struct TooMany;
