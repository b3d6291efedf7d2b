//! `petald run`: what must be there before the first actor, in the order in which it is needed.

use std::fmt;
use std::path::PathBuf;

use libp2p::{Multiaddr, PeerId};

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::exit::Exit;
use crate::identity::Identity;
use crate::logging::Logging;
use crate::signals::Stops;

/// Everything that the tree is built on. Dropped last: it holds the data folder and the log.
#[derive(Debug)]
pub(crate) struct Foundation {
    /// The operator's will.
    pub(crate) config: Config,
    /// Our key.
    pub(crate) identity: Identity,
    /// Our place in hivemind's DHT.
    pub(crate) node_id: [u8; 20],
    /// The pool of threads, for what must not wait for the actors' arbiter: the swarm above all.
    pub(crate) pool: tokio::runtime::Handle,
    /// Held until the end.
    pub(crate) data_dir: DataDir,
    /// Written out at the very end.
    _logging: Logging,
}

impl Foundation {
    /// Takes the data folder first, so that a second petald disturbs nothing of the first.
    pub(crate) fn lay(config: Config) -> anyhow::Result<Self> {
        let data_dir = DataDir::open(&config.node.data_dir)?;
        let logging = Logging::start(&config.log, &config.log_dir())?;
        let identity = Identity::load_or_create(&config.identity_file())?;
        let node_id = data_dir.node_id()?;
        let file = config.file.as_deref().map_or("embedded".into(), |file| file.display().to_string());
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(version, peer_id = %identity.peer_id(), config = file, "petald starts");
        if let Some(exposure) = identity.exposure() {
            tracing::warn!(exposure, "identity file is not private");
        }
        let pool = tokio::runtime::Handle::current();
        Ok(Self { config, identity, node_id, pool, data_dir, _logging: logging })
    }
}

/// Where an operator finds the node: printed once the node is up.
#[derive(Debug)]
pub(crate) struct Whereabouts {
    /// Our name in the swarm.
    pub(crate) peer_id: PeerId,
    /// Where we listen, as bound.
    pub(crate) listen: Vec<Multiaddr>,
    /// The folder of the log files.
    pub(crate) log_dir: PathBuf,
    /// Where the admin API listens: `127.0.0.1:8780` or `unix:PATH`.
    pub(crate) admin: Option<String>,
}

impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "peer id  {}", self.peer_id)?;
        for address in &self.listen {
            writeln!(f, "listens  {address}/p2p/{}", self.peer_id)?;
        }
        writeln!(f, "logs     {}", self.log_dir.display())?;
        match self.admin.as_deref() {
            None => writeln!(f, "admin    none"),
            Some(address) => match address.strip_prefix("unix:") {
                Some(socket) => writeln!(f, "admin    curl --unix-socket {socket} http://petald/api/v1/node"),
                None => writeln!(f, "admin    http://{address}/api/v1/node"),
            },
        }
    }
}

/// Runs the node until it is drained or its root supervisor gives up.
pub(crate) async fn run(config: Config) -> anyhow::Result<Exit> {
    let mut stops = Stops::listen()?;
    let foundation = Foundation::lay(config)?;
    let whereabouts = Whereabouts {
        peer_id: foundation.identity.peer_id(),
        listen: Vec::new(),
        log_dir: foundation.config.log_dir(),
        admin: None,
    };
    crate::say(&whereabouts);
    let signal = stops.next().await;
    tracing::info!(signal, "petald drains");
    actix_rt::spawn(stops.exit_at_next());
    Ok(Exit::Done)
}
