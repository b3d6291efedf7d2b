//! What other actors ask of the server_info actor.

use std::{collections::BTreeMap, fmt};

use actix::Message;
use hivemind_proto::records::{Rps, ServerInfo, ServerState};
use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use super::{Snapshots, changes::Changes};

/// Changes what is offered. The answer is the version that holds the change; see [`WhenSaved`] for when it is on disk.
#[derive(Debug, Message)]
#[rtype(result = "Result<u64, UpdateError>")]
pub struct Update {
    /// Who says so.
    pub source: Source,
    /// What is to change.
    pub change: Change,
}

/// Who said something about what is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The config, or a default.
    Config,
    /// The operator, while the node runs.
    Admin,
    /// The model server behind us.
    Backend,
    /// What was found out of how others reach us.
    Reachability,
    /// Round trips that were measured.
    Pinger,
}

/// A part of the offer that can change while the node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// [`Change::state`].
    State,
    /// [`Change::throughput`].
    Throughput,
    /// [`Change::network_rps`].
    NetworkRps,
    /// [`Change::forward_rps`].
    ForwardRps,
    /// [`Change::inference_rps`].
    InferenceRps,
    /// [`Change::cache_tokens_left`].
    CacheTokensLeft,
    /// [`Change::using_relay`].
    UsingRelay,
    /// [`Change::public_name`]: the config's at each start, and kept in no file.
    PublicName,
    /// [`Change::next_pings`]: of the moment, and kept in no file.
    NextPings,
}

impl Field {
    /// Gives `to` what `from` has of this field.
    pub(super) fn copy(self, from: &ServerInfo, to: &mut ServerInfo) {
        match self {
            Self::State => to.state = from.state,
            Self::Throughput => to.throughput = from.throughput,
            Self::NetworkRps => to.network_rps = from.network_rps,
            Self::ForwardRps => to.forward_rps = from.forward_rps,
            Self::InferenceRps => to.inference_rps = from.inference_rps,
            Self::CacheTokensLeft => to.cache_tokens_left = from.cache_tokens_left,
            Self::UsingRelay => to.using_relay = from.using_relay,
            Self::PublicName => to.public_name.clone_from(&from.public_name),
            Self::NextPings => to.next_pings.clone_from(&from.next_pings),
        }
    }

    /// The fields in which two accounts differ.
    pub(super) fn differing(one: &ServerInfo, other: &ServerInfo) -> impl Iterator<Item = Self> + use<> {
        let fields = [
            (Self::State, one.state != other.state),
            (Self::Throughput, one.throughput != other.throughput),
            (Self::NetworkRps, one.network_rps != other.network_rps),
            (Self::ForwardRps, one.forward_rps != other.forward_rps),
            (Self::InferenceRps, one.inference_rps != other.inference_rps),
            (Self::CacheTokensLeft, one.cache_tokens_left != other.cache_tokens_left),
            (Self::UsingRelay, one.using_relay != other.using_relay),
            (Self::PublicName, one.public_name != other.public_name),
            (Self::NextPings, one.next_pings != other.next_pings),
        ];
        fields.into_iter().filter_map(|(field, differs)| differs.then_some(field))
    }
}

/// What is to change; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// How far the server is.
    pub state: Option<ServerState>,
    /// The operator gives the state back to the backend: it is as that last said, and JOINING until it has said something.
    pub follow_backend: bool,
    /// Requests per second, all in all.
    pub throughput: Option<Rps>,
    /// Requests per second that the network would carry.
    pub network_rps: Option<Rps>,
    /// Tokens per second in a forward pass.
    pub forward_rps: Option<Rps>,
    /// Tokens per second in inference.
    pub inference_rps: Option<Rps>,
    /// Free places in the attention cache.
    pub cache_tokens_left: Option<u64>,
    /// Whether others reach us through a relay.
    pub using_relay: Option<bool>,
    /// Whether others can dial us at all. While they cannot, the state is at most JOINING, whoever says what.
    pub dialable: Option<bool>,
    /// The name on the map.
    pub public_name: Option<String>,
    /// Seconds to servers of the following blocks and back; +inf for one that does not answer.
    pub next_pings: Option<BTreeMap<PeerId, f64>>,
}

impl Change {
    pub(super) fn apply(&self, server: &mut ServerInfo) {
        server.state = self.state.unwrap_or(server.state);
        server.throughput = self.throughput.unwrap_or(server.throughput);
        server.network_rps = self.network_rps.or(server.network_rps);
        server.forward_rps = self.forward_rps.or(server.forward_rps);
        server.inference_rps = self.inference_rps.or(server.inference_rps);
        server.cache_tokens_left = self.cache_tokens_left.or(server.cache_tokens_left);
        if let Some(name) = &self.public_name {
            server.public_name = Some(name.clone());
        }
        server.using_relay = self.using_relay.or(server.using_relay);
        if let Some(pings) = &self.next_pings {
            server.next_pings = Some(pings.clone());
        }
    }
}

/// Why nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UpdateError {
    /// This node is a bootstrap.
    #[error("this node offers no blocks: its config has no [server]")]
    NothingOffered,
    /// The config leaves the state to the backend.
    #[error("the state follows the backend; to set it by hand, say it in the config: server.state")]
    StateFollowsBackend,
}

/// Asks for the offer, now and whenever it changes. Whoever looks late sees the latest alone.
#[derive(Debug, Message)]
#[rtype(result = "Snapshots")]
pub struct Subscribe;

/// Asks for the offer and for every change of it, in order.
#[derive(Debug, Message)]
#[rtype(result = "Changes")]
pub struct SubscribeEach;

/// Answers once this version, or a later one, is on disk. Without a file it is there at once, as far as it can be.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), SaveError>")]
pub struct WhenSaved {
    /// What an [`Update`] answered.
    pub version: u64,
}

/// Why a version is not on disk. It goes on being tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct SaveError {
    /// What the system said, if it has answered.
    pub cause: Option<String>,
}

impl fmt::Display for SaveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            Some(cause) => write!(f, "not on disk yet: {cause}"),
            None => f.write_str("not on disk yet: the disk does not answer"),
        }
    }
}
