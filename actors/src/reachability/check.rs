//! One check: whether a stranger can call the peer's own `rpc_check`.

use std::time::Duration;

use hivemind_proto::{
    bare_name::HandlerName,
    messages::hivemind::{NodeInfo, PingRequest, PingResponse},
};
use libp2p::{Multiaddr, PeerId};
use prost::Message;
use tokio::time::{Instant, sleep, timeout};

use super::CHECK_HANDLER;
use crate::network;

/// A peer that has just connected tells its addresses within some round trips: this often they are asked for.
const IDENTIFY_PAUSE: Duration = Duration::from_millis(100);

/// The part of the deadline for which they are waited for.
const IDENTIFY_PART: u32 = 3;

/// Whom to check, and how to get there.
#[derive(Debug)]
pub(super) struct Check {
    /// Our own network.
    pub(super) home: network::Handle,
    pub(super) departures: network::Departures,
    pub(super) peer: PeerId,
}

/// Why a peer counts as not reachable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreachable {
    #[error("it tells no address")]
    NoAddress,
    #[error("not connected: {0}")]
    Connect(String),
    #[error("no answer: {0}")]
    Call(String),
    #[error("it says that it is another peer")]
    Another,
    #[error("not checked in time")]
    Deadline,
}

impl Check {
    /// The whole check, within `deadline`.
    pub(super) async fn run(self, deadline: Duration) -> Result<(), Unreachable> {
        timeout(deadline, self.check(deadline)).await.unwrap_or(Err(Unreachable::Deadline))
    }

    async fn check(&self, deadline: Duration) -> Result<(), Unreachable> {
        let Some(addresses) = self.addresses(deadline / IDENTIFY_PART).await? else {
            return self.call(&self.home, deadline).await;
        };
        let failed = |error: &dyn std::fmt::Display| Unreachable::Connect(error.to_string());
        let passage = self.departures.depart().await.map_err(|error| failed(&error))?;
        let connected = passage.network.connect(self.peer, addresses, deadline);
        connected.await.map_err(|error| failed(&error))?;
        self.call(&passage.network, deadline).await
    }

    /// Where the peer says that it is; `None` if it is not connected.
    async fn addresses(&self, patience: Duration) -> Result<Option<Vec<Multiaddr>>, Unreachable> {
        let begun = Instant::now();
        loop {
            match self.home.addresses(vec![self.peer]).await.remove(&self.peer) {
                None => return Ok(None),
                Some(addresses) if !addresses.is_empty() => return Ok(Some(addresses)),
                Some(_) if begun.elapsed() >= patience => return Err(Unreachable::NoAddress),
                Some(_) => sleep(IDENTIFY_PAUSE).await,
            }
        }
    }

    /// Asks the peer about itself, to which there is one answer.
    async fn call(&self, network: &network::Handle, deadline: Duration) -> Result<(), Unreachable> {
        let failed = |error: &dyn std::fmt::Display| Unreachable::Call(error.to_string());
        let handler = HandlerName::new(CHECK_HANDLER).map_err(|error| failed(&error))?;
        let peer = Some(NodeInfo { node_id: self.peer.to_bytes() });
        let request = PingRequest { peer, ..PingRequest::default() }.encode_to_vec();
        let answer = network.call(self.peer, &handler, request, deadline).await;
        let answer = answer.map_err(|error| failed(&error))?;
        let answer = PingResponse::decode(&answer[..]).map_err(|error| failed(&error))?;
        if answer.available { Ok(()) } else { Err(Unreachable::Another) }
    }
}
