//! What callers are told, on a simulated network in virtual time.

use actix::Addr;
use futures::FutureExt;
use hivemind_proto::{messages::hivemind::NodeInfo, records::ServerState, unary::CallError};

use super::*;
use crate::{
    network::Passage,
    server_info::{self, ServerInfoStore, messages::Subscribe},
    simulated::{SimulatedNetwork, Weather},
};

struct Node {
    peer: PeerId,
    network: network::Handle,
    actor: Addr<Reachability>,
}

/// Strangers of whom nobody is left when the check is over.
fn departures(swarm: &SimulatedNetwork) -> network::Departures {
    struct Gone(SimulatedNetwork, PeerId);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.leave(self.1);
        }
    }
    let swarm = swarm.clone();
    network::Departures::by(move || {
        let peer = PeerId::random();
        let (network, guard) = (swarm.join(peer), Box::new(Gone(swarm.clone(), peer)));
        async { Ok(Passage { network, guard }) }.boxed_local()
    })
}

fn node(swarm: &SimulatedNetwork) -> Node {
    let peer = PeerId::random();
    let network = swarm.join(peer);
    let settings = Settings { departures: departures(swarm) };
    let actor = Reachability::new(settings, network.clone(), None, Birth::detached().0).start();
    Node { peer, network, actor }
}

/// Hears as what the node takes part in the DHT.
#[derive(Default)]
struct Listener(Vec<bool>);

impl Actor for Listener {
    type Context = Context<Self>;
}

impl Handler<TakePart> for Listener {
    type Result = ();

    fn handle(&mut self, TakePart { as_client }: TakePart, _: &mut Self::Context) {
        self.0.push(as_client);
    }
}

#[derive(actix::Message)]
#[rtype(result = "Vec<bool>")]
struct Heard;

impl Handler<Heard> for Listener {
    type Result = actix::MessageResult<Heard>;

    fn handle(&mut self, _: Heard, _: &mut Self::Context) -> Self::Result {
        actix::MessageResult(self.0.clone())
    }
}

#[actix_rt::test]
async fn our_record_and_our_part_in_the_dht_follow_how_others_reach_us() {
    let swarm = virtual_swarm();
    let network = swarm.join(PeerId::random());
    let mut offer = server_info::tests::offer();
    offer.server.state = ServerState::Online;
    let store =
        ServerInfoStore::new(server_info::Settings::volatile(Some(offer)), Birth::detached().0).start();
    let dht = Listener::default().start();
    let told = Told { dht: dht.clone().recipient(), server_info: store.clone().recipient() };
    let settings = Settings { departures: departures(&swarm) };
    let actor = Reachability::new(settings, network.clone(), Some(told), Birth::detached().0).start();
    let record = async || {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let snapshots = store.send(Subscribe).await.unwrap();
        let server = snapshots.borrow().as_ref().unwrap().offer.server.clone();
        (server.state, server.using_relay)
    };
    let own: libp2p::Multiaddr = "/ip4/11.0.0.1/tcp/1".parse().unwrap();
    let circuit: libp2p::Multiaddr = format!("{own}/p2p/{}/p2p-circuit", PeerId::random()).parse().unwrap();
    // Nobody has found out anything: what the config says stands.
    assert_eq!(record().await, (ServerState::Online, None));
    network.reached(Reach::default());
    assert_eq!(record().await, (ServerState::Joining, Some(false)));
    network.reached(Reach { verdict: Verdict::Private, direct: vec![], relayed: vec![circuit.clone()] });
    assert_eq!(record().await, (ServerState::Online, Some(true)));
    let ProbeReport(status) = actor.send(Probe).await.unwrap();
    assert_eq!((&status["dialable"], &status["using_relay"]), (&true.into(), &true.into()));
    assert_eq!(status["relayed"][0], circuit.to_string());
    let direct = Reach { verdict: Verdict::Public, direct: vec![own], relayed: vec![] };
    network.reached(direct.clone());
    assert_eq!(record().await, (ServerState::Online, Some(false)));
    network.reached(direct);
    record().await;
    assert_eq!(dht.send(Heard).await.unwrap(), [true, true, false], "once for each change");
}

fn about(peer: PeerId) -> Vec<u8> {
    let peer = Some(NodeInfo { node_id: peer.to_bytes() });
    PingRequest { peer, ..PingRequest::default() }.encode_to_vec()
}

impl Node {
    async fn ask(&self, of: &Node, data: Vec<u8>) -> Result<bool, CallError> {
        let handler = HandlerName::new(CHECK_HANDLER).unwrap();
        let answer = self.network.call(of.peer, &handler, data, CHECK_DEADLINE * 2).await?;
        let answer = PingResponse::decode(&answer[..]).unwrap();
        assert_eq!((&answer.peer, answer.dht_time), (&None, 0.0));
        Ok(answer.available)
    }

    async fn count(&self, counter: &str) -> u64 {
        let ProbeReport(status) = self.actor.send(Probe).await.unwrap();
        status[counter].as_u64().unwrap()
    }
}

fn virtual_swarm() -> SimulatedNetwork {
    tokio::time::pause();
    SimulatedNetwork::default()
}

