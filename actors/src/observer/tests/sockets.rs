//! Strangers over real sockets: what they see among three nodes, and that nothing of them stays.

use hivemind_proto::dht::{self, DhtId, Record, Subkey, Tag};
use tokio::time::{sleep, timeout};

use super::super::*;
use crate::{
    clock::SystemClock,
    dht::{
        Dht,
        messages::{Lookup, Membership, Ping, Store},
    },
    network::{Departures, Visitor, tests::settings},
    observer::messages::Through,
    rpc_info::{self, RpcInfoServer},
    server_info::{self, tests::offer},
};

/// Long enough for whatever must come, on a machine under load.
const PATIENCE: Duration = Duration::from_secs(30);

/// Looks among which a leak would show.
const LOOKS: u64 = 20;

struct Node {
    visitor: Visitor,
    dht: Addr<Dht>,
}

fn clock() -> SharedClock {
    Arc::new(SystemClock)
}

impl Node {
    async fn start(settings: network::Settings) -> Self {
        let visitor = Visitor::start(settings).await.unwrap();
        let (storage, cache) = Default::default();
        let node = dht::Settings {
            id: DhtId::of_bytes(&visitor.handle().local_peer_id().to_bytes()),
            client_mode: false,
            storage,
            cache,
            acceptance: dht::Acceptance::ANYTHING,
            caching: dht::Caching::default(),
            seed: 1,
        };
        let settings = crate::dht::Settings { node, call_deadline: Duration::from_secs(3) };
        let birth = Birth::detached().0;
        let dht = Dht::new(settings, visitor.handle().clone(), clock(), birth).start();
        Self { visitor, dht }
    }

    fn handle(&self) -> &network::Handle {
        self.visitor.handle()
    }

