//! Crawls through simulated swarms, and what is told of them.

use super::{
    record::ServerRecord,
    state::{Bootstrap, Model, Reach, Server, SwarmState},
};

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
