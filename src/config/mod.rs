//! The config: four layers, of which later ones win, parsed into types that cannot be wrong.
//!
//! 1. built-in defaults (`config/reference.toml`, which is the manual too),
//! 2. a TOML file, or the embedded `config/local.toml` if none is named,
//! 3. environment variables: `PETALD__NETWORK__LISTEN` is `network.listen`,
//! 4. `--set network.listen=…` on the command line.
//!
//! In the last two a value is plain text: strings need no quotes, and an array is a TOML array or its
//! items with commas between them. Everything that is wrong is found in one go ([`ConfigError`]), with
//! its key and, where it came from the file, its line. Paths are relative to the working directory.

mod admin;
mod again;
mod alerts;
mod announce;
mod backend;
mod dht;
mod entry;
mod history;
mod layers;
mod log;
mod monitor;
mod network;
mod node;
mod observer;
mod problem;
mod section;
mod serving;
mod supervisor;
#[cfg(test)]
pub(crate) mod tests;
mod values;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub(crate) use admin::{Admin, Debug};
pub(crate) use again::Again;
pub(crate) use alerts::{Alert, Whom};
pub(crate) use announce::Announce;
pub(crate) use dht::Dht;
pub(crate) use history::History;
pub(crate) use log::{Format, Log, Rotation};
pub(crate) use monitor::Monitor;
pub(crate) use network::{Network, Swarm};
pub(crate) use node::Node;
pub(crate) use observer::Observer;
pub(crate) use problem::ConfigError;
pub(crate) use serving::{Model, Server, State};
pub(crate) use supervisor::Supervisor;
pub(crate) use values::Directives;

use petald_actors::monitor::When;

use layers::{Document, Layers, Merged};
use problem::Problem;
use section::Reading;

/// The manual: one truth for what an operator reads and what holds.
const DEFAULTS: &str = include_str!("../../config/reference.toml");
/// What runs when no file is named: a private swarm on loopback.
const EMBEDDED: &str = include_str!("../../config/local.toml");
/// The name of [`EMBEDDED`] in messages.
const EMBEDDED_NAME: &str = "embedded config";
/// A config file is a page or two; what is larger was named by mistake.
const LARGEST_FILE_BYTES: u64 = 1 << 20;

/// Everything that the operator says.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The file that was read; none if the embedded one was.
    pub(crate) file: Option<PathBuf>,
    pub(crate) node: Node,
    pub(crate) network: Network,
    pub(crate) dht: Dht,
    /// What we serve; none for a bootstrap.
    pub(crate) serving: Option<Serving>,
    /// The model server behind us, if there is one that we can look at.
    pub(crate) backend: Option<petald_actors::backend::Settings>,
    pub(crate) announce: Announce,
    pub(crate) observer: Observer,
    pub(crate) monitor: Monitor,
    pub(crate) history: History,
    /// Who is told of changes.
    pub(crate) alerts: Vec<Alert>,
    pub(crate) admin: Admin,
    pub(crate) log: Log,
    pub(crate) supervisor: Supervisor,
    pub(crate) debug: Debug,
    /// What is odd, but may be meant.
    pub(crate) warnings: Vec<Problem>,
    /// The `--set` of the command line.
    arguments: Vec<(String, String)>,
    /// What it was read from.
    merged: Merged,
}

/// `[model]` and `[server]`.
#[derive(Debug, Clone)]
pub(crate) struct Serving {
    /// The model.
    pub(crate) model: Model,
    /// Our part of it.
    pub(crate) server: Server,
}

impl Config {
    /// Loads the config of this process: `file` or the embedded one, its environment, `arguments`.
    pub(crate) fn load(file: Option<&Path>, arguments: &[(String, String)]) -> Result<Self, ConfigError> {
        Self::layered(file, std::env::vars_os(), arguments)
    }

    fn layered(
        file: Option<&Path>,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        arguments: &[(String, String)],
    ) -> Result<Self, ConfigError> {
        let document = match file {
            None => Document { name: Path::new(EMBEDDED_NAME).into(), text: EMBEDDED.into() },
            Some(file) => {
                let unreadable = |source| ConfigError::Unreadable { file: file.into(), source };
                Document { name: file.into(), text: text_of(file).map_err(unreadable)? }
            }
        };
        let wrong = |problems| ConfigError::Wrong { file: file.map(Path::to_owned), problems };
        let (environment, mut problems) = layers::environment(variables.into_iter());
        let layers = Layers { file: Some(document), environment, arguments: arguments.to_vec() };
        match layers::merge(DEFAULTS, &layers) {
            Ok(merged) => Self::of(merged, file, arguments, problems).map_err(wrong),
            Err(more) => {
                problems.extend(more);
                Err(wrong(problems))
            }
        }
    }

