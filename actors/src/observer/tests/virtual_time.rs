//! What the observer says while a simulated swarm loses us, our records, or itself.

use std::{cell::RefCell, rc::Rc};

use actix::Addr;
use futures::FutureExt;
use hivemind_proto::{
    dht::{DhtId, Record, Subkey, Tag},
    records::{ServerInfo, ServerState},
    time::DhtTime,
};
use tokio::time::{sleep, timeout};

use super::super::*;
use crate::{
    clock::TokioClock,
    dht::{
        messages::Store,
        tests::{Member, member, swarm_of, virtual_clock},
    },
    network::{Departures, Passage},
    observer::messages::Through,
    rpc_info::{self, RpcInfoServer},
    server_info::{
        self,
        messages::{Change, Source, Update},
        tests::offer,
    },
    simulated::{SimulatedNetwork, Weather},
};

const INTERVAL: Duration = Duration::from_secs(60);
const TTL: Duration = Duration::from_secs(300);

/// A swarm of others, and a node that is looked at. Its records are stored by the test, not by an announcer.
struct Lab {
    swarm: SimulatedNetwork,
    clock: SharedClock,
    others: Vec<Member>,
    us: Member,
    store: Addr<ServerInfoStore>,
    observer: Addr<Observer>,
    opinion: watch::Receiver<Arc<Opinion>>,
    strangers: Rc<RefCell<Vec<PeerId>>>,
}

/// Makes strangers on a simulated network, and notes who is there.
fn departures(swarm: &SimulatedNetwork, strangers: &Rc<RefCell<Vec<PeerId>>>) -> Departures {
    struct Gone(SimulatedNetwork, PeerId, Rc<RefCell<Vec<PeerId>>>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.leave(self.1);
            self.2.borrow_mut().retain(|stranger| *stranger != self.1);
        }
    }
    let (swarm, strangers) = (swarm.clone(), Rc::clone(strangers));
    Departures::by(move || {
        let peer = PeerId::random();
        let network = swarm.join(peer);
        strangers.borrow_mut().push(peer);
        let guard = Box::new(Gone(swarm.clone(), peer, Rc::clone(&strangers)));
        async { Ok(Passage { network, guard }) }.boxed_local()
    })
}

async fn lab(others: u64, offer: Option<Offer>) -> Lab {
    let clock = virtual_clock();
    lab_with(others, offer, clock.clone(), clock, INTERVAL).await
}

/// The node and its observer may have another clock than the others.
async fn lab_with(
    others: u64,
    offer: Option<Offer>,
    clock: SharedClock,
    our_clock: SharedClock,
    interval: Duration,
) -> Lab {
    let swarm = SimulatedNetwork::default();
    let others = if others > 0 { swarm_of(&swarm, &clock, others).await } else { vec![] };
    let us = member(&swarm, &our_clock, 99);
    if let Some(first) = others.first() {
        crate::dht::tests::join(&us, first).await;
    }
    let birth = || Birth::detached().0;
    let store = ServerInfoStore::new(server_info::Settings::volatile(offer), birth()).start();
    let rpc_info = rpc_info::Settings { dht_client_mode: false };
    RpcInfoServer::new(rpc_info, us.network.clone(), store.clone(), birth()).start();
    let (sender, opinion) = watch::channel(Arc::new(Opinion::none()));
    let strangers = Rc::default();
    let settings = Settings {
        initial_peers: others.iter().take(2).map(|other| (other.peer, vec![])).collect(),
        interval,
        retry: Backoff { first: Duration::from_millis(500), cap: INTERVAL, ..Backoff::default() },
        double_at_start: None,
        departures: departures(&swarm, &strangers),
        pool: tokio::runtime::Handle::current(),
        opinion: sender,
        seed: 1,
    };
    let observer = Observer::new(
        settings,
        us.network.clone(),
        us.dht.clone(),
        store.clone(),
        our_clock.clone(),
        birth(),
    )
    .start();
    Lab { swarm, clock, others, us, store, observer, opinion, strangers }
}