    async fn addresses(&self) -> Vec<Multiaddr> {
        loop {
            let status = self.handle().status().await.unwrap();
            if !status.listening.is_empty() {
                return status.listening.iter().map(|address| address.parse().unwrap()).collect();
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    async fn join(&self, other: &Node) {
        let peer = other.handle().local_peer_id();
        self.handle().connect(peer, other.addresses().await, PATIENCE).await.unwrap();
        self.dht.send(Ping { peer, validate: true }).await.unwrap().unwrap();
        let own = self.dht.send(Membership).await.unwrap().id;
        self.dht.send(Lookup { keys: vec![own] }).await.unwrap().unwrap();
    }

    async fn connections(&self) -> u32 {
        self.handle().status().await.unwrap().connections
    }
}

/// Tasks of this runtime: the swarms' and their connections'. Actors live in a set of their own.
fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

struct Lab {
    us: Node,
    others: Vec<Node>,
    store: Addr<ServerInfoStore>,
}

impl Lab {
    /// Three nodes that know each other; the records of the first are stored.
    async fn new(ours: network::Settings) -> Self {
        let others = vec![Node::start(settings()).await, Node::start(settings()).await];
        others[1].join(&others[0]).await;
        let us = Node::start(ours).await;
        us.join(&others[0]).await;
        let birth = || Birth::detached().0;
        let store = ServerInfoStore::new(server_info::Settings::volatile(Some(offer())), birth()).start();
        let rpc_info = rpc_info::Settings { dht_client_mode: false };
        RpcInfoServer::new(rpc_info, us.handle().clone(), store.clone(), birth()).start();
        let expiration = clock().now() + Duration::from_secs(300);
        let subkey = Subkey::text(&us.handle().local_peer_id().to_base58());
        let record = |key: String, subkey: Subkey, value: Vec<u8>| Record {
            key: DhtId::of_text(&key),
            tag: Tag::Subkey(subkey),
            value: value.into(),
            expiration,
        };
        let offer = offer();
        let blocks = offer.blocks().map(|uid| record(uid.to_string(), subkey.clone(), offer.server.encode()));
        let index = hivemind_proto::records::MODEL_INDEX_KEY.to_owned();
        let model = record(index, Subkey::text(offer.prefix.as_str()), offer.model.encode());
        let records = blocks.chain([model]).collect();
        let report = us.dht.send(Store { records }).await.unwrap().unwrap();
        assert!(report.is_success(), "{report:?}");
        Self { us, others, store }
    }

    async fn observe(&self, initial: bool) -> (Addr<Observer>, watch::Receiver<Arc<Opinion>>) {
        let (sender, opinion) = watch::channel(Arc::new(Opinion::none()));
        let first = &self.others[0];
        let first = (first.handle().local_peer_id(), first.addresses().await);
        let settings = Settings {
            initial_peers: if initial { vec![first] } else { vec![] },
            interval: Duration::from_millis(50),
            retry: Backoff { cap: Duration::from_millis(100), ..Backoff::default() },
            double_at_start: None,
            departures: Departures::like(settings()),
            pool: tokio::runtime::Handle::current(),
            opinion: sender,
            seed: 1,
        };
        let birth = Birth::detached().0;
        let handle = self.us.handle().clone();
        let observer =
            Observer::new(settings, handle, self.us.dht.clone(), self.store.clone(), clock(), birth).start();
        (observer, opinion)
    }
}

async fn until(opinion: &mut watch::Receiver<Arc<Opinion>>, so: impl Fn(&Opinion) -> bool) -> Arc<Opinion> {
    let coming = timeout(PATIENCE, opinion.wait_for(|opinion| so(opinion)));
    let came = coming.await.map(|opinion| opinion.unwrap().clone());
    came.unwrap_or_else(|_| panic!("never; now {:#?}", opinion.borrow().clone()))
}

#[actix_rt::test]
async fn many_looks_leave_no_task_and_no_connection_behind() {
    let lab = Lab::new(settings()).await;
    let connections = async || {
        let mut all = lab.us.connections().await;
        for other in &lab.others {
            all += other.connections().await;
        }
        all
    };
    // The nodes find each other by themselves meanwhile, which makes tasks and connections of their own.
    sleep(FIRST_LOOK).await;
    let (tasks_before, connections_before) = (tasks(), connections().await);
    let (observer, mut opinion) = lab.observe(true).await;
    let seen = until(&mut opinion, |opinion| opinion.verdict == Verdict::Visible).await;
    let look = seen.look.as_ref().unwrap();
    assert_eq!((look.through, look.blocks.len()), (Through::Others, 4));
    assert!(look.blocks.iter().all(|block| block.replicas == 2), "{look:?}");
    loop {
        let report = observer.send(Probe).await.unwrap().0;
        assert_eq!(report["verdict"], "visible", "{report}");
        if report["looks"].as_u64().unwrap() >= LOOKS {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    observer.send(Drain).await.unwrap();
    let gone = async {
        while tasks() > tasks_before || connections().await > connections_before {
            sleep(Duration::from_millis(10)).await;
        }
    };
    if timeout(PATIENCE, gone).await.is_err() {
        panic!(
            "{tasks_before} tasks became {}, {connections_before} connections {}",
            tasks(),
            connections().await
        );
    }
}

#[actix_rt::test]
async fn without_initial_peers_it_enters_through_those_that_are_connected() {
    let lab = Lab::new(settings()).await;
    let (_observer, mut opinion) = lab.observe(false).await;
    let seen = until(&mut opinion, |opinion| opinion.verdict == Verdict::Visible).await;
    assert_eq!(seen.look.as_ref().unwrap().through, Through::Others);
}

#[actix_rt::test]
async fn a_wrong_address_is_our_address() {
    // A port that was free a moment ago, and that nobody listens on.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let announce = vec![format!("/ip4/127.0.0.1/tcp/{dead}").parse().unwrap()];
    let lab = Lab::new(network::Settings { announce, ..settings() }).await;
    let (_observer, mut opinion) = lab.observe(true).await;
    let seen = until(&mut opinion, |opinion| opinion.layer.is_some()).await;
    assert_eq!((seen.verdict, seen.layer), (Verdict::Invisible, Some(Layer::OurAddress)), "{seen:#?}");
    // The records are there: that is another layer.
    assert!(seen.look.as_ref().unwrap().blocks.iter().all(|block| block.found));
    assert!(seen.cause.contains(&dead.to_string()), "{}", seen.cause);
}
