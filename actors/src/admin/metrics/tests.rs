//! What the page says of made-up sources. That it is well-formed, and complete for a real node, is shown by the program's
//! own tests.

use std::{collections::BTreeMap, sync::Arc};

use hivemind_proto::unary::Latency;
use serde_json::json;

use super::*;
use crate::{
    config_keeper::Reloads,
    network::NetworkStatus,
    observer::messages::Opinion,
    supervisor::{ActorState, ActorStatus, TreeState, TreeStatus},
};

fn actor(name: &str, report: serde_json::Value) -> ActorStatus {
    ActorStatus {
        name: name.to_owned(),
        supervisor: "root".to_owned(),
        state: ActorState::Running,
        restarts: 2,
        generation: 3,
        panics: 1,
        hangs: 1,
        rebuilds: 0,
        last_error: None,
        last_error_seconds_ago: None,
        uptime_seconds: Some(1.0),
        backoff_seconds: None,
        answered_seconds_ago: Some(0.5),
        silent_seconds: 0.5,
        tolerated_silence_seconds: 40.0,
        report: Some(report),
    }
}

fn page(actors: Vec<ActorStatus>) -> String {
    let tree = TreeStatus { state: TreeState::Running, actors, supervisors: vec![], stray_panics: 4 };
    let sources = Sources::new("1.2.3".into(), 1e9, Arc::new(Opinion::none()), Some(tree), Some(7));
    exposition(sources).unwrap()
}

fn assert_has(page: &str, lines: &[&str]) {
    for line in lines {
        assert!(page.lines().any(|found| found == *line), "no {line:?} in\n{page}");
    }
}

#[test]
fn it_says_what_actors_said() {
    let mut buckets = vec![0; LATENCY_BOUNDS.len() + 1];
    (buckets[0], buckets[14]) = (3, 1);
    let latency = Latency { buckets, nanoseconds: 1_500_000_000, errors: 1 };
    let network = NetworkStatus {
        connections_inbound: 2,
        programs: BTreeMap::from([("p2pd".to_owned(), 3)]),
        inbound: BTreeMap::from([("DHTProtocol.rpc_ping".to_owned(), latency)]),
        ..NetworkStatus::default()
    };
    let announcer = json!({ "attempts": 9, "failed_attempts": 1, "records": 10, "confirmed": 8, "least_replicas": 4,
        "seconds_to_expiry": 243.5 });
    let mut reloads = Reloads::default();
    (reloads.accepted, reloads.refused) = (2, 1);
    let actors = vec![
        actor("network", json!(network)),
        actor("announcer", announcer),
        actor("config_keeper", json!(reloads)),
    ];
    let page = page(actors);
    assert_has(
        &page,
        &[
            "petald_build_info{version=\"1.2.3\"} 1",
            "petald_actors{state=\"running\"} 3.0",
            "petald_actors{state=\"backoff\"} 0.0",
            "petald_actor_restarts_total{actor=\"network\"} 2",
            "petald_stray_panics_total 4",
            "petald_visible 0.0",
            "petald_visibility{verdict=\"unknown\"} 1.0",
            "# UNIT petald_record_expiry_seconds seconds",
            "petald_record_expiry_seconds 243.5",
            "petald_record_replicas 4.0",
            "petald_announcements_failed_total 1",
            "# TYPE petald_inbound_call_duration_seconds histogram",
            "petald_inbound_call_duration_seconds_sum{method=\"DHTProtocol.rpc_ping\"} 1.5",
            "petald_inbound_call_duration_seconds_count{method=\"DHTProtocol.rpc_ping\"} 4",
            "petald_inbound_call_duration_seconds_bucket{le=\"0.0001\",method=\"DHTProtocol.rpc_ping\"} 3",
            "petald_inbound_call_duration_seconds_bucket{le=\"10.0\",method=\"DHTProtocol.rpc_ping\"} 3",
            "petald_inbound_call_duration_seconds_bucket{le=\"+Inf\",method=\"DHTProtocol.rpc_ping\"} 4",
            "petald_inbound_call_errors_total{method=\"DHTProtocol.rpc_ping\"} 1",
            "petald_connections{direction=\"inbound\"} 2.0",
            "petald_peers{program=\"p2pd\"} 3.0",
            "petald_reach{verdict=\"unknown\"} 1.0",
            "petald_announced_addresses{way=\"relayed\"} 0.0",
            "petald_reach_events_total{event=\"holes_punched\"} 0",
            "petald_reloads_total{outcome=\"accepted\"} 2",
            "petald_reloads_total{outcome=\"refused\"} 1",
            "petald_log_lines_dropped_total 7",
            "petald_process_start_time_seconds 1000000000.0",
        ],
    );
    assert!(page.ends_with("\n# EOF\n"), "{page}");
}

#[test]
fn what_nobody_said_is_left_out_and_nothing_else_with_it() {
    let strange = json!({ "records": "many" });
    let page = page(vec![actor("announcer", strange)]);
    assert!(!page.contains("\npetald_records "), "{page}");
    assert!(!page.contains("\npetald_dht_known_nodes "), "{page}");
    assert_has(&page, &["# TYPE petald_records gauge", "petald_actor_panics_total{actor=\"announcer\"} 1"]);
    let sources = Sources::new("1.2.3".into(), 1e9, Arc::new(Opinion::none()), None, None);
    let alone = exposition(sources).unwrap();
    assert!(alone.contains("\npetald_process_resident_memory_bytes "), "{alone}");
}
