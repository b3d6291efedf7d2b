//! One look from outside: enter through others, find our records, find our address by our peer id alone, call us.
//!
//! Every step has a bound, and what was seen until then counts. The order is the health monitor's
//! (`health.petals.dev/health.py`, `fetch_health_state`; `p2p_utils.py`, `check_reachability`): records first, then
//! `rpc_info` with an empty uid within 5 s.

use std::time::Duration;

use hivemind_proto::{
    dht::{DhtId, Request, Subkey},
    records::{BlockUid, MODEL_INDEX_KEY, ModelInfo, RecordError, ServerInfo, ServerState},
};
use libp2p::{Multiaddr, PeerId};
use rand::{SeedableRng, rngs::SmallRng};
use tokio::time::{Instant, sleep, timeout};

use super::evidence::{Evidence, Reach, Search, Seen};
use crate::{
    clock::SharedClock,
    network::{self, ConnectError},
    server_info::Offer,
    stranger::{
        calls,
        doors::{self, Entrance},
        search::{Stranger, Wanted},
    },
};

/// How long the search may take: five rounds of calls that all run into their deadline, as in the DHT itself.
const SEARCH_DEADLINE: Duration = Duration::from_secs(15);

/// How long we may take to be found, connected to, and to answer: the health monitor's patience.
const REACH_DEADLINE: Duration = Duration::from_secs(5);

/// How often our own network is asked whether it met the stranger, and the time between: half a second in all.
const LOOKS_AT_HOME: u32 = 10;
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What a stranger needs to look.
#[derive(Clone)]
pub(super) struct Expedition {
    /// Our own network: asked where others are, and where it listens.
    pub(super) home: network::Handle,
    /// The stranger's network.
    pub(super) away: network::Handle,
    pub(super) initial_peers: Vec<(PeerId, Vec<Multiaddr>)>,
    /// Others that we know.
    pub(super) known: Vec<PeerId>,
    /// What to look for; `None` for a bootstrap.
    pub(super) offer: Option<Offer>,
    pub(super) clock: SharedClock,
    pub(super) seed: u64,
}

impl Expedition {
    /// Looks.
    pub(super) async fn run(self) -> Evidence {
        let own = self.home.local_peer_id();
        let mut stranger = Stranger::new(self.away.clone(), self.clock.clone(), own, self.seed);
        let mut rng = SmallRng::seed_from_u64(self.seed);
        let others = doors::others(&self.home, &self.initial_peers, self.known.clone()).await;
        let mut entrance = Entrance::default();
        entrance.knock_at(&mut stranger, &self.away, others, &mut rng).await;
        let through_ourselves = !entrance.is_open() && self.initial_peers.is_empty();
        if through_ourselves {
            let ourselves = doors::ourselves(&self.home).await;
            entrance.knock_at(&mut stranger, &self.away, vec![ourselves], &mut rng).await;
        }
        let clock_offset = entrance.clock_offset();
        stranger.entered(clock_offset, through_ourselves);
        let (mut search, mut reach) = (None, Reach::NotTried);
        if entrance.is_open() {
            if let Some(offer) = &self.offer {
                search = Some(look(&mut stranger, offer, own).await);
            }
            reach = self.reach(own).await;
        }
        // Kademlia makes connections of its own.
        let connected = self.away.status().await.map_or(0, |status| status.connected_peers);
        Evidence {
            doors: entrance.doors,
            through_ourselves,
            clock_offset,
            search,
            reach,
            peers_met: connected.max(stranger.peers_called()),
        }
    }

    /// Connects to us, over what Kademlia finds, and calls what a monitor calls: `rpc_info` of a server, the DHT's ping
    /// of a bootstrap.
    async fn reach(&self, own: PeerId) -> Reach {
        let started = Instant::now();
        match self.away.connect(own, Vec::new(), REACH_DEADLINE).await {
            Ok(()) => {}
            Err(ConnectError::Unreachable(cause)) => return Reach::Unreachable(cause),
            Err(error) => return Reach::Unreachable(error.to_string()),
        }
        if !self.was_met_at_home().await {
            let mut addresses = self.away.addresses(vec![own]).await;
            // Without a connection, there was one for a moment: nothing is known of whose it was.
            if let Some(address) = addresses.remove(&own).and_then(|all| all.into_iter().next()) {
                return Reach::Elsewhere(address.to_string());
            }
        }
        let left = REACH_DEADLINE.saturating_sub(started.elapsed());
        let answered = match self.offer {
            Some(_) => {
                let answer = calls::rpc_info(&self.away, own, left).await;
                answer.and_then(|answer| calls::is_petals(&answer))
            }
            None => {
                let ping = Request::Ping { sender: None, validate: false };
                calls::exchange(&self.away, own, &ping, left).await.map(drop)
            }
        };
        match answered {
            Ok(()) => Reach::Answered(started.elapsed().as_secs_f64()),
            Err(cause) => Reach::Silent(cause),
        }
    }
}

impl Expedition {
    /// Whether our own network has met the stranger. The other end of a connection sees it a little later.
    async fn was_met_at_home(&self) -> bool {
        let stranger = self.away.local_peer_id();
        for _ in 0..LOOKS_AT_HOME {
            if self.home.addresses(vec![stranger]).await.contains_key(&stranger) {
                return true;
            }
            sleep(LOOK_AGAIN).await;
        }
        // A network that does not answer says nothing of whom it met.
        self.home.status().await.is_none()
    }
}

/// Looks all records of `offer` up.
async fn look(stranger: &mut Stranger, offer: &Offer, own: PeerId) -> Search {
    let subkey = Subkey::text(&own.to_base58());
    let block = |uid: BlockUid| Wanted { key: DhtId::of_text(&uid.to_string()), subkey: subkey.clone() };
    let blocks: Vec<Wanted> = offer.blocks().map(block).collect();
    let model = (!offer.prefix.is_private()).then(|| Wanted {
        key: DhtId::of_text(MODEL_INDEX_KEY),
        subkey: Subkey::text(offer.prefix.as_str()),
    });
    let wanted = blocks.iter().chain(&model).cloned().collect();
    let complete = timeout(SEARCH_DEADLINE, stranger.look_for(wanted)).await.unwrap_or(false);
    let state = |bytes: &[u8]| ServerInfo::decode(bytes).map(|server| Some(server.state));
    Search {
        answers: stranger.answers(),
        complete,
        blocks: blocks.iter().map(|wanted| read(stranger, wanted, state)).collect(),
        model: model.map(|wanted| read(stranger, &wanted, |bytes| ModelInfo::decode(bytes).map(|_| None))),
    }
}

/// What was seen of a record, once it has been read as petals would read it.
fn read(
    stranger: &Stranger,
    wanted: &Wanted,
    state_of: impl Fn(&[u8]) -> Result<Option<ServerState>, RecordError>,
) -> Seen {
    match (stranger.seen(wanted), stranger.value(wanted).map(state_of)) {
        (Seen::Found { seconds_to_live, replicas, .. }, Some(Ok(state))) => {
            Seen::Found { state, seconds_to_live, replicas }
        }
        (Seen::Found { .. }, Some(Err(error))) => Seen::Unreadable(error.to_string()),
        (seen, _) => seen,
    }
}
