//! Who begins on a TCP connection that both sides have dialled.
//!
//! DCUtR lets both peers dial at the same moment, so that each opens its NAT for the other, and what comes of it is one
//! connection without a listener. Peers do not agree on who plays one: rust-libp2p does so on the side that asked for the
//! attempt, go-libp2p 0.32 (p2pd) on the other one (seen on the wire: both wait for the other's proposal). An attempt is
//! made up to three times, so the side that asked takes the roles in turn, first the one that suits p2pd.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, Transport,
    core::{
        Endpoint,
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    },
    multiaddr::Protocol,
};

/// Addresses whose last role is remembered: attempts under way at once are fewer.
const REMEMBERED: usize = 64;

/// A transport that takes both roles in turn where both sides dial.
pub(super) struct InTurn<T> {
    transport: T,
    turns: Turns,
}

/// The addresses whose next attempt is the listener's.
#[derive(Debug, Default)]
struct Turns(VecDeque<Multiaddr>);

impl Turns {
    fn next(&mut self, address: &Multiaddr) -> Endpoint {
        if let Some(place) = self.0.iter().position(|known| known == address) {
            self.0.remove(place);
            return Endpoint::Listener;
        }
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(address.clone());
        Endpoint::Dialer
    }
}

impl<T> InTurn<T> {
    pub(super) fn new(transport: T) -> Self {
        Self { transport, turns: Turns::default() }
    }
}

impl<T: Transport + Unpin> Transport for InTurn<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<T::Error>> {
        self.transport.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.transport.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<T::Dial, TransportError<T::Error>> {
        let over_tcp = address.iter().any(|part| matches!(part, Protocol::Tcp(_)));
        let role = match options.role {
            Endpoint::Listener if over_tcp => self.turns.next(&address),
            role => role,
        };
        self.transport.dial(address, DialOpts { role, ..options })
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<T::ListenerUpgrade, T::Error>> {
        Pin::new(&mut self.transport).poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_turns_and_few_are_remembered() {
        let address = |port: usize| format!("/ip4/11.0.0.1/tcp/{port}").parse::<Multiaddr>().unwrap();
        let mut turns = Turns::default();
        let roles: Vec<_> = [1, 2, 1, 2, 1].map(|port| turns.next(&address(port))).into();
        assert_eq!(
            roles,
            [Endpoint::Dialer, Endpoint::Dialer, Endpoint::Listener, Endpoint::Listener, Endpoint::Dialer]
        );
        for port in 2..2 + 2 * REMEMBERED {
            turns.next(&address(port));
        }
        assert_eq!(turns.0.len(), REMEMBERED);
    }
}