    /// The config that the merged layers make; or what is wrong with it, after the problems that there are.
    fn of(
        merged: Merged,
        file: Option<&Path>,
        arguments: &[(String, String)],
        mut problems: Vec<Problem>,
    ) -> Result<Self, Vec<Problem>> {
        let reading = Reading::new(merged.places.clone());
        let config = read(&reading, merged, file, arguments);
        let notes = reading.into_notes();
        problems.extend(notes.problems);
        match config {
            Some(config) if problems.is_empty() => Ok(Self { warnings: notes.warnings, ..config }),
            _ => Err(problems),
        }
    }

    /// The file that holds our key.
    pub(crate) fn identity_file(&self) -> PathBuf {
        self.network.identity.clone().unwrap_or_else(|| self.node.data_dir.join("identity"))
    }

    /// The file of the peers that are remembered.
    pub(crate) fn known_peers_file(&self) -> PathBuf {
        self.node.data_dir.join("known_peers")
    }

    /// The file that keeps what was said of our server while the node ran.
    pub(crate) fn server_info_file(&self) -> PathBuf {
        self.node.data_dir.join("server_info")
    }

    /// The file of the history.
    pub(crate) fn history_file(&self) -> PathBuf {
        self.node.data_dir.join("history")
    }

    /// The folder of the log files.
    pub(crate) fn log_dir(&self) -> PathBuf {
        self.log.dir.clone().unwrap_or_else(|| self.node.data_dir.join("log"))
    }
}

fn text_of(file: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(file)?.take(LARGEST_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LARGEST_FILE_BYTES {
        return Err(std::io::Error::other(format!("it is larger than {LARGEST_FILE_BYTES} bytes")));
    }
    Ok(text)
}

/// Reads every section; all of them before any `?`, so that nothing wrong is left unsaid.
fn read(
    reading: &Reading,
    merged: Merged,
    file: Option<&Path>,
    arguments: &[(String, String)],
) -> Option<Config> {
    let mut root = reading.root(merged.root.clone());
    let node = Node::read(root.section("node"));
    let network = Network::read(root.section("network"));
    let dht = Dht::read(root.section("dht"));
    let (model, server) = (root.section("model"), root.section("server"));
    let backend = backend::read(root.section("backend"), reading.given("backend"));
    let announce = Announce::read(root.section("announce"));
    let observer = Observer::read(root.section("observer"));
    let monitor = Monitor::read(root.section("monitor"));
    let history = History::read(root.section("history"));
    let alerts = alerts::read(root.section("alerts"), reading);
    let admin = Admin::read(root.section("admin"));
    let log = Log::read(root.section("log"));
    let supervisor = Supervisor::read(root.section("supervisor"));
    let debug = Debug::read(root.section("debug"));
    let serving = match (reading.given("model"), reading.given("server")) {
        (true, true) => {
            let model = Model::read(model);
            let server = Server::read(server, model.as_ref().map(|model| model.num_blocks));
            model.zip(server).map(|(model, server)| Some(Serving { model, server }))
        }
        (model_given, server_given) => {
            if server_given {
                reading.wrong("model", "is missing, but there is a [server]", "say which model it serves");
                Server::read(server, None);
            } else {
                server.forget();
            }
            if model_given {
                reading.wrong("server", "is missing, but there is a [model]", "say which blocks are served");
                Model::read(model);
            } else {
                model.forget();
            }
            Some(None)
        }
    };
    if let (Some(announce), Some(observer)) = (&announce, &observer)
        && observer.interval > announce.ttl
    {
        let what = "is longer than announce.ttl: records could lapse and come back unseen";
        reading.warn("observer.interval", what, "shorten it");
    }
    if let (Some(history), Some(monitor), Some([first, ..])) = (&history, &monitor, alerts.as_deref()) {
        let key = format!("alerts.{}", first.name);
        if !history.enabled {
            reading.wrong(&key, "needs the history, which is off", "set history.enabled = true");
        }
        if !monitor.enabled || monitor.crawl != When::Always {
            let what = "needs a monitor that crawls all the time: nobody would look";
            reading.wrong(&key, what, "set monitor.crawl = \"always\"");
        }
    }
    if reading.given("backend") && !reading.given("server") {
        reading.wrong("backend", "is there, but there is no [server]", "say what it serves, or leave it out");
    }
    Some(Config {
        file: file.map(Path::to_owned),
        node: node?,
        network: network?,
        dht: dht?,
        serving: serving?,
        backend: backend?,
        announce: announce?,
        observer: observer?,
        monitor: monitor?,
        history: history?,
        alerts: alerts?,
        admin: admin?,
        log: log?,
        supervisor: supervisor?,
        debug: debug?,
        warnings: Vec::new(),
        arguments: arguments.to_vec(),
        merged,
    })
}
