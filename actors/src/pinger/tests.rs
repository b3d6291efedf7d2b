//! Round trips on a simulated swarm, in virtual time.

use std::time::Duration;

use hivemind_proto::{
    dht::{Record, Subkey, Tag},
    records::{BlockRange, Rps},
};
use tokio::time::sleep;

use super::*;
use crate::{
    clock::SharedClock,
    dht::{
        messages::Store,
        tests::{Member, member, swarm_of, virtual_clock},
    },
    server_info::{self, tests::offer},
    simulated::SimulatedNetwork,
};

const PERIOD: Duration = Duration::from_secs(60);

struct Server {
    me: Member,
    store: Addr<ServerInfoStore>,
    pinger: Addr<Pinger>,
}

fn start(me: Member, offer: Option<Offer>) -> Server {
    let store = ServerInfoStore::new(server_info::Settings::volatile(offer), Birth::detached().0).start();
    let settings = Settings { own_peer: me.peer, period: PERIOD, seed: 1 };
    let (network, dht) = (me.network.clone(), me.dht.clone());
    let pinger = Pinger::new(settings, network, dht, store.clone(), Birth::detached().0).start();
    Server { me, store, pinger }
}

impl Server {
    async fn told(&self) -> Option<std::collections::BTreeMap<PeerId, f64>> {
        let snapshots = self.store.send(Subscribe).await.unwrap();
        snapshots.borrow().as_ref().and_then(|snapshot| snapshot.offer.server.next_pings.clone())
    }
}

/// Lets `peer` announce these blocks through `writer`, for an hour.
async fn announce(
    writer: &Member,
    peer: PeerId,
    blocks: BlockRange,
    state: ServerState,
    clock: &SharedClock,
) {
    let value = ServerInfo::new(state, Rps::ZERO, blocks).encode();
    let record = |index| Record {
        key: DhtId::of_text(&format!("tiny-llama-hf.{index}")),
        tag: Tag::Subkey(Subkey::text(&peer.to_base58())),
        value: value.clone().into(),
        expiration: clock.now() + Duration::from_secs(3600),
    };
    writer.dht.send(Store { records: blocks.iter().map(record).collect() }).await.unwrap().unwrap();
}

#[actix_rt::test]
async fn servers_of_the_following_blocks_are_measured() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 8).await;
    let me = members.pop().unwrap();
    let own = me.peer;
    let range = |start, end| BlockRange::new(start, end).unwrap();
    let online = ServerState::Online;
    // The offer is 0:4 of 8. Of these, one serves our own blocks, two the next one, one none that follows, one has
    // left, and one is not there.
    announce(&members[0], members[0].peer, range(2, 3), online, &clock).await;
    announce(&members[0], members[1].peer, range(4, 8), online, &clock).await;
    announce(&members[0], members[2].peer, range(3, 6), ServerState::Joining, &clock).await;
    announce(&members[0], members[3].peer, range(5, 8), online, &clock).await;
    announce(&members[0], members[4].peer, range(4, 8), ServerState::Offline, &clock).await;
    announce(&members[0], members[5].peer, range(4, 8), online, &clock).await;
    announce(&members[0], own, range(0, 4), online, &clock).await;
    swarm.cut(members[5].peer);
    let server = start(me, Some(offer()));
    sleep(Duration::from_secs(15)).await;
    let told = server.told().await.unwrap();
    let expected: BTreeSet<PeerId> = [0, 1, 2, 5].map(|index: usize| members[index].peer).into();
    assert_eq!(told.keys().copied().collect::<BTreeSet<_>>(), expected);
    for (peer, seconds) in &told {
        match *peer == members[5].peer {
            true => assert_eq!(*seconds, f64::INFINITY),
            false => assert!((seconds - 0.01).abs() < 0.005, "{seconds}"),
        }
    }
    // It comes back, and is as near as the others.
    swarm.heal(members[5].peer);
    sleep(2 * PERIOD).await;
    assert!(server.told().await.unwrap()[&members[5].peer] < 0.02);
    let ProbeReport(status) = server.pinger.send(Probe).await.unwrap();
    assert_eq!((&status["servers"], &status["unreachable"]), (&4.into(), &0.into()));
    assert_eq!(server.me.peer, own);
}

#[actix_rt::test]
async fn of_many_servers_a_few_are_asked() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 4).await;
    let me = members.pop().unwrap();
    for _ in 0..50 {
        let range = BlockRange::new(4, 8).unwrap();
        announce(&members[0], PeerId::random(), range, ServerState::Online, &clock).await;
    }
    let server = start(me, Some(offer()));
    sleep(Duration::from_secs(15)).await;
    assert_eq!(server.told().await.unwrap().len(), ASKED);
    sleep(100 * PERIOD).await;
    assert!(server.told().await.unwrap().len() <= 64);
}

#[actix_rt::test]
async fn the_last_block_of_a_model_and_a_bootstrap_have_nobody_to_ask() {
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let mut members = swarm_of(&swarm, &clock, 3).await;
    let mut last = offer();
    last.server.blocks = BlockRange::new(7, 8).unwrap();
    // One says that it serves a block that the model does not have.
    let beyond = BlockRange::new(7, 9).unwrap();
    announce(&members[0], members[0].peer, beyond, ServerState::Online, &clock).await;
    let server = start(members.pop().unwrap(), Some(last));
    let bootstrap = start(member(&swarm, &clock, 77), None);
    sleep(5 * PERIOD).await;
    assert_eq!(server.told().await, None);
    assert_eq!(bootstrap.told().await, None);
    let ProbeReport(status) = bootstrap.pinger.send(Probe).await.unwrap();
    assert_eq!(status["rounds"], 0);
}

#[actix_rt::test]
async fn another_period_holds_from_the_pause_under_way() {
    use crate::config_keeper::messages::Apply;
    let (clock, swarm) = (virtual_clock(), SimulatedNetwork::default());
    let members = swarm_of(&swarm, &clock, 2).await;
    let server = start(members.into_iter().next().unwrap(), Some(offer()));
    sleep(FIRST_ROUND + Duration::from_secs(1)).await;
    let rounds = async || server.pinger.send(Probe).await.unwrap().0["rounds"].as_u64().unwrap();
    let begun = rounds().await;
    let settings = Settings { own_peer: server.me.peer, period: Duration::from_secs(5), seed: 1 };
    server.pinger.send(Apply(std::sync::Arc::new(settings))).await.unwrap();
    sleep(Duration::from_secs(51)).await;
    assert!((10..=12).contains(&(rounds().await - begun)), "{} rounds", rounds().await - begun);
}
