//! Swarms as a crawl would find them.

use std::collections::BTreeMap;

use hivemind_proto::records::ServerState;
use libp2p::PeerId;
use petald_actors::monitor::{
    record::ServerRecord,
    state::{BadRecord, Bootstrap, Model, Reach, Server, SwarmState},
};

/// The same at every run.
pub(crate) fn peer(number: u64) -> PeerId {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    libp2p::identity::Keypair::ed25519_from_bytes(seed).unwrap().public().to_peer_id()
}

/// A server that serves these blocks, online.
pub(crate) fn server(number: u64, name: Option<&str>, start: u32, end: u32) -> Server {
    let info = ServerRecord {
        state: ServerState::Online,
        throughput: 12.5 + number as f64,
        start_block: Some(start.into()),
        end_block: Some(end.into()),
        public_name: name.map(str::to_owned),
        version: Some(if number.is_multiple_of(3) { "petald-0.1.0" } else { "2.3.0.dev2" }.into()),
        network_rps: Some(3100.0),
        forward_rps: Some(890.0 + number as f64),
        inference_rps: Some(171.4),
        adapters: vec![],
        torch_dtype: Some("bfloat16".into()),
        quant_type: Some("nf4".into()),
        using_relay: Some(number % 5 == 4),
        cache_tokens_left: Some(8192 * (1 + number % 7)),
        next_pings: None,
    };
    Server {
        peer_id: peer(number).to_string(),
        start,
        end,
        info,
        reach: Reach::Answered { seconds: 0.021 + (number % 11) as f64 * 0.013 },
        addresses: vec![format!("/ip4/203.0.113.{}/tcp/31337", number % 250)],
        seconds_to_live: 230.0,
        pings_to_me: BTreeMap::new(),
        notes: vec![],
    }
}

pub(crate) fn model(prefix: &str, repository: &str, num_blocks: u32, servers: Vec<Server>) -> Model {
    Model {
        dht_prefix: prefix.into(),
        repository: Some(format!("https://huggingface.co/{repository}")),
        num_blocks,
        configured: false,
        listed: true,
        servers,
        bad_records: vec![],
        notes: vec![],
    }
}

pub(crate) fn swarm(models: Vec<Model>) -> SwarmState {
    SwarmState {
        crawled_at: 0.0,
        took: 0.84,
        period: Some(60.0),
        complete: true,
        notes: vec![],
        clock_offset: Some(0.02),
        dht_peers: 23,
        bootstraps: vec![
            Bootstrap {
                peer_id: peer(900).to_string(),
                addresses: vec!["/dns/bootstrap1.example.org/tcp/31337".into()],
                error: None,
            },
            Bootstrap {
                peer_id: peer(901).to_string(),
                addresses: vec!["/dns/bootstrap2.example.org/tcp/31338".into()],
                error: Some("cannot be dialled: connection refused".into()),
            },
        ],
        models,
    }
}

/// A model that is whole, one with a gap, and one that nobody serves.
pub(crate) fn small() -> SwarmState {
    let mut whole: Vec<Server> = [
        (0, Some("aurora"), 0, 24),
        (1, Some("basalt-gpu-01"), 0, 18),
        (2, None, 18, 40),
        (3, Some("Quiet Corner Lab"), 24, 52),
        (4, Some("relay farm east"), 40, 60),
        (5, Some("this one is mine"), 52, 80),
        (6, Some("granite"), 60, 80),
        (7, Some("late riser"), 10, 34),
        (8, None, 34, 44),
        (9, Some("gone fishing"), 0, 12),
    ]
    .map(|(number, name, start, end)| server(number, name, start, end))
    .into();
    whole[7].info.state = ServerState::Joining;
    whole[7].reach = Reach::NotAsked;
    whole[8].reach = Reach::Failed { error: "no answer within 5 s".into() };
    whole[9].info.state = ServerState::Offline;
    whole[9].reach = Reach::NotAsked;
    let ids: Vec<String> = whole.iter().map(|server| server.peer_id.clone()).collect();
    for (number, server) in whole.iter_mut().enumerate().take(7) {
        let to = ids.iter().enumerate().filter(|(other, _)| *other != number && *other < 7);
        let seconds = |other: usize| {
            (other != 4 || number > 2).then(|| 0.004 * ((number * 7 + other * 13) % 60) as f64)
        };
        server.info.next_pings = Some(to.map(|(other, id)| (id.clone(), seconds(other))).collect());
    }
    let mut gap: Vec<Server> = vec![server(20, Some("north"), 0, 14), server(21, Some("south"), 18, 32)];
    gap[1].notes = vec!["its records do not agree on its version".into()];
    let mut second = model("Meta-Llama-3-1-8B-hf", "meta-llama/Meta-Llama-3.1-8B", 32, gap);
    second.bad_records = vec![BadRecord {
        subkey: peer(666).to_string(),
        blocks: "14:18".into(),
        note: "throughput is no finite number".into(),
    }];
    let none = model("bloom-petals", "bigscience/bloom", 70, vec![]);
    swarm(vec![model("StableBeluga2-hf", "petals-team/StableBeluga2", 80, whole), second, none])
}

/// Many models with as many servers each.
pub(crate) fn large(models: u32, servers: u32) -> SwarmState {
    const BLOCKS: u32 = 126;
    let of = |number: u32| {
        let servers = (0..servers).map(|place| {
            let start = (place * 37 + number * 11) % (BLOCKS - 20);
            let id = u64::from(number * servers + place) + 1000;
            let name = format!("server {place} of {number}");
            let mut server = server(id, Some(&name), start, start + 8 + place % 12);
            match place % 13 {
                5 => server.info.state = ServerState::Joining,
                9 => server.reach = Reach::Failed { error: "connection refused".into() },
                _ => {}
            }
            server
        });
        model(
            &format!("model-{number}-hf"),
            &format!("org-{}/model-{number}", number % 9),
            BLOCKS,
            servers.collect(),
        )
    };
    swarm((0..models).map(of).collect())
}