impl Lab {
    /// Stores records of these blocks under our name, at others if there are any.
    async fn announce(&self, state: ServerState, blocks: std::ops::Range<u32>, expiration: DhtTime) {
        let server = ServerInfo { state, ..offer().server };
        let block = |index| Record {
            key: DhtId::of_text(&offer().prefix.block(index).to_string()),
            tag: Tag::Subkey(Subkey::text(&self.us.peer.to_base58())),
            value: server.encode().into(),
            expiration,
        };
        let model = Record {
            key: DhtId::of_text(hivemind_proto::records::MODEL_INDEX_KEY),
            tag: Tag::Subkey(Subkey::text(offer().prefix.as_str())),
            value: offer().model.encode().into(),
            expiration,
        };
        let records = blocks.map(block).chain([model]).collect();
        self.us.dht.send(Store { records }).await.unwrap().unwrap();
    }

    fn in_time(&self) -> DhtTime {
        self.clock.now() + TTL
    }

    /// The first word that is so, which must come within an interval and a look.
    async fn until(&mut self, so: impl Fn(&Opinion) -> bool) -> Arc<Opinion> {
        let coming = self.opinion.wait_for(|opinion| so(opinion));
        let came = timeout(INTERVAL + LOOK_DEADLINE, coming).await.map(|opinion| opinion.unwrap().clone());
        came.unwrap_or_else(|_| panic!("never; now {:#?}", self.opinion.borrow().clone()))
    }

    async fn until_verdict(&mut self, verdict: Verdict, layer: Option<Layer>) -> Arc<Opinion> {
        self.until(|opinion| {
            (opinion.verdict, opinion.layer) == (verdict, layer) && opinion.cause != "not looked yet"
        })
        .await
    }
}

fn online() -> Option<Offer> {
    let mut offer = offer();
    offer.server.state = ServerState::Online;
    Some(offer)
}

#[actix_rt::test]
async fn what_is_announced_is_seen_with_its_replicas_and_its_time_to_live() {
    let mut lab = lab(6, online()).await;
    lab.announce(ServerState::Online, 0..4, lab.in_time()).await;
    let opinion = lab.until_verdict(Verdict::Visible, None).await;
    let look = opinion.look.as_ref().unwrap();
    assert_eq!(
        (look.through, look.listed, look.claimed),
        (Through::Others, Some(true), Some(ServerState::Online))
    );
    assert_eq!(look.blocks.len(), 4);
    for block in &look.blocks {
        assert_eq!((block.found, block.state), (true, Some(ServerState::Online)));
        // Five replicas, of which we may be one.
        assert!((4..=5).contains(&block.replicas), "{block:?}");
        assert!((TTL.as_secs_f64() - 5.0..=TTL.as_secs_f64()).contains(&block.seconds_to_live.unwrap()));
    }
    assert!(look.clock_offset_seconds.unwrap().abs() < 0.01, "{look:?}");
    let report = lab.observer.send(Probe).await.unwrap().0;
    assert_eq!(
        (&report["verdict"], &report["look"]["blocks"][0]["blocks"]),
        (&json!("visible"), &json!("0:4"))
    );
    assert!(report["seconds_to_next_look"].as_f64().unwrap() > 50.0, "{report}");
    // Nothing of the stranger is left.
    assert!(lab.strangers.borrow().is_empty());
}

#[actix_rt::test]
async fn a_bootstrap_is_visible_when_it_is_reached_and_answers() {
    let mut lab = lab(3, None).await;
    let opinion = lab.until_verdict(Verdict::Visible, None).await;
    assert_eq!(opinion.look.as_ref().unwrap().blocks, []);
    lab.swarm.cut(lab.us.peer);
    lab.until_verdict(Verdict::Invisible, Some(Layer::OurAddress)).await;
}

