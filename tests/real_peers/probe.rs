//! `petald probe` and `petald check` among real peers: which layer fails is named, and what works is told.

use std::{net::TcpListener, process::Output, time::Duration};

use serde_json::{Value, json};

use crate::support::{
    deadline::{eventually, within},
    petald::{Config, Home, petald},
    reader::Reader,
    shared,
    swarm::Swarm,
};

/// All layers of one peer run into their deadlines one after the other.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
const VISIBLE_LIMIT: Duration = Duration::from_secs(20);

async fn run(arguments: &[&str]) -> Output {
    within(COMMAND_LIMIT, &format!("petald {arguments:?} ends"), petald().args(arguments).output())
        .await
        .unwrap()
}

/// The exit code and what it said in JSON.
async fn probe(arguments: &[&str]) -> (i32, Value) {
    let output = run(&[&["probe", "--json"], arguments].concat()).await;
    let said = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error} in {output:?}"));
    (output.status.code().unwrap(), said)
}

/// What a layer said.
fn told<'a>(report: &'a Value, layer: &str) -> &'a str {
    let layers = report["layers"].as_array().unwrap();
    let tried = layers.iter().find(|tried| tried["layer"] == layer);
    tried.unwrap_or_else(|| panic!("no {layer} in {report:#}"))["told"].as_str().unwrap()
}

