//! What other actors ask of the announcer.

use actix::Message;
use hivemind_proto::records::ServerState;
use serde::Serialize;

/// Store every record now, not only at the end of the period, and tell what came of it. An announcement that is under
/// way does not count: it may hold what was true before.
#[derive(Debug, Message)]
#[rtype(result = "Result<Announced, AnnounceError>")]
pub struct Announce;

/// What came of an announcement of every record.
#[derive(Debug, Clone)]
pub struct Announced {
    /// In one word.
    pub verdict: Verdict,
    /// In a few numbers.
    pub summary: Summary,
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every record was acknowledged by another peer, and nothing outlives it.
    Confirmed,
    /// There is no other node.
    Alone,
    /// Some record was acknowledged by no other peer, or is hidden by another that outlives it.
    Failed,
}

impl Verdict {
    /// Whether there is nothing to try again, nor to tell anybody of, where it is in order to be alone or is not.
    pub(super) fn is_in_order(self, may_be_alone: bool) -> bool {
        match self {
            Self::Confirmed => true,
            Self::Alone => may_be_alone,
            Self::Failed => false,
        }
    }
}

/// What is known of all records.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// The state in them.
    pub state: Option<ServerState>,
    /// How many there are.
    pub records: usize,
    /// Those that another peer has acknowledged since they last changed.
    pub confirmed: usize,
    /// Other peers that hold the record that fewest of them hold.
    pub least_replicas: usize,
    /// Until the first of the records lapses at other peers; `None` if one is nowhere.
    pub seconds_to_expiry: Option<f64>,
}

/// Why nothing can be told of an announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnnounceError {
    /// This node is a bootstrap, or has not begun yet.
    #[error("there is nothing to announce")]
    NothingOffered,
    /// So many wait for one already.
    #[error("too many wait for an announcement")]
    Busy,
    /// The node is stopping, and announces OFFLINE.
    #[error("the node is stopping")]
    Draining,
    /// The announcer, or the dht actor, was restarted meanwhile.
    #[error("the announcer was restarted meanwhile")]
    Restarted,
}
