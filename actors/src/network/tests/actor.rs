//! The actor: when it is ready, what it reports, how it dies and comes back.

use std::time::Duration;

use actix::Actor;
use libp2p::Multiaddr;
use tokio::time::timeout;

use super::{
    super::{Commands, DRIVER_SILENCE, Handle, Network, Settings, driver::Pulse},
    node::{Node, PATIENCE, settings},
};
use crate::supervisor::{
    Backoff, Birth, ChildSettings, Drain, Intensity, Probe, Restart, Slot, Strategy, Tree, actor, supervisor,
};

fn on_pool() -> (tokio::runtime::Runtime, Settings, Handle, Commands) {
    let pool = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let settings = Settings { pool: pool.handle().clone(), ..settings() };
    let (handle, commands) = Handle::channel(settings.keypair.public().to_peer_id(), 64);
    (pool, settings, handle, commands)
}

#[actix::test]
async fn it_is_ready_once_it_listens_and_reports_its_status() {
    let (pool, settings, handle, commands) = on_pool();
    let (birth, mut ready) = Birth::detached();
    let network = Network::new(settings, handle.clone(), commands, birth).start();
    timeout(PATIENCE, ready.wait_for(|ready| *ready)).await.unwrap().unwrap();
    assert_eq!(handle.status().await.unwrap().listening.len(), 1);
    let seen = async {
        loop {
            let report = network.send(Probe).await.unwrap();
            if report.0["peer_id"] == handle.local_peer_id().to_string() {
                return report;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let report = timeout(PATIENCE, seen).await.unwrap();
    assert_eq!(report.0["listening"].as_array().unwrap().len(), 1);
    network.send(Drain).await.unwrap();
    pool.shutdown_background();
}

#[tokio::test(start_paused = true)]
async fn a_silent_driver_is_noticed() {
    let mut pulse = Pulse::default();
    tokio::time::advance(2 * DRIVER_SILENCE).await;
    assert_eq!(pulse.silence(), Duration::ZERO, "it has not started yet");
    pulse.at = Some(tokio::time::Instant::now());
    tokio::time::advance(DRIVER_SILENCE + Duration::from_secs(1)).await;
    assert!(pulse.silence() > DRIVER_SILENCE);
}

#[actix::test]
async fn a_dead_driver_takes_the_actor_with_it_and_both_come_back() {
    let (pool, settings, handle, commands) = on_pool();
    let slot = Slot::<Network>::new();
    let child = ChildSettings { restart: Restart::Permanent, ..ChildSettings::default() };
    let for_factory = handle.clone();
    let child = actor("network", &slot, child, move |birth| {
        Network::new(settings.clone(), for_factory.clone(), commands.clone(), birth)
    });
    let intensity = Intensity::default();
    let tree = Tree::new(supervisor("root", Strategy::OneForOne, intensity, vec![child])).unwrap();
    let (tree, over) = tree.start();
    let over = actix_rt::spawn(over);
    let address = address(&handle).await;
    let caller = Node::start().await;
    caller.handle.connect(handle.local_peer_id(), vec![address.clone()], PATIENCE).await.unwrap();

    tree.crash("network").await.unwrap();
    caller.until("the crash is seen", |status| status.connected_peers == 0).await;
    let again = self::address(&handle).await;
    assert_eq!(again, address, "it listens where it did");
    caller.handle.connect(handle.local_peer_id(), vec![address], PATIENCE).await.unwrap();
    tree.stop();
    timeout(PATIENCE, over).await.unwrap().unwrap();
    pool.shutdown_background();
}

async fn address(handle: &Handle) -> Multiaddr {
    let listening = async {
        loop {
            match handle.status().await {
                Some(status) if !status.listening.is_empty() => return status.listening[0].parse().unwrap(),
                _ => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    timeout(PATIENCE, listening).await.unwrap()
}

#[actix::test]
async fn a_port_in_use_is_told_in_words() {
    let taken = Node::start().await;
    let (pool, settings, handle, commands) = on_pool();
    let settings = Settings { listen: vec![taken.address().await], ..settings };
    let slot = Slot::<Network>::new();
    let backoff = Backoff { first: Duration::from_millis(50), ..Backoff::default() };
    let child = ChildSettings { backoff, ..ChildSettings::default() };
    let child = actor("network", &slot, child, move |birth| {
        Network::new(settings.clone(), handle.clone(), commands.clone(), birth)
    });
    let root = supervisor("root", Strategy::OneForOne, Intensity::default(), vec![child]);
    let (tree, over) = Tree::new(root).unwrap().start();
    let over = actix_rt::spawn(over);
    let told = async {
        loop {
            let text = serde_json::to_string(&tree.status().await).unwrap();
            if text.contains("cannot listen on /ip4/127.0.0.1/tcp/") && text.contains("in use") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, told).await.unwrap();
    tree.stop();
    timeout(PATIENCE, over).await.unwrap().unwrap();
    pool.shutdown_background();
}
