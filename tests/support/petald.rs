//! petald itself, as an operator runs it: a config file, signals, the admin API.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::{
    deadline::{eventually, within},
    http,
    process::Process,
};

/// From start to an admin API that names the listening addresses.
const START_LIMIT: Duration = Duration::from_secs(15);
/// A drain confirms OFFLINE at every replica before the process ends.
const DRAIN_LIMIT: Duration = Duration::from_secs(15);
/// `check` and a refused `run` only read a file.
const REFUSAL_LIMIT: Duration = Duration::from_secs(10);

/// What a test varies in the config file; the rest is fit for loopback.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// None: `swarm = "seed"`.
    pub(crate) initial_peers: Vec<String>,
    pub(crate) dht_prefix: String,
    pub(crate) num_blocks: u32,
    /// As in the file: `"0:8"`.
    pub(crate) blocks: String,
    /// As in the file: `"60s"`.
    pub(crate) period: String,
    pub(crate) ttl: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            initial_peers: vec![],
            dht_prefix: "test-model".into(),
            num_blocks: 8,
            blocks: "0:8".into(),
            period: "60s".into(),
            ttl: "180s".into(),
        }
    }
}

/// What every test config claims about the server; readers must see it again.
pub(crate) const PUBLIC_NAME: &str = "test node";
pub(crate) const REPOSITORY: &str = "https://huggingface.co/test/model";
pub(crate) const THROUGHPUT: f64 = 12.5;
pub(crate) const CACHE_TOKENS_LEFT: u64 = 4096;
pub(crate) const TORCH_DTYPE: &str = "bfloat16";
pub(crate) const QUANT_TYPE: &str = "nf4";

impl Config {
    fn text(&self, data_dir: &Path) -> String {
        let swarm = if self.initial_peers.is_empty() { "seed" } else { "join" };
        let Config { dht_prefix, num_blocks, blocks, period, ttl, initial_peers } = self;
        format!(
            r#"
            [node]
            data_dir = {data_dir:?}
            public_name = "{PUBLIC_NAME}"
            [network]
            listen = ["/ip4/127.0.0.1/tcp/0"]
            private_addresses = true
            swarm = "{swarm}"
            initial_peers = {initial_peers:?}
            [model]
            dht_prefix = "{dht_prefix}"
            repository = "{REPOSITORY}"
            num_blocks = {num_blocks}
            [server]
            blocks = "{blocks}"
            state = "online"
            throughput = {THROUGHPUT}
            torch_dtype = "{TORCH_DTYPE}"
            quant_type = "{QUANT_TYPE}"
            cache_tokens_left = {CACHE_TOKENS_LEFT}
            [announce]
            period = "{period}"
            ttl = "{ttl}"
            [admin]
            listen = "127.0.0.1:0"
            [supervisor]
            probe_period = "1s"     # what the admin API tells is as old as the last probe
            probe_deadline = "1s"
            [debug]
            crash_endpoint = true
            "#
        )
    }
}

/// A data folder with its config file; it outlives the processes that run on it.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new(config: &Config) -> Home {
        let folder = tempfile::tempdir().unwrap();
        let home = Home { folder };
        std::fs::write(home.config(), config.text(&home.data())).unwrap();
        home
    }

    /// With a config file of the house.
    pub(crate) fn of_the_house(file: &str) -> Home {
        let folder = tempfile::tempdir().unwrap();
        let home = Home { folder };
        std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(file), home.config())
            .unwrap();
        home
    }

    /// Where all of it lies.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Replaces texts of the config file, each of which must be there.
    pub(crate) fn edit(&self, replacements: &[(&str, &str)]) {
        let mut text = std::fs::read_to_string(self.config()).unwrap();
        for (old, new) in replacements {
            assert!(text.contains(old), "{old:?} is not in the config:\n{text}");
            text = text.replace(old, new);
        }
        std::fs::write(self.config(), text).unwrap();
    }

    /// The log file where `log.rotation` is `"never"`.
    pub(crate) fn log_file(&self) -> PathBuf {
        self.data().join("log/petald.log")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("petald.toml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts petald and returns at once.
    pub(crate) fn spawn(&self) -> Starting {
        self.spawn_with(&[])
    }

    /// The same with `--set` for each of these.
    pub(crate) fn spawn_with(&self, settings: &[(&str, &str)]) -> Starting {
        let mut command = petald();
        command.arg("run").arg("--config").arg(self.config());
        for (key, value) in settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        self.start(command)
    }

    /// The same with `--set` for each of these texts, for one whose admin API is not that of the config file.
    pub(crate) fn spawn_set(&self, settings: &[&str]) -> Starting {
        let pairs: Vec<_> = settings.iter().filter_map(|setting| setting.split_once('=')).collect();
        self.spawn_with(&pairs)
    }

    /// The same in an environment that has these variables too.
    pub(crate) fn spawn_in(&self, variables: &[(&str, &str)]) -> Starting {
        let mut command = petald();
        command.arg("run").arg("--config").arg(self.config()).envs(variables.iter().copied());
        self.start(command)
    }

    /// Starts with `soft` file descriptors, which the process may raise, and with `--set` for what keeps a config of the
    /// house to this folder and to loopback.
    pub(crate) fn spawn_limited(&self, soft: u32) -> Starting {
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -S -n {soft} && exec \"$@\"")).arg("sh");
        command.arg(env!("CARGO_BIN_EXE_petald")).arg("run").arg("--config").arg(self.config());
        let data_dir = format!("node.data_dir={}", self.data().display());
        let loopback = ["network.listen=/ip4/127.0.0.1/tcp/0", "network.private_addresses=true"];
        for setting in loopback.into_iter().chain(["admin.listen=127.0.0.1:0", &data_dir]) {
            command.arg("--set").arg(setting);
        }
        command.stdin(Stdio::null()).kill_on_drop(true);
        self.start(command)
    }

    fn start(&self, command: Command) -> Starting {
        // What an earlier process bound; it would be taken for the new one's.
        let address_file = self.data().join("admin.addr");
        let _ = std::fs::remove_file(&address_file);
        let process = Process::start("petald", command, &self.folder.path().join("output"), false);
        Starting { process, address_file }
    }

    pub(crate) async fn run(&self) -> Petald {
        self.spawn().listening().await
    }

    pub(crate) async fn run_with(&self, settings: &[(&str, &str)]) -> Petald {
        self.spawn_with(settings).listening().await
    }
}

