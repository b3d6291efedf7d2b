//! Layers, types, and what a wrong config is told: `bad.toml` is the whole table.

use std::time::Duration;

use petald_actors::backend::{self, HealthSource};
use petald_actors::server_info::messages::Field;
use petald_actors::supervisor::ChildSettings;

use super::*;

mod again;
mod bad;
mod garbage;
pub(crate) mod reference;

/// Loads a file with this text, environment and `--set`.
fn load(text: &str, variables: &[(&str, &str)], arguments: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("petald.toml");
    std::fs::write(&file, text).unwrap();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    let arguments: Vec<_> =
        arguments.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    Config::layered(Some(&file), variables, &arguments)
}

/// The complaints about a config, each without the folder of the file.
fn complaints(text: &str, variables: &[(&str, &str)], arguments: &[(&str, &str)]) -> Vec<String> {
    match load(text, variables, arguments) {
        Err(ConfigError::Wrong { problems, .. }) => {
            let line = |problem: &problem::Problem| {
                let line = problem.to_string();
                line.rsplit_once("/petald.toml:").map_or(line.clone(), |(_, rest)| rest.to_owned())
            };
            problems.iter().map(line).collect()
        }
        other => panic!("expected complaints, got {other:?}"),
    }
}

const SEED: &str = "[network]\nswarm = \"seed\"\n";
const MODEL: &str = "[network]\nswarm = \"seed\"\n[model]\ndht_prefix = \"m\"\nnum_blocks = 8\n";

#[test]
fn the_configs_of_the_house_load() {
    for (file, swarm, state) in [
        ("config/local.toml", Swarm::Seed, State::Online),
        ("config/petals.toml", Swarm::Join, State::Auto),
        ("config/kwaai.toml", Swarm::Join, State::Auto),
    ] {
        let config =
            Config::layered(Some(Path::new(file)), [], &[]).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(config.network.swarm, swarm, "{file}");
        assert_eq!(config.serving.unwrap().server.state, state, "{file}");
    }
}

#[test]
fn a_bootstrap_announces_nothing_and_holds_a_million_records() {
    let config = Config::layered(Some(Path::new("config/bootstrap.toml")), [], &[]).unwrap();
    assert!(config.serving.is_none() && config.backend.is_none());
    assert_eq!(config.network.swarm, Swarm::Seed);
    assert_eq!(config.network.max_incoming_connections.get(), 2000);
    assert!(config.dht.acceptance.signatures && config.dht.acceptance.first_hand);
    assert!(config.dht.storage.keys >= 1_000_000 && config.dht.storage.total_bytes <= 400 << 20);
    // Where nothing is said, the defaults are those of the DHT itself.
    let silent = load(SEED, &[], &[]).unwrap();
    let limits = |limits: &hivemind_proto::dht::storage::Limits| format!("{limits:?}");
    assert_eq!(limits(&silent.dht.storage), limits(&hivemind_proto::dht::storage::Limits::default()));
    assert_eq!(limits(&silent.dht.cache), limits(&hivemind_proto::dht::storage::Limits::of_cache()));
    assert_eq!(silent.dht.acceptance, hivemind_proto::dht::Acceptance::default());
    assert_eq!(silent.network.max_incoming_connections.get(), 384);
}

