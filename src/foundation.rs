//! What must be there before the first actor, in the order in which it is needed.

use hivemind_proto::dht::DhtId;
use hivemind_proto::time::{Clock, DhtTime};
use libp2p::Multiaddr;
use petald_actors::clock::SystemClock;

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::descriptors;
use crate::identity::Identity;
use crate::logging::{Log, Logging};
use crate::service_manager::Managed;

/// Everything that the tree is built on. Dropped last: it holds the data folder and the log.
#[derive(Debug)]
pub(crate) struct Foundation {
    /// The operator's will.
    pub(crate) config: Config,
    /// Our key.
    pub(crate) identity: Identity,
    /// Our place in hivemind's DHT.
    pub(crate) node_id: DhtId,
    /// Where the swarm runs.
    pub(crate) pool: tokio::runtime::Handle,
    /// Where another process had our key when we started, if one was found.
    pub(crate) double: Option<Multiaddr>,
    /// Held until the end.
    pub(crate) data_dir: DataDir,
    /// When the process began, by the local clock.
    pub(crate) started: DhtTime,
    /// Whoever started us, if it wants to hear of us.
    pub(crate) managed: Managed,
    /// Written out at the very end.
    logging: Logging,
}

impl Foundation {
    /// Takes the data folder first, so that a second petald disturbs nothing of the first. Within a runtime only.
    pub(crate) fn lay(config: Config) -> anyhow::Result<Self> {
        let started = SystemClock.now();
        let data_dir = DataDir::open(&config.node.data_dir)?;
        let logging = Logging::start(&config.log, &config.log_dir())?;
        let identity = Identity::load_or_create(&config.identity_file())?;
        let node_id = data_dir.node_id()?;
        let file = config.file.as_deref().map_or("embedded".into(), |file| file.display().to_string());
        let version = env!("CARGO_PKG_VERSION");
        tracing::info!(version, peer_id = %identity.peer_id(), %node_id, config = file, "petald starts");
        if let Some(exposure) = identity.exposure() {
            tracing::warn!(exposure, "identity file is not private");
        }
        for warning in &config.warnings {
            tracing::warn!(%warning, "config is odd");
        }
        descriptors::make_room(descriptors::needed(&config.network));
        let managed = Managed::from_environment();
        let pool = tokio::runtime::Handle::current();
        Ok(Self { config, identity, node_id, pool, double: None, data_dir, started, managed, logging })
    }

    /// The log, for whoever changes its levels or counts what it lost.
    pub(crate) fn log(&self) -> &Log {
        self.logging.log()
    }
}
