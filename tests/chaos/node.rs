//! petald in a namespace of its own, with a log disk of its own that can be filled.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::UnixStream, process::Command};

use super::net::{Net, text};
use crate::support::{deadline::eventually, http, process::Process};

const PORT: u16 = 31330;
pub(crate) const PREFIX: &str = "chaos-model";
pub(crate) const BLOCKS: u32 = 8;

/// From start to an admin API that names the listening addresses.
const START_LIMIT: Duration = Duration::from_secs(15);
/// A drain confirms OFFLINE at every replica before the process ends.
const DRAIN_LIMIT: Duration = Duration::from_secs(15);

/// The log disk: some thousand lines.
const LOG_DISK: &str = "1m";

/// What stands for `/etc/resolv.conf`, where a scenario has names of its own.
const RESOLV_CONF: &str = "resolv.conf";

/// What a scenario varies.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) initial_peers: Vec<String>,
    pub(crate) period: &'static str,
    pub(crate) ttl: &'static str,
}

/// Asks the admin API, which no other namespace reaches over TCP.
async fn request(socket: &Path, method: &str, path: &str) -> Result<http::Answer, String> {
    http::exchange(UnixStream::connect(socket), "localhost", method, path, "").await
}

/// petald's data folder and config.
pub(crate) struct Home {
    folder: TempDir,
    program: PathBuf,
}

/// The program under test as it is now: a run of minutes must not change horses because somebody builds.
pub(crate) fn keep_program(folder: &Path) -> PathBuf {
    let program = folder.join("petald");
    std::fs::copy(env!("CARGO_BIN_EXE_petald"), &program).unwrap();
    program
}

impl Home {
    pub(crate) fn new(net: &Net, program: PathBuf, config: &Config) -> Home {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("log")).unwrap();
        let home = Home { folder, program };
        home.write(net, config);
        home
    }

    pub(crate) fn write(&self, net: &Net, config: &Config) {
        let Config { initial_peers, period, ttl } = config;
        let console = std::env::var("PETALD_CHAOS_CONSOLE")
            .unwrap_or_else(|_| "info,libp2p=error,actix_server=warn".into());
        let (root, address) = (text(self.folder.path()), &net.port("petald").address);
        let config = format!(
            r#"
            [node]
            data_dir = "{root}/data"
            public_name = "chaos node"
            [network]
            listen = ["/ip4/{address}/tcp/{PORT}"]
            private_addresses = true
            swarm = "join"
            initial_peers = {initial_peers:?}
            [model]
            dht_prefix = "{PREFIX}"
            repository = "https://huggingface.co/test/model"
            num_blocks = {BLOCKS}
            [server]
            blocks = "0:{BLOCKS}"
            state = "online"
            throughput = 1.0
            [announce]
            period = "{period}"
            ttl = "{ttl}"
            [admin]
            listen = "unix:{root}/admin.sock"
            [log]
            dir = "{root}/log"
            console = "{console}"
            [debug]
            crash_endpoint = true
            "#
        );
        std::fs::write(self.path("petald.toml"), config).unwrap();
    }

    /// From the next start on names are asked for there, and not where this machine asks.
    pub(crate) fn use_name_server(&self, address: &str) {
        std::fs::write(self.path(RESOLV_CONF), format!("nameserver {address}\n")).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts petald and returns at once.
    pub(crate) fn spawn(&self, net: &Net) -> Petald {
        let mut command: Command = net.port("petald").command();
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PETALD_") {
                command.env_remove(name);
            }
        }
        command.env("RUST_BACKTRACE", "0");
        // The mount namespace, and the disk in it, end with the process. Everything is replaced by the next
        // program in turn, so that the process id is petald's.
        let script = format!(
            "mount -t tmpfs -o size={LOG_DISK} log \"$1\" && \
             if [ -e \"$4\" ]; then mount --bind \"$4\" /etc/resolv.conf; fi && \
             exec \"$2\" run --config \"$3\""
        );
        command.args(["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "sh", "-c", &script, "sh"]);
        command.args([
            self.path("log"),
            self.program.clone(),
            self.path("petald.toml"),
            self.path(RESOLV_CONF),
        ]);
        let socket = self.path("admin.sock");
        let process = Process::start("petald", command, &self.path("output"), false);
        Petald { process, socket, log: self.path("log"), peer_id: String::new() }
    }

    pub(crate) async fn run(&self, net: &Net) -> Petald {
        self.spawn(net).listening().await
    }

    /// Everything that petald ever said to its console.
    pub(crate) fn output(&self) -> String {
        std::fs::read_to_string(self.path("output")).unwrap_or_default()
    }
}

pub(crate) struct Petald {
    process: Process,
    socket: PathBuf,
    log: PathBuf,
    pub(crate) peer_id: String,
}

impl Petald {
    async fn listening(mut self) -> Petald {
        let (process, socket) = (&mut self.process, &self.socket);
        let (peer_id, _) = eventually(START_LIMIT, "petald listens", async || {
            if let Some(status) = process.ended() {
                panic!("petald ended: {status}\n{}", process.output());
            }
            let node = request(socket, "GET", "/api/v1/node").await?.json()?;
            match node["listen"].as_array().is_some_and(|listen| !listen.is_empty()) {
                true => Ok(node["peer_id"].as_str().unwrap_or_default().to_owned()),
                false => Err(node.to_string()),
            }
        })
        .await;
        self.peer_id = peer_id;
        self
    }

    pub(crate) fn process_id(&self) -> i32 {
        self.process.id()
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.ended()
    }

    /// `GET /api/v1/node`.
    pub(crate) async fn node(&self) -> Result<Value, String> {
        request(&self.socket, "GET", "/api/v1/node").await?.json()
    }

    /// Panics an actor. An error says why it was not: it may be waiting for its turn.
    pub(crate) async fn crash(&self, actor: &str) -> Result<(), String> {
        let answer = request(&self.socket, "POST", &format!("/debug/crash/{actor}")).await?;
        match answer.status {
            202 => Ok(()),
            _ => Err(answer.body),
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// SIGKILL, and the end of the process.
    pub(crate) async fn kill(mut self) {
        self.process.signal(Signal::KILL);
        self.process.exit(DRAIN_LIMIT).await;
    }

    /// SIGTERM, and the end of the process.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.exit(DRAIN_LIMIT).await
    }

    /// The log disk, which only petald's mount namespace has.
    fn disk(&self) -> PathBuf {
        let mut path = format!("/proc/{}/root", self.process_id());
        let _ = write!(path, "{}", text(&self.log));
        PathBuf::from(path)
    }

    /// Everything in its log files.
    pub(crate) fn logged(&self) -> String {
        let files = std::fs::read_dir(self.disk()).into_iter().flatten().flatten();
        let logs = files.filter(|file| file.path().extension().is_some_and(|extension| extension == "log"));
        logs.filter_map(|log| std::fs::read_to_string(log.path()).ok()).collect()
    }

    /// Fills the log disk to the last byte.
    pub(crate) fn fill_disk(&self) -> std::io::Result<()> {
        let mut ballast = std::fs::File::create(self.disk().join("ballast"))?;
        for size in [4096, 1] {
            let bytes = vec![0; size];
            while std::io::Write::write_all(&mut ballast, &bytes).is_ok() {}
        }
        Ok(())
    }

    pub(crate) fn empty_disk(&self) -> std::io::Result<()> {
        std::fs::remove_file(self.disk().join("ballast"))
    }
}
