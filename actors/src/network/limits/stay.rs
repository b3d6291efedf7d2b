//! Whether a connection is kept although nothing goes over it. A behaviour cannot say so: the swarm asks handlers.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use libp2p::{
    core::upgrade::DeniedUpgrade,
    swarm::{ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol, handler::ConnectionEvent},
};

/// Shared by the handler of a connection, which does nothing else, and by whoever judges it. Until then: no.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Stay(Arc<AtomicBool>);

impl Stay {
    pub(super) fn set(&self, stays: bool) {
        self.0.store(stays, Relaxed);
    }

    #[cfg(test)]
    pub(super) fn get(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl ConnectionHandler for Stay {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = DeniedUpgrade;
    type OutboundProtocol = DeniedUpgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<DeniedUpgrade> {
        SubstreamProtocol::new(DeniedUpgrade, ())
    }

    fn connection_keep_alive(&self) -> bool {
        self.0.load(Relaxed)
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<DeniedUpgrade, (), Infallible>> {
        Poll::Pending
    }

    fn on_connection_event(&mut self, _: ConnectionEvent<'_, DeniedUpgrade, DeniedUpgrade>) {}
}
