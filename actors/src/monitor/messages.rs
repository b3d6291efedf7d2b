//! What other actors hear from the monitor, and say to it.

use std::sync::Arc;

use actix::Message;
use libp2p::PeerId;
use tokio::sync::watch;

use super::state::{Reach, SwarmState};

/// What the last crawl found, whenever there is another; `None` before the first. It outlives a restart of the actor.
pub type SwarmStates = watch::Receiver<Option<Arc<SwarmState>>>;

/// Somebody wants to see the swarm: for a while from now on it is crawled, and at once if the last word is old. The answer
/// is whether it is so old that a newer one is worth waiting for.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "bool")]
pub struct Look;

/// Whether a stranger who comes through others can connect to a peer. Asked again soon, the answer is the same.
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
