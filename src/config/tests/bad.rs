//! Every kind of mistake, and word for word what is said of it.

use super::*;

/// Each `[[case]]` is a config and all errors that it has.
const CASES: &str = include_str!("bad.toml");
/// What an operator may rely on.
const FEWEST_CASES: usize = 40;

#[derive(serde::Deserialize)]
struct Cases {
    case: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    what: String,
    config: String,
    errors: Vec<String>,
}

#[test]
fn every_mistake_is_told_with_its_line_its_key_and_what_would_be_right() {
    let cases = toml::from_str::<Cases>(CASES).unwrap().case;
    assert!(cases.len() >= FEWEST_CASES, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for Case { what, config, errors } in cases {
        assert!(!errors.is_empty(), "{what}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bad.toml");
        std::fs::write(&file, config).unwrap();
        let Err(ConfigError::Wrong { problems, .. }) = Config::layered(Some(&file), [], &[]) else {
            panic!("{what}: it was taken");
        };
        let folder = format!("{}/", folder.path().display());
        let said: Vec<_> = problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect();
        if said != errors {
            wrong.push(format!("{what}:\n  said     {said:#?}\n  expected {errors:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is odd about a config, each without the folder of the file.
fn warnings(text: &str) -> Vec<String> {
    let config = load(text, &[], &[]).unwrap_or_else(|error| panic!("{error}"));
    let line = |warning: &problem::Problem| {
        let line = warning.to_string();
        line.rsplit_once("/petald.toml:").map_or(line.clone(), |(_, rest)| rest.to_owned())
    };
    config.warnings.iter().map(line).collect()
}

#[test]
fn what_may_be_meant_is_warned_of() {
    const PEER: &str = "p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    let join = |host: &str| {
        format!(
            "[network]\nswarm = \"join\"\ninitial_peers = [\"{host}/tcp/31337/{PEER}\"]\nprivate_addresses = true\n"
        )
    };
    let public = "4: network.private_addresses: tells a public swarm addresses that nobody else there can dial; set it for a swarm in one network only";
    for (text, expected) in [
        (join("/ip4/1.2.3.4"), vec![public]),
        (join("/dns/bootstrap.example.org"), vec![public]),
        (join("/ip4/10.0.0.1"), vec![]),
        (join("/dns/bootstrap.petals.svc.cluster.local"), vec![]),
        (
            format!("{SEED}listen = [\"/ip4/192.168.1.2/tcp/31337\"]\n"),
            vec![
                "3: network.listen: is private, so nobody is told where we are; name the address that others dial in network.announce",
            ],
        ),
        (
            format!(
                "{SEED}listen = [\"/ip4/192.168.1.2/tcp/31337\"]\nannounce = [\"/dns/a.example.org/tcp/1\"]\n"
            ),
            vec![],
        ),
        (
            format!("{SEED}[announce]\nttl = \"2h\"\n"),
            vec![
                "4: announce.ttl: a node that is killed is still listed for 2h; some minutes are enough where records are renewed in time",
            ],
        ),
        (
            format!("{SEED}[observer]\ninterval = \"6m\"\n"),
            vec![
                "4: observer.interval: is longer than announce.ttl: records could lapse and come back unseen; shorten it",
            ],
        ),
        (SEED.to_owned(), vec![]),
    ] {
        assert_eq!(warnings(&text), expected, "{text}");
    }
}

#[test]
fn the_configs_of_the_house_are_not_odd() {
    for file in ["config/local.toml", "config/petals.toml", "config/kwaai.toml"] {
        let config = Config::layered(Some(Path::new(file)), [], &[]).unwrap();
        assert_eq!(config.warnings, [], "{file}");
    }
}
