//! The admin API of a node whose crawls are what a test says: the page cannot tell it from any other.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use actix::Actor;
use hivemind_proto::time::DhtTime;
use libp2p::PeerId;
use petald_actors::{
    admin::{self, Admin, Bound, Doors, Listen, TreeCell},
    clock::SystemClock,
    config_keeper::Live,
    history::messages::{Chronicle, Crawl, Limits, Seen, Sighting},
    monitor::state::{Shown, SwarmState},
    observer::messages::Opinion,
    supervisor::{Birth, Drain},
};
use tokio::sync::watch;

/// A crawl every minute is one history.
const GAP_SECONDS: u64 = 180;

pub(crate) struct Node {
    crawls: watch::Sender<Option<Arc<SwarmState>>>,
    histories: watch::Sender<Arc<Chronicle>>,
    pub(crate) address: SocketAddr,
    _opinions: watch::Sender<Arc<Opinion>>,
    admin: actix::Addr<Admin>,
}

pub(crate) fn now() -> f64 {
    #[expect(clippy::disallowed_methods, reason = "the page compares with the system's clock")]
    let now = SystemTime::now();
    now.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

impl Node {
    /// One that has crawled nothing yet.
    pub(crate) async fn start(peer_id: PeerId) -> Self {
        let (crawls, swarm) = watch::channel(None);
        let chronicle = Chronicle::new(Limits { keep: 1 << 40, gap: GAP_SECONDS, weight: 1 << 30 });
        let (histories, history) = watch::channel(Arc::new(chronicle));
        let (opinions, visibility) = watch::channel(Arc::new(Opinion::none()));
        let (bound, mut seen) = watch::channel(None);
        let settings = admin::Settings {
            listen: Listen::Tcp("127.0.0.1:0".parse().unwrap()),
            token: None,
            crash_endpoint: false,
            name: Live::new(None),
            version: "0.0.0".into(),
            peer_id,
            started: DhtTime::from_unix(now()).unwrap(),
            visibility,
            swarm: Some(swarm),
            history: Some(history),
            clock: Arc::new(SystemClock),
            log: None,
            doors: Doors::default(),
            tree: TreeCell::default(),
            bound,
        };
        let admin = Admin::new(settings, Birth::detached().0).start();
        let listens = tokio::time::timeout(Duration::from_secs(10), seen.wait_for(Option::is_some));
        let address = match listens.await.expect("it listens").unwrap().clone() {
            Some(Bound::Tcp(address)) => address,
            other => panic!("{other:?}"),
        };
        Self { crawls, histories, address, _opinions: opinions, admin }
    }

    /// A crawl that has just ended, and the history with it.
    pub(crate) fn crawled(&self, swarm: SwarmState) {
        let swarm = SwarmState { crawled_at: now(), ..swarm };
        self.histories.send_modify(|chronicle| observe(Arc::make_mut(chronicle), &swarm));
        self.crawls.send_replace(Some(Arc::new(swarm)));
    }

    /// Crawls of the last hours, of which only the history is left. `away` says who was missing at which of them.
    pub(crate) fn remembers(&self, swarm: &SwarmState, hours: u64, away: impl Fn(usize, u64) -> bool) {
        let begin = now() - hours as f64 * 3600.0;
        for minute in (0..hours * 60).step_by(3) {
            let mut swarm = SwarmState { crawled_at: begin + minute as f64 * 60.0, ..swarm.clone() };
            let mut number = 0;
            for model in &mut swarm.models {
                model.servers.retain(|_| {
                    number += 1;
                    !away(number - 1, minute)
                });
            }
            self.histories.send_modify(|chronicle| observe(Arc::make_mut(chronicle), &swarm));
        }
    }

    /// Answers nobody any more.
    pub(crate) async fn end(self) {
        self.admin.send(Drain).await.unwrap();
    }

    pub(crate) fn page(&self) -> String {
        format!("http://{}/", self.address)
    }
}

fn observe(chronicle: &mut Chronicle, swarm: &SwarmState) {
    let seen = |model: &str, server: &petald_actors::monitor::state::Server| {
        let sighting = match server.shown() {
            Shown::Online => Sighting::Online,
            Shown::Joining => Sighting::Joining,
            Shown::Offline => Sighting::Offline,
            Shown::Unreachable => Sighting::Unreachable,
        };
        let seen = Seen { sighting, name: server.info.public_name.clone(), model: Some(model.to_owned()) };
        Some((server.peer_id.parse().ok()?, seen))
    };
    let servers = swarm
        .models
        .iter()
        .flat_map(|model| model.servers.iter().filter_map(|server| seen(&model.dht_prefix, server)));
    chronicle.observe(&Crawl { at: swarm.crawled_at as u64, servers: servers.collect() });
}
