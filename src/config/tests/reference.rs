//! `config/reference.toml` is the manual and the defaults: it has every key that is known, and none else, and what it
//! says of each is so.

use std::collections::BTreeSet;

use super::*;

/// A key as the manual describes it.
#[derive(Debug)]
struct Key {
    path: String,
    /// As it stands in the file; none if it is commented out.
    value: Option<String>,
    unit: String,
    default: String,
    reloads: bool,
}

/// Reads the manual by its form: above each key stands a line `#: unit; default …; reloads|restart`.
fn keys() -> Vec<Key> {
    let (mut section, mut description, mut keys) = (String::new(), None, Vec::new());
    // The first paragraph is of the form itself.
    for line in DEFAULTS.lines().skip_while(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some(text) = line.strip_prefix("#: ") {
            assert_eq!(description.replace(text), None, "two descriptions: {text}");
        } else if let Some((key, value)) = line.trim_start_matches("# ").split_once(" = ")
            && let Some(text) = description.take()
        {
            let [unit, default, reloads] = text.split("; ").collect::<Vec<_>>()[..] else {
                panic!("{text:?} is not unit; default; reloads");
            };
            keys.push(Key {
                path: format!("{section}.{key}"),
                value: (!line.starts_with('#')).then(|| value.to_owned()),
                unit: unit.to_owned(),
                default: default.strip_prefix("default ").expect("default …").to_owned(),
                reloads: match reloads {
                    "reloads" => true,
                    "restart" => false,
                    other => panic!("{other:?}"),
                },
            });
        } else {
            assert_eq!(description, None, "no key follows the description");
            assert!(line.is_empty() || line.starts_with("# "), "no description stands above {line:?}");
        }
    }
    keys
}

/// Every key, and whether it reloads.
pub(crate) fn which_reload() -> Vec<(String, bool)> {
    keys().into_iter().map(|key| (key.path, key.reloads)).collect()
}

/// A config in which every section is read.
fn everything() -> Layers {
    let arguments = [
        ("network.swarm", "seed"),
        ("model.dht_prefix", "m"),
        ("model.num_blocks", "8"),
        ("server.blocks", "0:8"),
        ("backend.health_file", "alive"),
    ];
    Layers {
        arguments: arguments.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec(),
        ..Layers::default()
    }
}

#[test]
fn it_has_every_key_that_is_known_and_none_else() {
    let merged = layers::merge(DEFAULTS, &everything()).unwrap();
    let reading = Reading::new(merged.places.clone());
    assert!(read(&reading, merged, None, &[]).is_some());
    let notes = reading.into_notes();
    assert_eq!(notes.problems, []);
    // What one actor may have stands once in the manual, for all of them.
    let of_one_actor = |key: &String| key.starts_with("supervisor.") && key.matches('.').count() > 1;
    let known: BTreeSet<String> = notes.known.into_iter().filter(|key| !of_one_actor(key)).collect();
    let described: BTreeSet<String> = keys().into_iter().map(|key| key.path).collect();
    assert_eq!(described, known);
    assert_eq!(keys().len(), described.len(), "a key stands there twice");
}

#[test]
fn what_it_says_of_each_key_is_so() {
    for key in keys() {
        match &key.value {
            Some(value) => assert_eq!(key.default, *value, "{}", key.path),
            None => {
                let known = key.default == "none" || key.default.contains('<');
                assert!(known, "{}: it has no default {}", key.path, key.default);
            }
        }
        assert_eq!(key.reloads, super::super::again::reloads(&key.path), "{}", key.path);
        assert!(!key.unit.is_empty(), "{}", key.path);
    }
}

#[test]
fn its_examples_are_right() {
    let mut text = String::from("[network]\nswarm = \"seed\"\n");
    let mut section = String::new();
    for line in DEFAULTS.lines().skip_while(|line| !line.starts_with('[')) {
        if line.starts_with('[') {
            section = line.to_owned();
            if section != "[network]" {
                text.push_str(&format!("{line}\n"));
            }
        } else if let Some((key, _)) = line.strip_prefix("# ").and_then(|line| line.split_once(" = "))
            && key.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())
            // Either of the two.
            && key != "health_url"
            && key != "webhook"
            // It would have to be there.
            && key != "token_file"
            && section != "[network]"
        {
            text.push_str(&format!("{}\n", &line[2..]));
        }
    }
    let config = load(&text, &[], &[]).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(config.log_dir(), Path::new("/var/log/petald"));
    assert_eq!(config.serving.unwrap().server.blocks.to_string(), "0:10");
}

#[test]
fn what_the_program_takes_without_a_config_is_what_it_says() {
    let config = load(SEED, &[], &[]).unwrap();
    assert_eq!(config.announce.ttl, Duration::from_secs(300));
    assert_eq!(config.network.max_connections.get(), 512);
    assert_eq!(config.log.keep_bytes, 256 << 20);
    assert_eq!(config.supervisor.of("dht"), ChildSettings::default());
    assert_eq!(config.network.listen[0].to_string(), "/ip4/0.0.0.0/tcp/31337");
}