#[actix_rt::test]
async fn about_ourselves_the_answer_is_yes() {
    let swarm = virtual_swarm();
    let (us, other) = (node(&swarm), node(&swarm));
    // More often than any check is made.
    for _ in 0..50 {
        assert_eq!(other.ask(&us, about(us.peer)).await, Ok(true));
    }
    assert_eq!(us.count("about_ourselves").await, 50);
}

#[actix_rt::test]
async fn a_caller_is_called_by_a_stranger() {
    let swarm = virtual_swarm();
    let (us, caller) = (node(&swarm), node(&swarm));
    let callers = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let noted = callers.clone();
    swarm.watch(std::rc::Rc::new(move |from, _| {
        noted.borrow_mut().push(from);
        None
    }));
    assert_eq!(caller.ask(&us, about(caller.peer)).await, Ok(true));
    let [first, second] = callers.borrow()[..] else { panic!("{callers:?}") };
    assert_eq!(first, caller.peer);
    assert!(second != us.peer && second != caller.peer, "a fresh identity asks the caller back");
    assert_eq!(us.count("reachable").await, 1);
}

#[actix_rt::test]
async fn who_does_not_answer_is_not_reachable() {
    let swarm = virtual_swarm();
    let (us, caller, silent) = (node(&swarm), node(&swarm), node(&swarm));
    // Gone: its port is closed. Without the service: it can be dialled, and has no rpc_check.
    let (gone, bare) = (PeerId::random(), PeerId::random());
    swarm.join(bare);
    for peer in [gone, bare] {
        assert_eq!(caller.ask(&us, about(peer)).await, Ok(false));
    }
    swarm.cut(silent.peer);
    let begun = Instant::now();
    assert_eq!(caller.ask(&us, about(silent.peer)).await, Ok(false));
    let taken = begun.elapsed();
    assert!(taken >= CHECK_DEADLINE && taken < CHECK_DEADLINE + Duration::from_secs(1), "{taken:?}");
    assert_eq!(us.count("unreachable").await, 3);
}

#[actix_rt::test]
async fn what_is_no_question_is_an_error() {
    let swarm = virtual_swarm();
    let (us, caller) = (node(&swarm), node(&swarm));
    let node_id = PingRequest {
        peer: Some(NodeInfo { node_id: vec![7; 20] }), // of the DHT
        ..PingRequest::default()
    };
    for data in [vec![], vec![0xff], node_id.encode_to_vec()] {
        let refused = caller.ask(&us, data).await;
        assert!(matches!(refused, Err(CallError::Handler(_))), "{refused:?}");
    }
    assert_eq!(us.count("malformed").await, 3);
}

#[actix_rt::test]
async fn one_caller_gets_a_few_checks() {
    let swarm = virtual_swarm();
    let (us, caller, other) = (node(&swarm), node(&swarm), node(&swarm));
    let busy = Err(CallError::Handler(ReachabilityError::Busy.to_string()));
    for _ in 0..CHECKS_A_CALLER.burst as usize {
        assert_eq!(caller.ask(&us, about(other.peer)).await, Ok(true));
    }
    assert_eq!(caller.ask(&us, about(other.peer)).await, busy);
    assert_eq!(other.ask(&us, about(other.peer)).await, Ok(true), "others are not affected");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(caller.ask(&us, about(other.peer)).await, Ok(true));
    assert_eq!(us.count("refused").await, 1);
}

#[actix_rt::test]
async fn checks_at_once_are_bounded_and_a_caller_that_left_frees_its_place() {
    let swarm = virtual_swarm();
    let (us, silent) = (node(&swarm), node(&swarm));
    swarm.cut(silent.peer);
    assert_eq!(us.count("refused").await, 0, "it serves by now");
    let handler = HandlerName::new(CHECK_HANDLER).unwrap();
    let ask = || us.network.registry().deliver(PeerId::random(), &handler, about(silent.peer));
    let mut asked: Vec<_> = (0..CHECKS_AT_ONCE + 4).map(|_| Box::pin(ask())).collect();
    let busy = Err(CallError::Handler(ReachabilityError::Busy.to_string()));
    for refused in asked.split_off(CHECKS_AT_ONCE) {
        assert_eq!(refused.await, busy);
    }
    assert_eq!(us.count("checks_under_way").await, CHECKS_AT_ONCE as u64);
    drop(asked);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!((us.count("checks_under_way").await, us.count("unreachable").await), (0, 0));
}

/// Whether or not it rains, nobody waits longer than a caller of petals would.
#[actix_rt::test]
async fn bad_weather_is_no() {
    let swarm = virtual_swarm();
    let (us, caller) = (node(&swarm), node(&swarm));
    swarm.set_weather(Weather { latency: Duration::from_secs(2)..Duration::from_secs(2), loss: 0.0 });
    let begun = Instant::now();
    // 2 s to us, and 2 s each way to the third party, which is 4 of the 5 that it has.
    assert_eq!(caller.ask(&us, about(caller.peer)).await, Ok(true));
    assert!(begun.elapsed() < CHECK_DEADLINE * 2);
    swarm.set_weather(Weather { latency: Duration::from_secs(3)..Duration::from_secs(3), loss: 0.0 });
    assert_eq!(us.count("reachable").await, 1);
    assert!(caller.ask(&us, about(caller.peer)).await.is_err(), "3 s to us, 5 s, and 3 s back are too long");
    assert_eq!(us.count("unreachable").await, 1);
}
