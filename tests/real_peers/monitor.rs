//! A swarm of 3 petald and 3 Python servers over two models, with garbage of each kind in it: what the API and `petald map`
//! tell is, field by field, what petals' own functions compute from the same DHT.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use libp2p::PeerId;
use serde_json::{Value, json};

use crate::support::{
    deadline::{eventually, within},
    petald::{Config, Home, Petald, petald},
    reader::Reader,
    shared,
    swarm::Swarm,
};

const LIMIT: Duration = Duration::from_secs(60);
/// Longer than the test.
const TTL: f64 = 600.0;
const BLOCKS: u32 = 12;
const MODELS: [&str; 2] = ["model-a", "model-b"];

/// A record as petals writes it, in the words of `json_lines.py`.
fn record(state: Value, throughput: Value, details: &[(&str, Value)]) -> Value {
    let details: Vec<Value> = details.iter().map(|(name, value)| json!([name, value])).collect();
    json!({ "tuple": [state, throughput, { "dict": details }] })
}

fn span(start: u32, end: u32) -> [(&'static str, Value); 2] {
    [("start_block", json!(start)), ("end_block", json!(end))]
}

/// Garbage of each kind, each announced by somebody of its own.
fn garbage() -> Vec<(&'static str, Value)> {
    let with = |name: &'static str, value: Value| {
        record(json!(2), json!(1.5), &[&span(0, 4)[..], &[(name, value)]].concat())
    };
    vec![
        ("an unknown state", record(json!(7), json!(1.5), &span(0, 4))),
        ("a state in words", record(json!("ONLINE"), json!(1.5), &span(0, 4))),
        ("a whole number", record(json!(2), json!(1), &span(0, 4))),
        ("not a number", record(json!(2), json!({ "float": "nan" }), &span(0, 4))),
        ("an infinite number", record(json!(2), json!({ "float": "inf" }), &span(0, 4))),
        ("a negative number", record(json!(2), json!(-1.5), &span(0, 4))),
        ("a negative block", with("start_block", json!(-1))),
        ("a block in words", with("end_block", json!("four"))),
        ("no adapters", with("adapters", Value::Null)),
        ("pings of another type", with("next_pings", json!([1, 2]))),
        ("half a cache", with("cache_tokens_left", json!(0.5))),
        ("no tuple", json!("ONLINE")),
        ("nothing", Value::Null),
        ("too little", json!({ "tuple": [2] })),
        ("a list in place of details", json!({ "tuple": [2, 1.5, [1]] })),
    ]
}

async fn put(swarm: &Swarm, model: &str, blocks: std::ops::Range<u32>, who: &str, value: &Value) {
    for block in blocks {
        let key = format!("{model}.{block}");
        let stored = swarm.store_entry("x", &key, &json!(who), value.clone(), TTL).await;
        assert!(stored, "{who} at {key}");
    }
}

fn home(model: &str, blocks: &str, state: &str, initial_peers: &[String]) -> Home {
    let home = Home::new(&Config {
        initial_peers: initial_peers.to_vec(),
        dht_prefix: model.into(),
        num_blocks: BLOCKS,
        blocks: blocks.into(),
        ttl: "600s".into(),
        ..Config::default()
    });
    home.edit(&[
        ("state = \"online\"", &format!("state = \"{state}\"")),
        ("[admin]", "[monitor]\ncrawl = \"always\"\ninterval = \"5s\"\n[admin]"),
    ]);
    home
}

/// What petals read, in the form of the API.
fn as_told(server: &Value) -> Value {
    let plain = |value: &Value| match (value.get("tuple"), value.get("dict").and_then(Value::as_array)) {
        (Some(items), _) => items.clone(),
        (_, Some(pairs)) => pairs
            .iter()
            .map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].clone()))
            .map(|(key, value)| (key, if value.is_object() { Value::Null } else { value }))
            .collect(),
        _ => value.clone(),
    };
    let fields = server.as_object().unwrap().iter();
    let mut told: Value = fields.map(|(name, value)| (name.clone(), plain(value))).collect();
    told["state"] = json!(server["state"].as_str().unwrap().to_lowercase());
    told
}

fn rows(state: &Value, model: &str) -> BTreeMap<String, Value> {
    let models = state["model_reports"].as_array().unwrap();
    let report = models.iter().find(|report| report["dht_prefix"] == model);
    let report = report.unwrap_or_else(|| panic!("no {model} in {state:#}"));
    let rows = report["server_rows"].as_array().unwrap().iter();
    rows.map(|row| (row["peer_id"].as_str().unwrap().to_owned(), row.clone())).collect()
}

