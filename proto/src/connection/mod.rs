//! From bytes to a peer with streams: noise, yamux, and above them the muxer that serves calls.
//!
//! Sources: the libp2p specifications `noise` and `yamux`, and what p2pd negotiates, `/noise` and `/yamux/1.0.0`.
//!
//! What carries the bytes is behind a pointer: a node has one copy of this, which is on the way of each call, whether
//! its peers come over TCP or through a relay.

mod coalescing;

use std::time::Duration;

use libp2p::{
    PeerId, Transport,
    core::{
        muxing::{StreamMuxer, StreamMuxerBox, SubstreamBox},
        transport::Boxed,
        upgrade::Version,
    },
    identity::Keypair,
    noise, yamux,
};

use crate::unary::{Muxer, Registry, Settings};
use coalescing::Coalescing;

/// Streams of one connection. yamux takes none beyond and tells the remote to go away, which then closes the connection
/// (hashicorp/yamux, `handleGoAway`); one that stays gains nothing. 1024 calls of the peer that are under way, as many
/// of ours, and as many again of which it is not known yet what they are for, or that are being told that we are busy. A p2pd
/// carries all calls of a Python process: the default of 512 is too few for it.
///
/// What a stream may hold unread, 256 KiB, is bounded elsewhere: who takes no answers is not read on (`coalescing`), and
/// what calls hold has a budget.
pub const STREAMS: usize = 3 * 1024;

/// A connection whose peer is known, and which has streams.
pub type Upgraded = (PeerId, StreamMuxerBox);

/// What makes a connection of bytes, and serves what its registry has.
#[derive(Clone)]
pub struct Upgrade {
    noise: noise::Config,
    yamux: yamux::Config,
    settings: Settings,
    registry: Registry,
}

impl Upgrade {
    /// For the node with this key. An error means that the key cannot sign.
    pub fn new(keypair: &Keypair, settings: Settings, registry: Registry) -> Result<Self, noise::Error> {
        let noise = noise::Config::new(keypair)?;
        let mut yamux = yamux::Config::default();
        yamux.set_max_num_streams(STREAMS);
        Ok(Self { noise, yamux, settings, registry })
    }

    /// Upgrades what comes over `transport`. All of it, a dial included, has to be done within `deadline`.
    pub fn over(&self, transport: Boxed<SubstreamBox>, deadline: Duration) -> Boxed<Upgraded> {
        let upgrade = self.clone();
        transport
            .upgrade(Version::V1Lazy)
            .authenticate(self.noise.clone())
            .multiplex(Coalescing(self.yamux.clone()))
            .timeout(deadline)
            .map(move |(peer, muxer), _| upgrade.serve(peer, muxer))
            .boxed()
    }

    /// Serves calls on a connection that has streams already, as one of QUIC does.
    pub fn serve<M>(&self, peer: PeerId, muxer: M) -> Upgraded
    where
        M: StreamMuxer + Unpin + Send + 'static,
        M::Substream: Unpin + Send + 'static,
        M::Error: Send + Sync + 'static,
    {
        (peer, StreamMuxerBox::new(Muxer::new(muxer, peer, self.settings.clone(), self.registry.clone())))
    }
}
