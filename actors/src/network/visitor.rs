//! A network without an actor, for somebody who comes under another identity, looks, and leaves.
//!
//! Dropping it ends the swarm's task; the tasks of its connections end because the swarm is gone, and close them.

use libp2p::PeerId;
use tokio::{sync::watch, task::AbortHandle};

use super::{
    Handle, NetworkError, Settings,
    driver::{Driver, Pulse},
};

/// Commands that wait for the driver. A visitor has few calls under way at once.
const COMMANDS: usize = 256;

/// A swarm of its own, for as long as the value lives.
#[derive(Debug)]
pub struct Visitor {
    handle: Handle,
    driver: AbortHandle,
}

impl Visitor {
    /// Starts a swarm under the identity of `settings`. Without listen addresses nobody can dial it, and it is in
    /// nobody's Kademlia table.
    pub async fn start(settings: Settings) -> Result<Self, NetworkError> {
        let peer: PeerId = settings.keypair.public().to_peer_id();
        let (handle, commands) = Handle::channel(peer, COMMANDS);
        let (pulse, _) = watch::channel(Pulse::default());
        let pool = settings.pool.clone();
        let driver = Driver::start(settings, handle.clone(), pulse).await?;
        // It ends by itself only when a listener fails; whoever calls then is told that the network is gone.
        let driver = pool.spawn(driver.run(commands)).abort_handle();
        Ok(Self { handle, driver })
    }

    /// How the swarm is used.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