async fn state(petald: &Petald) -> Result<Value, String> {
    petald.get("/api/v1/state").await?.json()
}

#[tokio::test]
async fn it_tells_what_petals_computes() {
    let _machine = shared().await;
    let homes = home(MODELS[0], "0:12", "online", &[]);
    let first = homes.run().await;
    let second = home(MODELS[0], "4:8", "joining", &first.addresses);
    let third = home(MODELS[1], "0:6", "online", &first.addresses);
    let (second, third) = (second.run().await, third.run().await);
    let swarm = Swarm::new().await;
    let python = swarm.start(&["x", "y", "z"], &first.addresses).await;
    let [x, y, z] = [0, 1, 2].map(|at| python[at].peer_id.as_str());

    // Three Python servers: one that answers, one that does not, and one that joins.
    swarm.serve_rpc_info("x").await;
    let pings = json!({ "dict": [[y, 0.25], [x, { "float": "inf" }]] });
    let more = [
        &span(2, 10)[..],
        &[("public_name", json!("näme <b>")), ("version", json!("2.3.0")), ("next_pings", pings)],
        &[
            ("cache_tokens_left", json!(1600)),
            ("adapters", json!(["org/lora"])),
            ("using_relay", json!(true)),
        ],
    ]
    .concat();
    put(&swarm, MODELS[0], 2..10, x, &record(json!(2), json!(3.5), &more)).await;
    put(&swarm, MODELS[1], 6..12, y, &record(json!(2), json!(1.5), &span(6, 12))).await;
    // It does not say which blocks it serves, and is ahead of itself in one.
    put(&swarm, MODELS[1], 3..6, z, &record(json!(1), json!(0.5), &[])).await;
    put(&swarm, MODELS[1], 4..5, z, &record(json!(2), json!(0.5), &[("version", json!("2.2"))])).await;
    // Somebody who is not there, and who left.
    let (absent, left) = (PeerId::random().to_base58(), PeerId::random().to_base58());
    put(&swarm, MODELS[1], 0..2, &absent, &record(json!(2), json!(1.0), &span(0, 2))).await;
    put(&swarm, MODELS[1], 0..2, &left, &record(json!(0), json!(1.0), &span(0, 2))).await;
    // Garbage: each costs a line. The last two are read by petals, and would stop the original's monitor.
    let mut bad = BTreeSet::new();
    for (_, value) in garbage() {
        let who = PeerId::random().to_base58();
        put(&swarm, MODELS[1], 1..2, &who, &value).await;
        bad.insert(who);
    }
    let empty: Vec<String> = (0..2).map(|_| PeerId::random().to_base58()).collect();
    let cache = [("cache_tokens_left", json!(99))];
    for (who, (start, end)) in empty.iter().zip([(5, 5), (11, 3)]) {
        let value = record(json!(2), json!(1.0), &[&span(start, end)[..], &cache].concat());
        put(&swarm, MODELS[1], 1..2, who, &value).await;
    }
    put(&swarm, MODELS[1], 1..2, "not a peer id", &record(json!(2), json!(1.0), &span(0, 4))).await;
    for (name, value) in [
        ("a.b", json!({ "dict": [["num_blocks", 3], ["repository", null]] })),
        ("none", json!({ "dict": [["num_blocks", 0], ["repository", null]] })),
        ("array", json!([8, null])),
        ("vast", json!({ "dict": [["num_blocks", 4_000_000_000_u32], ["repository", null]] })),
    ] {
        assert!(swarm.store_entry("x", "_petals.models", &json!(name), value, TTL).await, "{name}");
    }

    let reader = Reader::client(&python[1].addresses).await;
    let wanted = |model: &str, rows: &BTreeMap<String, Value>| {
        let ours: &[&str] = match model == MODELS[0] {
            true => &[&first.peer_id, &second.peer_id, x],
            false => &[&third.peer_id, y, z, &absent, &left],
        };
        ours.iter().all(|peer| rows.contains_key(*peer))
    };
    let (told, _) = eventually(LIMIT, "everybody is seen", async || {
        let told = state(&first).await?;
        match MODELS.iter().all(|model| wanted(model, &rows(&told, model))) && told["complete"] == true {
            true => Ok(told),
            false => Err(format!("{told:#}")),
        }
    })
    .await;

    for model in MODELS {
        let petals = reader.health(model, BLOCKS).await;
        let rows = rows(&told, model);
        let mut spans = petals["spans"].as_object().unwrap().clone();
        // What petals itself takes for a span of no blocks is told apart.
        spans.retain(|peer, span| {
            let is_empty = span["end"].as_u64() <= span["start"].as_u64();
            assert!(!is_empty || empty.contains(peer), "{peer}: {span}");
            !is_empty
        });
        assert_eq!(rows.keys().collect::<Vec<_>>(), spans.keys().collect::<Vec<_>>(), "{model}");
        for (peer, span) in &spans {
            let (row, info) = (&rows[peer]["span"], as_told(&span["server"]));
            assert_eq!((&row["start"], &row["end"]), (&span["start"], &span["end"]), "{peer}");
            let fields = info.as_object().unwrap();
            for (name, value) in fields {
                // Renewed records may tell it anew.
                assert!(
                    name == "next_pings" || row["server_info"][name] == *value,
                    "{peer} {name}: {row:#} {info:#}"
                );
            }
            let names: BTreeSet<_> = row["server_info"].as_object().unwrap().keys().collect();
            assert_eq!(names, fields.keys().collect(), "{peer}");
        }
    }
    let (a, b) = (rows(&told, MODELS[0]), rows(&told, MODELS[1]));
    assert_eq!((&a[x]["state"], &a[x]["cache_tokens_left_per_block"]), (&json!("online"), &json!(100)));
    assert_eq!(a[x]["span"]["server_info"]["next_pings"], json!({ x: null, y: 0.25 }));
    assert_eq!(
        (&a[&first.peer_id]["state"], &a[&second.peer_id]["state"]),
        (&json!("online"), &json!("joining"))
    );
    assert_eq!((&b[y]["state"], &b[&absent]["state"]), (&json!("unreachable"), &json!("unreachable")));
    // Its block 4 says ONLINE, which counts, and it does not answer.
    assert_eq!((&b[z]["state"], &b[&left]["state"]), (&json!("unreachable"), &json!("offline")));
    let issues: BTreeSet<_> = told["reachability_issues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|issue| issue["peer_id"].as_str().unwrap())
        .collect();
    assert_eq!(issues, [y, z, &absent].into());

    let report =
        told["model_reports"].as_array().unwrap().iter().find(|r| r["dht_prefix"] == MODELS[1]).unwrap();
    let noted: BTreeSet<_> = report["bad_records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bad| bad["subkey"].as_str().unwrap().to_owned())
        .collect();
    bad.extend(empty);
    bad.insert("not a peer id".to_owned());
    assert_eq!(noted, bad, "{report:#}");
    let names: Vec<_> =
        told["model_reports"].as_array().unwrap().iter().map(|r| r["dht_prefix"].as_str().unwrap()).collect();
    assert_eq!(names, [MODELS[0], "vast", MODELS[1]], "ours first, then the larger");
    assert_eq!(told["notes"].as_array().unwrap().len(), 3, "{}", told["notes"]);

    // The same from the command line, without a node of our own.
    let mut command = petald();
    command.args(["map", "--json", "--peer", &python[2].addresses[0]]);
    let output = within(LIMIT, "petald map ends", command.output()).await.unwrap();
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e} in {output:?}"));
    let states = |state: &Value, model| -> BTreeMap<String, Value> {
        rows(state, model).into_iter().map(|(peer, row)| (peer, row["state"].clone())).collect()
    };
    for model in MODELS {
        assert_eq!(states(&seen, model), states(&told, model), "{model}");
    }
    assert_eq!((output.status.code(), &seen["bootstrap_states"]), (Some(0), &json!(["online"])));

    // What a Petals server asks at its start.
    for (peer, reachable) in [(y, true), (&absent, false)] {
        let answer = first.get(&format!("/api/v1/is_reachable/{peer}")).await.unwrap().json().unwrap();
        assert_eq!(
            (&answer["success"], &answer["your_ip"]),
            (&json!(reachable), &json!("127.0.0.1")),
            "{answer}"
        );
        assert_eq!(answer["message"].is_null(), reachable, "{answer}");
    }
    assert_eq!(first.get("/api/v1/is_reachable/nobody").await.unwrap().status, 400);
}