/// The program under test, with nothing of the tester's environment that would change its config.
pub(crate) fn petald() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_petald"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PETALD__") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// Runs petald with arguments that make it end by itself.
pub(crate) async fn refused(arguments: &[&str]) -> Output {
    within(REFUSAL_LIMIT, &format!("petald {arguments:?} ends"), petald().args(arguments).output())
        .await
        .unwrap()
}

/// A process whose admin API is not up yet.
pub(crate) struct Starting {
    process: Process,
    address_file: PathBuf,
}

impl Starting {
    /// SIGTERM, and the end of the process.
    pub(crate) async fn end(&mut self) {
        self.process.signal(Signal::TERM);
        self.process.exit(DRAIN_LIMIT).await;
    }

    /// Waits until it says where it listens.
    pub(crate) async fn listening(mut self) -> Petald {
        let (process, address_file) = (&mut self.process, &self.address_file);
        let (node, _) = eventually(START_LIMIT, "petald listens", async || {
            if let Some(status) = process.ended() {
                panic!("petald ended: {status}\n{}", process.output());
            }
            let node = http::request(admin(address_file)?, "GET", "/api/v1/node").await?.json()?;
            match addresses(&node).is_empty() {
                true => Err(format!("no listening address in {node}")),
                false => Ok(node),
            }
        })
        .await;
        let Starting { process, address_file } = self;
        let peer_id = node["peer_id"].as_str().unwrap().to_owned();
        Petald { process, address_file, peer_id, addresses: addresses(&node) }
    }
}

/// Where the admin API listens, as petald wrote it; it may change when its actor is restarted on port 0.
fn admin(file: &Path) -> Result<SocketAddr, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    text.trim().parse().map_err(|e| format!("{}: {e}: {text:?}", file.display()))
}

fn addresses(node: &Value) -> Vec<String> {
    let addresses = node["listen"].as_array().into_iter().flatten();
    addresses.map(|address| address.as_str().expect("an address is text").to_owned()).collect()
}

pub(crate) struct Petald {
    process: Process,
    address_file: PathBuf,
    pub(crate) peer_id: String,
    /// With their `/p2p/` part.
    pub(crate) addresses: Vec<String>,
}

impl Petald {
    pub(crate) fn process_id(&self) -> i32 {
        self.process.id()
    }

    /// What it has written to its console.
    pub(crate) fn output(&self) -> String {
        self.process.output()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.ended().is_none()
    }

    pub(crate) fn libp2p_id(&self) -> PeerId {
        self.peer_id.parse().unwrap()
    }

    /// Its addresses as a dialer wants them that names the peer apart.
    pub(crate) fn dialable(&self) -> Vec<Multiaddr> {
        let parse = |address: &String| -> Multiaddr { address.parse().unwrap() };
        let bare = |a: Multiaddr| a.into_iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect();
        self.addresses.iter().map(parse).map(bare).collect()
    }

    /// `GET /api/v1/node`.
    pub(crate) async fn node(&self) -> Result<Value, String> {
        http::request(admin(&self.address_file)?, "GET", "/api/v1/node").await?.json()
    }

    pub(crate) async fn get(&self, path: &str) -> Result<http::Answer, String> {
        http::request(admin(&self.address_file)?, "GET", path).await
    }

    pub(crate) async fn post(&self, path: &str) -> Result<http::Answer, String> {
        http::request(admin(&self.address_file)?, "POST", path).await
    }

    /// A request with a body.
    pub(crate) async fn send(&self, method: &str, path: &str, body: &str) -> Result<http::Answer, String> {
        http::send(admin(&self.address_file)?, method, path, body).await
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.process.signal(Signal::HUP);
    }

    /// SIGKILL, and the end of the process.
    pub(crate) async fn kill(mut self) {
        self.process.signal(Signal::KILL);
        self.process.exit(DRAIN_LIMIT).await;
    }

    pub(crate) async fn exit(mut self) -> ExitStatus {
        self.process.exit(DRAIN_LIMIT).await
    }
}