#[test]
fn without_a_file_it_seeds_a_swarm_on_loopback() {
    let config = Config::layered(None, [], &[]).unwrap();
    assert_eq!(config.network.swarm, Swarm::Seed);
    assert_eq!(config.network.listen[0].to_string(), "/ip4/127.0.0.1/tcp/31337");
    assert_eq!(config.identity_file(), Path::new("petald-data/local/identity"));
    assert_eq!(config.log_dir(), Path::new("petald-data/local/log"));
    let serving = config.serving.unwrap();
    assert_eq!(serving.server.blocks.to_string(), "0:8");
    assert_eq!(serving.server.version, concat!("petald-", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_file_with_neither_model_nor_server_is_a_bootstrap() {
    assert!(load(SEED, &[], &[]).unwrap().serving.is_none());
}

#[test]
fn later_layers_win() {
    let text = "[network]\nswarm = \"seed\"\n[announce]\nperiod = \"10s\"\nttl = \"100s\"\n[log]\nkeep = 3\n";
    let variables =
        [("PETALD__ANNOUNCE__PERIOD", "20s"), ("PETALD__LOG__KEEP", "4"), ("OTHER__LOG__KEEP", "9")];
    let config = load(text, &variables, &[("log.keep", "5")]).unwrap();
    assert_eq!(config.announce.period, Duration::from_secs(20));
    assert_eq!(config.announce.ttl, Duration::from_secs(100));
    assert_eq!(config.log.keep.get(), 5);
}

#[test]
fn text_layers_take_their_type_from_the_key() {
    let two = ["/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0"];
    for listen in ["/ip4/127.0.0.1/tcp/0, /ip6/::1/tcp/0", r#"["/ip4/127.0.0.1/tcp/0", '/ip6/::1/tcp/0']"#] {
        for config in [
            load(SEED, &[("PETALD__NETWORK__LISTEN", listen)], &[]).unwrap(),
            load(SEED, &[], &[("network.listen", listen)]).unwrap(),
        ] {
            let listen: Vec<_> = config.network.listen.iter().map(ToString::to_string).collect();
            assert_eq!(listen, two);
        }
    }
    let variables = [
        ("PETALD__NODE__PUBLIC_NAME", "123"),
        ("PETALD__NETWORK__PRIVATE_ADDRESSES", "true"),
        ("PETALD__SERVER__THROUGHPUT", "3"),
        ("PETALD__SUPERVISOR__SERVER_INFO__BACKOFF_MIN", "200ms"),
    ];
    let config = load(MODEL, &variables, &[("server.blocks", "0:1"), ("node.data_dir", "'a b'")]).unwrap();
    assert_eq!(config.node.public_name.as_deref(), Some("123"));
    assert_eq!(config.node.data_dir, Path::new("a b"));
    assert!(config.network.private_addresses);
    assert_eq!(config.serving.unwrap().server.throughput.get(), 3.0);
    assert_eq!(config.supervisor.of("server_info").backoff.first, Duration::from_millis(200));
    assert_eq!(config.supervisor.of("network"), ChildSettings::default());
}

#[test]
fn a_whole_throughput_is_a_float_too() {
    let config = load(&format!("{MODEL}[server]\nblocks = \"2:8\"\nthroughput = 3\n"), &[], &[]).unwrap();
    assert_eq!(config.serving.unwrap().server.throughput.get(), 3.0);
}

#[test]
fn a_backend_is_an_address_or_a_file() {
    let server = format!("{MODEL}[server]\nblocks = \"0:8\"\n");
    assert_eq!(load(&server, &[], &[]).unwrap().backend, None);
    let text = format!("{server}[backend]\nhealth_url = \"http://localhost:8000/health\"\n");
    let variables = [("PETALD__BACKEND__UNHEALTHY_AFTER", "5")];
    let expected = backend::Settings {
        source: HealthSource::Url("http://localhost:8000/health".parse().unwrap()),
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(3),
        healthy_after: 2.try_into().unwrap(),
        unhealthy_after: 5.try_into().unwrap(),
    };
    assert_eq!(load(&text, &variables, &[]).unwrap().backend, Some(expected));
    let arguments = [("backend.health_file", "/run/model/alive"), ("backend.max_age", "1m")];
    let expected = HealthSource::File { path: "/run/model/alive".into(), max_age: Duration::from_secs(60) };
    assert_eq!(load(&server, &[], &arguments).unwrap().backend.unwrap().source, expected);
}

#[test]
fn what_the_operator_states_is_told_from_defaults() {
    let stated = |keys: &str| {
        let text = format!("{MODEL}[server]\nblocks = \"0:8\"\n{keys}");
        load(&text, &[], &[]).unwrap().serving.unwrap().server.stated
    };
    assert_eq!(stated(""), []);
    assert_eq!(stated("state = \"auto\"\nadapters = []\n"), []);
    assert_eq!(stated("state = \"joining\"\n"), [Field::State]);
    let figures =
        "throughput = 1.0\ncache_tokens_left = 1\nnetwork_rps = 1\nforward_rps = 1\ninference_rps = 1\n";
    let expected = [
        Field::Throughput,
        Field::CacheTokensLeft,
        Field::NetworkRps,
        Field::ForwardRps,
        Field::InferenceRps,
    ];
    assert_eq!(stated(figures), expected);
}

#[test]
fn every_error_is_told_at_once_with_its_line() {
    let text = r#"[network]
lisen = ["/ip4/127.0.0.1/tcp/0"]
listen = [
    "/ip4/127.0.0.1/tcp/0",
    "nonsense",
    "/ip4/127.0.0.1/udp/1",
]
initial_peers = ["/ip4/127.0.0.1/tcp/31337"]
max_connections = "many"

[announce]
period = 60

[model]
dht_prefix = "a.b"
num_blocks = 0

[server]
blocks = "8:0"
throughput = nan
version = "kwaai-1.0"
"#;
    let complaints = complaints(text, &[("PETALD__LOG__FORMAT", "xml")], &[("admin.listen", "0.0.0.0:1")]);
    let expected = [
        "2: network.lisen: is not a known key; did you mean `network.listen`?",
        "5: network.listen[1]: \"nonsense\" is not a multiaddress",
        "6: network.listen[2]: cannot listen on /ip4/127.0.0.1/udp/1",
        "8: network.initial_peers[0]: /ip4/127.0.0.1/tcp/31337 lacks the peer's id",
        "9: network.max_connections: is the text \"many\"; expected a whole number",
        "12: announce.period: is a duration without quotes and unit",
        "15: model.dht_prefix: ",
        "16: model.num_blocks: 0 is out of range",
        "19: server.blocks: 8:0 is no range",
        "20: server.throughput: NaN is not a finite number",
        "21: server.version: \"kwaai-1.0\" claims to be",
        "PETALD__LOG__FORMAT: log.format: \"xml\" is not known here; expected \"text\" or \"json\"",
        "--set: admin.listen: 0.0.0.0:1 is not a loopback address",
    ];
    for (complaint, expected) in complaints.iter().zip(expected) {
        assert!(complaint.starts_with(expected), "{complaint:?} instead of {expected:?}");
    }
    assert_eq!(complaints.len(), expected.len(), "{complaints:#?}");
}

#[test]
fn unknown_variables_and_arguments_are_errors() {
    let variables = [("PETALD__NETWORK__LISEN", "x"), ("PETALD__", "y")];
    let complaints = complaints(SEED, &variables, &[("nodes", "z")]);
    assert!(
        complaints.iter().any(|c| c.starts_with("PETALD__NETWORK__LISEN: network.lisen: ")),
        "{complaints:?}"
    );
    assert!(
        complaints.iter().any(|c| c.starts_with("--set: nodes: is not a known key; did you mean `node`"))
    );
    assert_eq!(complaints.len(), 3, "{complaints:?}");
}

#[test]
fn broken_toml_is_told_with_its_lines() {
    let complaints = complaints("[network]\nswarm = \nlisten = [\"a\"]\nswarm = \"seed\"\nx = @\n", &[], &[]);
    assert!(complaints.iter().all(|complaint| complaint.contains(": is not valid TOML: ")), "{complaints:?}");
    assert!(complaints[0].starts_with("2: "), "{complaints:?}");
    assert!(complaints.len() > 1, "{complaints:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Config::layered(Some(Path::new("no/such/file.toml")), [], &[]).unwrap_err().to_string();
    assert!(error.starts_with("cannot read the config file no/such/file.toml: "), "{error}");
}

#[test]
fn an_initial_peer_may_be_named_by_records_that_hold_whole_addresses() {
    const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    let text = |peer: &str| format!("[network]\nswarm = \"seed\"\ninitial_peers = [\"{peer}\"]\n");
    let address = format!("/dnsaddr/bootstrap.example.org/p2p/{PEER}");
    let config = load(&text(&address), &[], &[]).unwrap();
    assert_eq!(config.network.initial_peers[0].to_string(), address);
    for bad in ["/dnsaddr/bootstrap.example.org", &format!("/dnsaddr/x/tcp/1/udp/2/p2p/{PEER}")] {
        assert_eq!(complaints(&text(bad), &[], &[]).len(), 1, "{bad}");
    }
}