#[actix_rt::test]
async fn what_is_missing_is_named_and_what_comes_back_is_seen_soon() {
    let mut lab = lab(6, online()).await;
    lab.announce(ServerState::Online, 0..2, lab.in_time()).await;
    let opinion = lab.until_verdict(Verdict::PartlyVisible, Some(Layer::Record)).await;
    assert!(opinion.cause.starts_with("blocks 2:4: nobody holds our record"), "{}", opinion.cause);
    let seen: Vec<bool> = opinion.look.as_ref().unwrap().blocks.iter().map(|block| block.found).collect();
    assert_eq!(seen, [true, true, false, false]);
    lab.announce(ServerState::Online, 2..4, lab.in_time()).await;
    let healed = Instant::now();
    lab.until_verdict(Verdict::Visible, None).await;
    assert!(healed.elapsed() < Duration::from_secs(5), "{:?}", healed.elapsed());
    // Nobody renews the records.
    sleep(TTL).await;
    lab.until_verdict(Verdict::Invisible, Some(Layer::Record)).await;
}

#[actix_rt::test]
async fn our_own_copies_do_not_count() {
    let mut lab = lab(3, online()).await;
    // The others are away while it is announced: only we hold it.
    lab.others.iter().for_each(|other| lab.swarm.cut(other.peer));
    lab.announce(ServerState::Online, 0..4, lab.in_time()).await;
    lab.others.iter().for_each(|other| lab.swarm.heal(other.peer));
    let opinion = lab.until_verdict(Verdict::Invisible, Some(Layer::Record)).await;
    assert!(opinion.cause.contains("nobody"), "{}", opinion.cause);
}

#[actix_rt::test]
async fn when_all_others_are_gone_nobody_can_say_and_when_they_are_back_it_is_seen() {
    let mut lab = lab(4, online()).await;
    lab.announce(ServerState::Online, 0..4, lab.in_time()).await;
    lab.until_verdict(Verdict::Visible, None).await;
    lab.others.iter().for_each(|other| lab.swarm.cut(other.peer));
    let opinion = lab.until_verdict(Verdict::Unknown, Some(Layer::Bootstraps)).await;
    assert_eq!(opinion.look.as_ref().unwrap().through, Through::Nobody);
    lab.others.iter().for_each(|other| lab.swarm.heal(other.peer));
    lab.until_verdict(Verdict::Visible, None).await;
}

#[actix_rt::test]
async fn cut_off_alone_we_are_invisible_by_our_address() {
    let mut lab = lab(4, online()).await;
    lab.announce(ServerState::Online, 0..4, lab.in_time()).await;
    lab.swarm.cut(lab.us.peer);
    lab.until_verdict(Verdict::Invisible, Some(Layer::OurAddress)).await;
}

#[actix_rt::test]
async fn a_seed_without_others_is_seen_through_itself() {
    let mut lab = lab(0, online()).await;
    lab.announce(ServerState::Online, 0..4, lab.in_time()).await;
    let opinion = lab.until_verdict(Verdict::Visible, None).await;
    assert_eq!(opinion.look.as_ref().unwrap().through, Through::Ourselves);
    assert!(opinion.cause.contains("through ourselves only"), "{}", opinion.cause);
}

#[actix_rt::test]
async fn joining_is_visible_and_another_state_than_claimed_is_not() {
    let mut lab = lab(6, Some(offer())).await;
    lab.announce(ServerState::Joining, 0..4, lab.in_time()).await;
    let opinion = lab.until_verdict(Verdict::Visible, None).await;
    assert!(opinion.cause.contains("JOINING"), "{}", opinion.cause);
    // The claim changes, and nobody announces it: it is looked at soon, not at the end of the interval.
    let change = Change { state: Some(ServerState::Online), ..Change::default() };
    let changed = Instant::now();
    lab.store.send(Update { source: Source::Backend, change }).await.unwrap().unwrap();
    let opinion = lab.until_verdict(Verdict::PartlyVisible, Some(Layer::Record)).await;
    assert!(opinion.cause.contains("found as JOINING, while we claim ONLINE"), "{}", opinion.cause);
    assert!(changed.elapsed() < 2 * CHANGE_LOOK, "{:?}", changed.elapsed());
}

