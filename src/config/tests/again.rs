//! A config that is read again: what changes, what waits for a restart, and what is refused.

use super::*;

/// A config in a file that changes.
struct Written {
    _folder: tempfile::TempDir,
    file: PathBuf,
    config: Config,
}

impl Written {
    fn new(text: &str, arguments: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("petald.toml");
        std::fs::write(&file, text).unwrap();
        let arguments: Vec<_> =
            arguments.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let config = Config::layered(Some(&file), [], &arguments).unwrap_or_else(|error| panic!("{error}"));
        Self { _folder: folder, file, config }
    }

    fn again(&self, text: &str) -> Result<Again, ConfigError> {
        std::fs::write(&self.file, text).unwrap();
        self.config.again([])
    }
}

fn server(more: &str) -> String {
    format!("{MODEL}[server]\nblocks = \"0:4\"\n{more}")
}

#[test]
fn new_values_are_taken_and_named() {
    let written = Written::new(&server("state = \"online\"\nadapters = [\"a/b\"]\n"), &[]);
    let text = server("state = \"joining\"\nthroughput = 2.0\n[announce]\nperiod = \"30s\"\n");
    let again = written.again(&text).unwrap();
    assert_eq!(again.changed, ["announce.period", "server.adapters", "server.state", "server.throughput"]);
    assert_eq!(again.restart, [] as [&str; 0]);
    assert_eq!(again.config.announce.period, Duration::from_secs(30));
    let server = again.config.serving.clone().unwrap().server;
    assert_eq!((server.state, server.throughput.get()), (State::Joining, 2.0));
    assert_eq!(server.stated, [Field::State, Field::Throughput]);
    // From here it goes on.
    let same = again.config.again([]).unwrap();
    assert_eq!((same.changed, same.restart), (vec![], vec![]));
}

#[test]
fn a_default_that_is_written_is_the_operators_word() {
    let written = Written::new(&server(""), &[]);
    let again = written.again(&server("throughput = 1.0\n")).unwrap();
    assert_eq!(again.changed, ["server.throughput"]);
    assert_eq!(again.config.serving.unwrap().server.stated, [Field::Throughput]);
}

#[test]
fn what_needs_a_restart_is_named_and_keeps_its_value() {
    let written = Written::new(&server(""), &[]);
    let text = server(
        "throughput = 3.0\n[log]\nformat = \"json\"\nkeep = 3\n[supervisor.dht]\nprobe_period = \"2s\"\n",
    )
    .replace("num_blocks = 8", "num_blocks = 16")
    .replace("[model]", "listen = [\"/ip4/0.0.0.0/tcp/1\"]\n[model]");
    let again = written.again(&text).unwrap();
    assert_eq!(again.changed, ["log.keep", "server.throughput"]);
    assert_eq!(
        again.restart,
        ["log.format", "model.num_blocks", "network.listen", "supervisor.dht.probe_period"]
    );
    let config = &again.config;
    assert_eq!((config.log.format, config.log.keep.get()), (Format::Text, 3));
    assert_eq!(config.network.listen, written.config.network.listen);
    assert_eq!(config.serving.as_ref().unwrap().model.num_blocks, 8);
    // It is named again until somebody restarts, or takes it back.
    assert_eq!(config.again([]).unwrap().restart, again.restart);
    std::fs::write(&written.file, server("throughput = 3.0\n[log]\nkeep = 3\n")).unwrap();
    assert_eq!(config.again([]).unwrap().restart, [] as [&str; 0]);
}

#[test]
fn what_makes_no_sense_without_a_restart_is_refused() {
    let written = Written::new(&server(""), &[]);
    let text = server("").replace("num_blocks = 8", "num_blocks = 16").replace("0:4", "8:16");
    let error = written.again(&text).unwrap_err().to_string();
    assert!(error.contains("server.blocks: \"8:16\" reaches beyond the model's 8 blocks"), "{error}");
    assert!(error.contains("model.num_blocks: takes a restart"), "{error}");
}

#[test]
fn sections_that_come_or_go_wait_for_a_restart() {
    let written = Written::new(SEED, &[]);
    let again = written.again(&server("[log]\nkeep = 3\n")).unwrap();
    assert_eq!(
        (again.changed, again.restart),
        (vec!["log.keep".to_owned()], vec!["model".into(), "server".into()])
    );
    assert!(again.config.serving.is_none());

    let written = Written::new(&server(""), &[]);
    let backend = "[backend]\nhealth_file = \"alive\"\n";
    let again = written.again(&server(&format!("throughput = 2.0\n{backend}"))).unwrap();
    assert_eq!(
        (again.changed, again.restart),
        (vec!["server.throughput".to_owned()], vec!["backend".into()])
    );
    assert_eq!(again.config.backend, None);
    let again = written.again(SEED).unwrap();
    assert_eq!(again.restart, ["model", "server"]);
    assert!(again.config.serving.is_some());
}

#[test]
fn what_is_wrong_is_told_as_at_a_start() {
    let written = Written::new(&server(""), &[]);
    let error = written.again("[network]\nlisen = []\n[announce]\nttl = \"1s\"\n").unwrap_err();
    let ConfigError::Wrong { problems, .. } = error else { panic!("{error}") };
    let keys: Vec<_> = problems.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["network.initial_peers", "network.lisen", "announce.ttl"]);
    std::fs::remove_file(&written.file).unwrap();
    assert!(matches!(written.config.again([]), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn the_command_line_still_wins() {
    let written = Written::new(&server(""), &[("announce.period", "20s"), ("server.blocks", "0:2")]);
    let again = written.again(&server("[announce]\nperiod = \"40s\"\n")).unwrap();
    assert_eq!(again.changed, [] as [&str; 0]);
    assert_eq!(again.config.announce.period, Duration::from_secs(20));
    assert_eq!(again.config.serving.unwrap().server.blocks.to_string(), "0:2");
}
