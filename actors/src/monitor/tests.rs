//! Crawls through simulated swarms, and what is told of them.

mod stage;

use std::{sync::Arc, time::Duration};

use actix::Actor;
use tokio::sync::watch;

use self::stage::{Size, Stage};
use super::{
    Monitor, Plan, Settings, When, crawl,
    messages::{IsReachable, Look},
    record::ServerRecord,
    state::{Bootstrap, Model, Reach, Server, Shown, SwarmState},
};
use crate::{clock::SystemClock, config_keeper::Live, network::Handle, supervisor::Birth};

/// A swarm of one model with two servers, of whom one does not answer.
pub(crate) fn small() -> SwarmState {
    let record = |state: u8, name: &str| {
        let server = hivemind_proto::records::ServerInfo {
            public_name: Some(name.to_owned()),
            version: Some("2.3.0".to_owned()),
            network_rps: Some(2.5.try_into().unwrap()),
            cache_tokens_left: Some(480),
            ..hivemind_proto::records::ServerInfo::new(
                hivemind_proto::records::ServerState::from_code(state.into()).unwrap(),
                1.5.try_into().unwrap(),
                hivemind_proto::records::BlockRange::new(0, 12).unwrap(),
            )
        };
        ServerRecord::decode(&server.encode()).unwrap()
    };
    let server = |peer: &str, reach, info: ServerRecord| Server {
        peer_id: peer.to_owned(),
        start: 0,
        end: 12,
        info,
        reach,
        addresses: vec!["/ip4/192.0.2.1/tcp/31337".to_owned()],
        seconds_to_live: 120.0,
        pings_to_me: [("12D3KooWB".to_owned(), Some(0.25)), ("12D3KooWC".to_owned(), None)].into(),
        notes: vec![],
    };
    let failed = Reach::Failed { error: "no connection within 5 s".to_owned() };
    SwarmState {
        crawled_at: 1_790_000_000.5,
        took: 0.25,
        period: Some(60.0),
        complete: true,
        notes: vec![],
        clock_offset: Some(0.0),
        dht_peers: 3,
        bootstraps: vec![Bootstrap { peer_id: "12D3KooWA".to_owned(), addresses: vec![], error: None }],
        models: vec![Model {
            dht_prefix: "tiny-hf".to_owned(),
            repository: Some("https://huggingface.co/org/tiny".to_owned()),
            num_blocks: 12,
            configured: true,
            listed: true,
            servers: vec![
                server("12D3KooWB", Reach::Answered { seconds: 0.01 }, record(2, "one")),
                server("12D3KooWC", failed, record(2, "two")),
            ],
            bad_records: vec![],
            notes: vec![],
        }],
    }
}

#[test]
fn it_is_told_in_the_words_of_the_health_monitor() {
    let told = super::health::state(&small());
    let model = &told["model_reports"][0];
    assert_eq!((&model["name"], &model["short_name"]), (&"org/tiny".into(), &"tiny".into()));
    assert_eq!((&model["state"], &model["official"]), (&"healthy".into(), &true.into()));
    assert_eq!(told["top_contributors"], serde_json::json!({ "one": 12 }));
    assert_eq!(told["bootstrap_states"], serde_json::json!(["online"]));
    let issue = serde_json::json!([{ "peer_id": "12D3KooWC", "err": "no connection within 5 s" }]);
    assert_eq!(told["reachability_issues"], issue);
    let rows = model["server_rows"].as_array().unwrap();
    assert_eq!((&rows[0]["state"], &rows[1]["state"]), (&"online".into(), &"unreachable".into()));
    assert_eq!(rows[0]["cache_tokens_left_per_block"], 20);
    assert_eq!(rows[0]["short_peer_id"], "...3KooWB");
    assert_eq!(rows[0]["pings_to_me"], serde_json::json!({ "12D3KooWB": 0.25, "12D3KooWC": null }));
    assert_eq!(rows[0]["span"]["server_info"]["state"], "online");
    assert_eq!((&rows[1]["show_public_name"], &rows[0]["show_public_name"]), (&false.into(), &true.into()));
}

#[test]
fn its_metrics_have_the_names_of_the_health_monitor() {
    let mut state = small();
    state.models[0].servers[0].info.next_pings =
        Some([("a".to_owned(), Some(0.1)), ("b".to_owned(), Some(0.3)), ("c".to_owned(), None)].into());
    let page = super::health::exposition(&state);
    for line in [
        "update_duration 0.25",
        "servers_num_total 1",
        "peers_per_srv 3",
        "ping_pct{pct=\"50\"} 0.2",
        "server_version{version_number=\"2.3.0\"} 2",
        "n_blocks{model=\"tiny-hf\"} 12",
        "blocks_total{model=\"tiny-hf\"} 24",
        "blocks_online_min{model=\"tiny-hf\"} 1",
        "blocks{model=\"tiny-hf\",state=\"unreachable\"} 12",
        "rps_min{model=\"tiny-hf\",rps=\"network\"} 5",
        "rps_avg{model=\"tiny-hf\",rps=\"forward\"} 0",
    ] {
        assert!(page.lines().any(|found| found == line), "no {line:?} in\n{page}");
    }
}

fn plan(stage: &Stage) -> Plan {
    Plan {
        initial_peers: vec![(stage.door(), vec![])],
        models: vec![],
        deadline: Duration::from_secs(if cfg!(debug_assertions) { 200 } else { 40 }),
        servers_at_once: 192,
        period: None,
    }
}