#[actix_rt::test]
async fn a_clock_that_is_behind_is_told_and_when_records_lapse_because_of_it_it_is_the_layer() {
    let clock = virtual_clock();
    let behind = DhtTime::from_unix(clock.now().as_unix() - 200.0).unwrap();
    let ours: SharedClock = Arc::new(TokioClock::starting_at(behind));
    let mut lab = lab_with(6, online(), clock, ours.clone(), INTERVAL).await;
    lab.announce(ServerState::Online, 0..4, ours.now() + TTL).await;
    let opinion = lab.until_verdict(Verdict::Visible, Some(Layer::Clock)).await;
    assert!(opinion.cause.contains("our clock is 200.0 s behind"), "{}", opinion.cause);
    let left = opinion.look.as_ref().unwrap().blocks[0].seconds_to_live.unwrap();
    assert!((90.0..100.0).contains(&left), "{left} in swarm time");
    sleep(TTL / 3).await;
    lab.until_verdict(Verdict::Invisible, Some(Layer::Clock)).await;
}

#[actix_rt::test]
async fn a_drain_ends_the_look_and_says_so() {
    let mut lab = lab(3, online()).await;
    // Calls leave, and nothing comes back.
    lab.swarm.set_weather(Weather { loss: 1.0, ..Weather::FAIR });
    sleep(FIRST_LOOK + Duration::from_millis(1)).await;
    assert_eq!(lab.strangers.borrow().len(), 1);
    lab.observer.send(Drain).await.unwrap();
    let opinion = lab.until(|opinion| opinion.cause == "the node is stopping").await;
    assert!(!opinion.is_visible());
    sleep(Duration::from_millis(1)).await;
    assert!(lab.strangers.borrow().is_empty());
    sleep(2 * INTERVAL).await;
    assert_eq!(lab.opinion.borrow().cause, "the node is stopping");
}

#[actix_rt::test]
async fn a_large_swarm_is_not_asked_through_and_less_often() {
    let clock = virtual_clock();
    let often = Duration::from_secs(10);
    let mut lab = lab_with(150, online(), clock.clone(), clock, often).await;
    lab.announce(ServerState::Online, 0..4, lab.in_time()).await;
    let opinion = lab.until_verdict(Verdict::Visible, None).await;
    let met = opinion.look.as_ref().unwrap().peers_met;
    assert!((31..100).contains(&met), "{met}");
    let report = lab.observer.send(Probe).await.unwrap().0;
    let pause = report["seconds_to_next_look"].as_f64().unwrap();
    assert!((pause - met as f64).abs() < 1.0, "{pause} s after {met} peers");
}

#[actix_rt::test]
async fn another_interval_holds_from_the_pause_under_way_and_other_doors_from_the_next_look() {
    use crate::config_keeper::messages::Apply;
    let lab = lab(5, Some(offer())).await;
    lab.announce(ServerState::Joining, 0..4, lab.clock.now() + TTL).await;
    sleep(INTERVAL).await;
    let looks = async || lab.observer.send(Probe).await.unwrap().0["looks"].as_u64().unwrap();
    let before = looks().await;
    let door = lab.others[4].peer;
    let habits = Habits { initial_peers: vec![(door, vec![])], interval: Duration::from_secs(5) };
    lab.observer.send(Apply(Arc::new(habits))).await.unwrap();
    sleep(Duration::from_secs(60)).await;
    let more = looks().await - before;
    assert!((11..=14).contains(&more), "{more} looks");
    let report = lab.observer.send(Probe).await.unwrap().0;
    assert!(report["look"].to_string().contains(&door.to_base58()), "{report}");
}
