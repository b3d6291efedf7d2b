//! The swarm around the node: two bootstraps and other peers, who come and go.

use hivemind_proto::dht::DhtId;
use libp2p::{PeerId, identity::Keypair};
use rand::{RngExt, rngs::SmallRng};

use crate::{
    clock::SharedClock,
    simulated::{Neighbour, SimulatedNetwork},
};

/// Who joins others.
pub(super) const BOOTSTRAPS: usize = 2;
/// All peers, the bootstraps among them.
pub(super) const PEERS: usize = 8;

pub(super) struct Surroundings {
    network: SimulatedNetwork,
    clock: SharedClock,
    /// `None`: it is away.
    places: Vec<Option<Neighbour>>,
    peers: Vec<PeerId>,
}

/// A peer id that the seed decides.
pub(super) fn peer_id(rng: &mut SmallRng) -> PeerId {
    let mut secret: [u8; 32] = rng.random();
    Keypair::ed25519_from_bytes(&mut secret).unwrap().public().to_peer_id()
}

impl Surroundings {
    pub(super) fn new(network: &SimulatedNetwork, clock: &SharedClock, rng: &mut SmallRng) -> Self {
        let peers = (0..PEERS).map(|_| peer_id(rng)).collect();
        let places = (0..PEERS).map(|_| None).collect();
        let mut this = Self { network: network.clone(), clock: clock.clone(), places, peers };
        this.fill(rng);
        this
    }

    pub(super) fn peer(&self, place: usize) -> PeerId {
        self.peers[place]
    }

    pub(super) fn bootstraps(&self) -> &[PeerId] {
        &self.peers[..BOOTSTRAPS]
    }

    /// It dies, and what it held is lost.
    pub(super) fn kill(&mut self, place: usize) {
        self.places[place] = None;
    }

    /// Whoever is away comes back: with another node id, as hivemind has it. Bootstraps keep their peer ids, the
    /// others may have new ones.
    pub(super) fn fill(&mut self, rng: &mut SmallRng) {
        for place in 0..PEERS {
            if self.places[place].is_none() {
                if place >= BOOTSTRAPS && rng.random() {
                    self.peers[place] = peer_id(rng);
                }
                let id = DhtId::of_bytes(&rng.random::<[u8; 20]>());
                let (peer, initial) = (self.peers[place], self.bootstraps().to_vec());
                let neighbour = Neighbour::start(&self.network, &self.clock, peer, id, initial, false);
                self.places[place] = Some(neighbour);
            }
        }
    }

    /// A stranger, who joins through the bootstraps as any client does.
    pub(super) fn stranger(&self, rng: &mut SmallRng) -> Neighbour {
        let (peer, id) = (peer_id(rng), DhtId::of_bytes(&rng.random::<[u8; 20]>()));
        Neighbour::start(&self.network, &self.clock, peer, id, self.bootstraps().to_vec(), true)
    }
}