/// Crawls a swarm of this size, and checks that all of it was seen.
async fn crawled(size: Size) -> SwarmState {
    let stage = Stage::of(size);
    let state = crawl(plan(&stage), &stage.departures(), Arc::new(SystemClock), 1).await.unwrap();
    println!(
        "{} servers, {} models of {} blocks, {} of them hang: crawled in {:.2} s, {} peers of the DHT asked",
        size.servers,
        size.models,
        size.blocks,
        stage.hanging.len(),
        state.took,
        state.dht_peers
    );
    assert!(state.complete, "{:?}", state.notes);
    assert_eq!((state.models.len(), &state.notes), (size.models, &vec![]));
    let servers: Vec<&Server> = state.models.iter().flat_map(|model| &model.servers).collect();
    assert_eq!(servers.len(), size.servers);
    for server in servers {
        let says = (server.info.start_block, server.info.end_block);
        assert_eq!((Some(server.start.into()), Some(server.end.into())), says);
        let hangs = stage.hanging.contains(&server.peer_id.parse().unwrap());
        assert_eq!(server.shown() == Shown::Unreachable, hangs, "{server:?}");
    }
    state
}

/// Of a debug build only the outcome counts, not the time.
fn assert_in_time(state: &SwarmState, seconds: f64) {
    assert!(cfg!(debug_assertions) || state.took < seconds, "{} s", state.took);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_servers_are_crawled_in_a_second() {
    let size = Size { servers: 20, models: 1, blocks: 126, one_hangs_of: 1000 };
    let mut stage = Stage::of(size);
    Arc::get_mut(&mut stage).unwrap().hanging.clear();
    let state = crawl(plan(&stage), &stage.departures(), Arc::new(SystemClock), 1).await.unwrap();
    println!("20 servers, 126 blocks: crawled in {:.3} s", state.took);
    assert!(state.complete && state.models[0].servers.len() == 20, "{state:?}");
    assert_in_time(&state, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_servers_are_crawled_in_twenty_seconds() {
    let all = Size { servers: 5000, models: 100, blocks: 126, one_hangs_of: 33 };
    let few = Size { servers: 500, models: 10, ..all };
    let size = if cfg!(debug_assertions) { few } else { all };
    assert_in_time(&crawled(size).await, 20.0);
}

fn monitor(
    stage: &Arc<Stage>,
    when: When,
) -> (actix::Addr<Monitor>, watch::Receiver<Option<Arc<SwarmState>>>) {
    let (states, seen) = watch::channel(None);
    let settings = Settings {
        plan: Live::new(plan(stage)),
        when,
        interval: Duration::from_secs(60),
        departures: stage.departures(),
        pool: tokio::runtime::Handle::current(),
        states,
        seed: 1,
    };
    // Our own network is not asked for anything: nobody is connected to it.
    let (home, commands) = Handle::channel(libp2p::PeerId::random(), 16);
    drop(commands);
    (Monitor::new(settings, home, Arc::new(SystemClock), Birth::detached().0).start(), seen)
}

fn a_few() -> Arc<Stage> {
    let mut stage = Stage::of(Size { servers: 6, models: 2, blocks: 12, one_hangs_of: 100 });
    Arc::get_mut(&mut stage).unwrap().hanging.clear();
    stage
}

#[actix_rt::test]
async fn it_crawls_when_it_is_asked_and_not_before() {
    tokio::time::pause();
    let (monitor, mut seen) = monitor(&a_few(), When::Asked);
    tokio::time::sleep(super::LINGER).await;
    assert!(seen.borrow().is_none());
    assert!(monitor.send(Look).await.unwrap(), "a crawl that is worth waiting for");
    let state = seen.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert_eq!(state.models.iter().map(|model| model.servers.len()).sum::<usize>(), 6);
    assert!(!monitor.send(Look).await.unwrap(), "what was just seen is good enough");
    // It goes on for a while after the last look, and then it rests.
    seen.mark_unchanged();
    tokio::time::sleep(super::LINGER + Duration::from_secs(120)).await;
    assert!(seen.has_changed().unwrap());
    seen.mark_unchanged();
    tokio::time::sleep(2 * super::LINGER).await;
    assert!(!seen.has_changed().unwrap());
}

#[actix_rt::test]
async fn it_crawls_all_the_time_and_tells_of_single_peers() {
    tokio::time::pause();
    let stage = a_few();
    let (monitor, mut seen) = monitor(&stage, When::Always);
    for _ in 0..3 {
        tokio::time::timeout(Duration::from_secs(70), seen.changed()).await.unwrap().unwrap();
    }
    let of = |peer| monitor.send(IsReachable { peer });
    assert!(matches!(of(stage.door()).await.unwrap(), Ok(Reach::Answered { .. })));
    let nobody = of(libp2p::PeerId::random()).await.unwrap().unwrap();
    assert_eq!(nobody.error(), Some("unreachable: nobody is there"));
}

#[actix_rt::test]
async fn a_swarm_that_lets_nobody_in_is_told_of_with_its_age() {
    let stage = a_few();
    let nobody = libp2p::PeerId::random();
    let plan = Plan { initial_peers: vec![(nobody, vec![])], ..plan(&stage) };
    let state = crawl(plan, &stage.departures(), Arc::new(SystemClock), 1).await.unwrap();
    assert!(!state.complete && state.crawled_at > 1e9, "{state:?}");
    assert_eq!(state.notes, ["nobody let us into the DHT of the swarm"]);
    assert_eq!(state.reachability_issues().into_keys().collect::<Vec<_>>(), [nobody.to_base58()]);
}
