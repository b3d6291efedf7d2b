//! What one crawl of the swarm found, as plain data: the page, the history and `petald map` read this and nothing else.
//!
//! Every text in it that came from a peer is untrusted; it is bounded in length, and nothing else.
//!
//! Protocol facts: `health.petals.dev/health.py` (`fetch_health_state`), `petals/data_structures.py` (`ServerInfo`).

use std::{collections::BTreeMap, fmt};

use hivemind_proto::records::ServerState;
use serde::{Deserialize, Serialize};

use super::record::ServerRecord;

/// Blocks from which on the health monitor shows a server's public name.
const NAMED_BLOCKS: u32 = 10;

/// A whole swarm at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwarmState {
    /// When the crawl ended, in Unix seconds by this node's clock.
    pub crawled_at: f64,
    /// How long it took, in seconds.
    pub took: f64,
    /// Until the next one, in seconds, if they are made regularly.
    pub period: Option<f64>,
    /// Whether it came to its end before its deadline: what it did not find then is not there.
    pub complete: bool,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// The swarm's clock minus ours, in seconds, as those told through whom we came in.
    pub clock_offset: Option<f64>,
    /// Peers that answered a search of the DHT.
    pub dht_peers: usize,
    /// The peers through which one joins, in the order of the config.
    pub bootstraps: Vec<Bootstrap>,
    /// Configured models in the order of the config, then those of the index: more blocks first, then by prefix.
    pub models: Vec<Model>,
}

/// A peer through which one joins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// In base58.
    pub peer_id: String,
    /// Where it is said to be.
    pub addresses: Vec<String>,
    /// Why it cannot be reached; `None` if it can.
    pub error: Option<String>,
}

/// A model and who serves it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// What its keys begin with.
    pub dht_prefix: String,
    /// Where its weights are published.
    pub repository: Option<String>,
    /// How many blocks it has; 0 if there are too many to be looked for.
    pub num_blocks: u32,
    /// Whether the config names it.
    pub configured: bool,
    /// Whether the index of the swarm names it.
    pub listed: bool,
    /// In the order of their peer ids.
    pub servers: Vec<Server>,
    /// Records that cannot be used. They cost a line here, and nobody else anything.
    pub bad_records: Vec<BadRecord>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// A server with the blocks that it serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// In base58.
    pub peer_id: String,
    /// The first block.
    pub start: u32,
    /// The block after the last: never `start`.
    pub end: u32,
    /// What it says of itself.
    pub info: ServerRecord,
    /// Whether it answers.
    pub reach: Reach,
    /// Where it is, as far as the crawl met it.
    pub addresses: Vec<String>,
    /// Until the first of its records expires, in seconds, by the swarm's clock.
    pub seconds_to_live: f64,
    /// Round trips from other servers of the model to this one, in seconds, by their peer ids; `None` where there was no
    /// answer.
    pub pings_to_me: BTreeMap<String, Option<f64>>,
    /// What is odd about its records.
    pub notes: Vec<String>,
}

/// Whether a server answers `rpc_info`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Reach {
    /// It was not asked: it does not say that it is online, or there was no time.
    NotAsked,
    /// It answered.
    Answered {
        /// How long connecting and answering took.
        seconds: f64,
    },
    /// It did not.
    Failed {
        /// Why, for people.
        error: String,
    },
}

/// What a server is shown as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shown {
    /// It serves.
    Online,
    /// It will.
    Joining,
    /// It has left.
    Offline,
    /// It says that it serves, and does not answer.
    Unreachable,
}

/// Records of one server that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRecord {
    /// Who announced it, as the record's subkey says: a peer id in base58, or anything.
    pub subkey: String,
    /// Under which blocks it stands, as in `0:8`.
    pub blocks: String,
    /// What is wrong with it.
    pub note: String,
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Online => "online",
            Self::Joining => "joining",
            Self::Offline => "offline",
            Self::Unreachable => "unreachable",
        })
    }
}

impl SwarmState {
    /// Everybody who was asked and did not answer, bootstraps included, by peer id, once each.
    pub fn reachability_issues(&self) -> BTreeMap<&str, &str> {
        let bootstraps = self.bootstraps.iter().filter_map(|b| Some((&*b.peer_id, b.error.as_deref()?)));
        let servers = self.models.iter().flat_map(|model| &model.servers);
        let servers = servers.filter_map(|server| Some((&*server.peer_id, server.reach.error()?)));
        bootstraps.chain(servers).collect()
    }
}

impl Model {
    /// The model's name for people: the path of its repository, such as `org/model`, or the prefix if it has none.
    pub fn name(&self) -> &str {
        let repository = self.repository.as_deref().unwrap_or_default();
        let path = match repository.split_once("://") {
            Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
            None => repository,
        };
        let path = path.split(['?', '#']).next().unwrap_or_default().trim_start_matches('/');
        if path.is_empty() { &self.dht_prefix } else { path }
    }

    /// The last part of the name.
    pub fn short_name(&self) -> &str {
        self.name().rsplit('/').next().unwrap_or_default()
    }

    /// How many servers that are online and answer serve each block.
    pub fn coverage(&self) -> Vec<u32> {
        let mut blocks = vec![0; self.num_blocks as usize];
        for server in self.servers.iter().filter(|server| server.shown() == Shown::Online) {
            let span = server.start as usize..(server.end as usize).min(blocks.len());
            blocks.get_mut(span).into_iter().flatten().for_each(|count| *count += 1);
        }
        blocks
    }

    /// Whether every block is served.
    pub fn is_healthy(&self) -> bool {
        self.num_blocks > 0 && self.coverage().into_iter().all(|servers| servers > 0)
    }
}

impl Server {
    /// How many blocks, at least 1.
    pub fn blocks(&self) -> u32 {
        self.end.saturating_sub(self.start).max(1)
    }

    /// What the map shows it as.
    pub fn shown(&self) -> Shown {
        match (self.info.state, &self.reach) {
            (ServerState::Online, Reach::Failed { .. }) => Shown::Unreachable,
            (ServerState::Online, _) => Shown::Online,
            (ServerState::Joining, _) => Shown::Joining,
            (ServerState::Offline, _) => Shown::Offline,
        }
    }

    /// Whether its public name is shown.
    pub fn shows_name(&self) -> bool {
        self.shown() == Shown::Online && self.blocks() >= NAMED_BLOCKS
    }

    /// Free places in its cache, for each block: keys and values take one each.
    pub fn cache_tokens_left_per_block(&self) -> Option<u64> {
        self.info.cache_tokens_left.map(|tokens| tokens / (u64::from(self.blocks()) * 2))
    }
}

impl Reach {
    /// Why there was no answer.
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Failed { error } => Some(error),
            Self::NotAsked | Self::Answered { .. } => None,
        }
    }
}