fn works(report: &Value) -> Vec<&str> {
    let layers = report["layers"].as_array().unwrap();
    layers
        .iter()
        .filter(|tried| tried["works"] == true)
        .map(|tried| tried["layer"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn every_layer_of_a_node_answers() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b"], &[]).await;
    let home = Home::new(&Config { initial_peers: nodes[0].addresses.clone(), ..Config::default() });
    let petald = home.run().await;

    let (report, _) =
        eventually(VISIBLE_LIMIT, "all layers answer", async || match probe(&[&petald.addresses[0]]).await {
            (0, report) if report["records"] != json!([]) => Ok(report),
            (code, report) => Err(format!("{code}: {report:#}")),
        })
        .await;
    assert_eq!(
        works(&report),
        ["dial", "noise", "identify", "kad", "dht_ping", "call_back", "rpc_info", "records"]
    );
    assert_eq!(report["peer_id"], petald.peer_id);
    assert!(report["agent"].as_str().unwrap().starts_with("petald/"), "{report:#}");
    assert_eq!(report["rpc_info"]["cache_tokens_available"], 4096);
    let records = report["records"].as_array().unwrap();
    let [only] = &records[..] else { panic!("one span of blocks: {records:#?}") };
    assert_eq!(
        (&only["model"], &only["blocks"], &only["state"], &only["throughput"]),
        (&json!("test-model"), &json!("0:8"), &json!("online"), &json!(12.5))
    );
    let expires = only["expires_in_seconds"].as_f64().unwrap();
    assert!((60.0..=180.0).contains(&expires), "{expires}");

    // Its id alone, found through somebody else.
    let (code, report) = probe(&[&petald.peer_id, "--peer", &nodes[1].addresses[0]]).await;
    assert_eq!((code, works(&report)[0]), (0, "find"), "{report:#}");
    assert!(petald.addresses[0].starts_with(report["address"].as_str().unwrap()), "{report:#}");
}

#[tokio::test]
async fn the_layer_that_fails_is_named() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b"], &[]).await;
    let (a, b) = (&nodes[0], &nodes[1]);

    let table = swarm.routing_table("b").await;
    // A hivemind node that is no server.
    let (code, report) = probe(&[&b.addresses[0]]).await;
    assert_eq!((code, &report["failed"]), (69, &json!("rpc_info")), "{report:#}");
    assert!(told(&report, "rpc_info").contains("does not serve rpc_info"), "{report:#}");
    assert!(
        ["dht_ping", "call_back", "records"].iter().all(|layer| works(&report).contains(layer)),
        "{report:#}"
    );
    assert!(report["clock_offset_seconds"].as_f64().unwrap().abs() < 3.0, "{report:#}");
    assert_eq!(swarm.routing_table("b").await, table, "nobody takes a visitor for a node");
    // One that answers, but not as a server of Petals does.
    swarm.serve_rpc_info("b").await;
    let (code, report) = probe(&[&b.addresses[0]]).await;
    assert_eq!((code, &report["failed"]), (69, &json!("rpc_info")), "{report:#}");
    assert!(told(&report, "rpc_info").contains("not a Petals server's"), "{report:#}");

    // Somebody else at the address.
    let address = a.addresses[0].replace(&a.peer_id, &b.peer_id);
    let (code, report) = probe(&[&address]).await;
    assert_eq!((code, &report["failed"]), (69, &json!("noise")), "{report:#}");
    assert!(told(&report, "noise").contains(&a.peer_id), "who is there instead: {report:#}");

    // Nobody at the address.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (code, report) = probe(&[&format!("/ip4/127.0.0.1/tcp/{closed}/p2p/{}", a.peer_id)]).await;
    assert_eq!((code, &report["failed"]), (69, &json!("dial")), "{report:#}");
    assert!(told(&report, "dial").contains("refused"), "{report:#}");
    assert_eq!(report["layers"].as_array().unwrap().len(), 1, "{report:#}");

    // An id that nobody knows, and a client, which is in nobody's table.
    let stranger = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    let (code, report) = probe(&[stranger, "--peer", &a.addresses[0]]).await;
    assert_eq!((code, &report["failed"]), (69, &json!("find")), "{report:#}");

    // Petals' own way to announce, from a peer that does not serve the model it announces.
    let reader = Reader::server(&a.addresses).await;
    let server = reader.declare("a-model", 6, 1..5, "JOINING").await;
    let (_, report) =
        probe(&[&server, "--peer", &a.addresses[0], "--set", "network.private_addresses=true"]).await;
    assert_eq!(report["failed"], "rpc_info", "{report:#}");
    let (code, report) = {
        // No model is listed in the index by a declaration of blocks, so it is named.
        let set =
            ["model.dht_prefix=a-model", "model.num_blocks=6", "model.repository=x", "server.blocks=0:6"];
        let set: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
        probe(&[&[server.as_str(), "--peer", &a.addresses[0]], &set[..]].concat()).await
    };
    assert_eq!((code, &report["records"][0]["blocks"]), (69, &json!("1:5")), "{report:#}");
    assert_eq!(report["records"][0]["state"], "joining", "{report:#}");
}

#[tokio::test]
async fn check_meets_each_bootstrap_as_a_node_does() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b"], &[]).await;
    let initial_peers = vec![nodes[0].addresses[0].clone(), nodes[1].addresses[0].clone()];
    let home = Home::new(&Config { initial_peers: initial_peers.clone(), ..Config::default() });
    let config = home.config();
    let check = async |more: &[&str]| {
        let output = run(&[&["check", "--config", config.to_str().unwrap()], more].concat()).await;
        assert!(output.stderr.is_empty(), "no progress where there is no terminal: {output:?}");
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = check(&[]).await;
    assert_eq!(code, 0, "{said}");
    for peer in &initial_peers {
        let line = said.lines().find(|line| line.contains(peer.as_str())).unwrap();
        assert!(line.starts_with("ok ") && line.contains("answers as a node of the DHT"), "{line}");
    }
    assert!(
        said.lines().any(|line| line.starts_with("ok      clock: ") && line.ends_with("(2 told)")),
        "{said}"
    );

    let wrong = initial_peers[0].replace(&nodes[0].peer_id, &nodes[1].peer_id);
    let (code, said) = check(&["--set", &format!("network.initial_peers={wrong}")]).await;
    assert_eq!(code, 69, "{said}");
    assert!(said.contains("noise: ") && said.contains(&nodes[0].peer_id), "{said}");
}
