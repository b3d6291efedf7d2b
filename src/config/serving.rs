//! `[model]` and `[server]`: what we serve. One makes no sense without the other; a node with neither
//! is a bootstrap.

use hivemind_proto::records::{BlockRange, DhtPrefix, NonNegative};
use petald_actors::server_info::messages::Field;

use super::entry::{Entry, Parsed};
use super::section::Section;
use super::values::{count_up_to, list, number, parsed, text, unsigned, word};

/// The most blocks that a model may have; the largest known one has 126. Each is a record of ours.
const MOST_BLOCKS: u32 = 4096;

/// Begins the versions of KwaaiNet's own servers: its clients route inference to whoever claims one
/// (protocol.md 8), so we never do.
const FOREIGN_VERSION: &str = "kwaai-";

/// The state that is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// What a backend's health says; without a backend, JOINING.
    Auto,
    /// JOINING, whatever a backend says of its health.
    Joining,
    /// ONLINE, in the operator's own words.
    Online,
}

const STATE: &[(&str, State)] =
    &[("auto", State::Auto), ("joining", State::Joining), ("online", State::Online)];

/// `[model]`
#[derive(Debug, Clone)]
pub(crate) struct Model {
    /// The name under which the model's blocks are announced.
    pub(crate) dht_prefix: DhtPrefix,
    /// Where the weights come from; the map shows only those at huggingface.co.
    pub(crate) repository: Option<String>,
    /// How many blocks the whole model has.
    pub(crate) num_blocks: u32,
}

/// `[server]`
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// The blocks that we serve.
    pub(crate) blocks: BlockRange,
    /// The state that is announced.
    pub(crate) state: State,
    /// Tokens per second, as Petals weighs servers.
    pub(crate) throughput: NonNegative,
    /// Such as `bfloat16`.
    pub(crate) torch_dtype: Option<String>,
    /// Such as `nf4`.
    pub(crate) quant_type: Option<String>,
    /// Adapters that are loaded, by their repositories.
    pub(crate) adapters: Vec<String>,
    /// The server software's version.
    pub(crate) version: String,
    /// Tokens that still fit into the attention cache.
    pub(crate) cache_tokens_left: Option<u64>,
    /// Requests per second that the network allows.
    pub(crate) network_rps: Option<NonNegative>,
    /// Tokens per second of a forward pass.
    pub(crate) forward_rps: Option<NonNegative>,
    /// Tokens per second of inference.
    pub(crate) inference_rps: Option<NonNegative>,
    /// What of this the operator states, in words or numbers, so that it wins over what was kept on disk.
    pub(crate) stated: Vec<Field>,
}

impl Model {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let dht_prefix = section.take("dht_prefix", parsed);
        let repository = section.optional("repository", text);
        let num_blocks = section.take("num_blocks", count_up_to(MOST_BLOCKS));
        Some(Self { dht_prefix: dht_prefix?, repository: repository?, num_blocks: num_blocks?.get() })
    }
}

impl Server {
    /// `num_blocks` is the model's, if that was right.
    pub(super) fn read(mut section: Section<'_>, num_blocks: Option<u32>) -> Option<Self> {
        let blocks = section.take("blocks", parsed::<BlockRange>);
        let state = section.take("state", word(STATE));
        let throughput = section.take("throughput", number);
        let torch_dtype = section.optional("torch_dtype", text);
        let quant_type = section.optional("quant_type", text);
        let adapters = section.take("adapters", list(text));
        let version = section.optional("version", version);
        let cache_tokens_left = section.optional("cache_tokens_left", unsigned);
        let network_rps = section.optional("network_rps", number);
        let forward_rps = section.optional("forward_rps", number);
        let inference_rps = section.optional("inference_rps", number);
        // A throughput that is a default, and "auto", leave it to others.
        let stated = [
            (Field::State, state.is_some_and(|state| state != State::Auto)),
            (Field::Throughput, section.given("throughput")),
            (Field::CacheTokensLeft, section.given("cache_tokens_left")),
            (Field::NetworkRps, section.given("network_rps")),
            (Field::ForwardRps, section.given("forward_rps")),
            (Field::InferenceRps, section.given("inference_rps")),
        ];
        let stated = stated.into_iter().filter_map(|(field, stated)| stated.then_some(field)).collect();
        if let (Some(blocks), Some(num_blocks)) = (blocks, num_blocks)
            && blocks.end() > num_blocks
        {
            let what = format!("\"{blocks}\" reaches beyond the model's {num_blocks} blocks");
            section.wrong("blocks", what, format!("expected to end at {num_blocks} or below"));
        }
        Some(Self {
            blocks: blocks?,
            state: state?,
            throughput: throughput?,
            torch_dtype: torch_dtype?,
            quant_type: quant_type?,
            adapters: adapters?,
            version: version?.unwrap_or_else(|| concat!("petald-", env!("CARGO_PKG_VERSION")).into()),
            cache_tokens_left: cache_tokens_left?,
            network_rps: network_rps?,
            forward_rps: forward_rps?,
            inference_rps: inference_rps?,
            stated,
        })
    }
}

fn version(entry: &Entry) -> Parsed<String> {
    let version = text(entry)?;
    if version.starts_with(FOREIGN_VERSION) {
        let what = format!("{version:?} claims to be a KwaaiNet server, to which inference is routed");
        return entry.wrong(what, format!("expected anything that does not begin with {FOREIGN_VERSION:?}"));
    }
    Ok(version)
}
