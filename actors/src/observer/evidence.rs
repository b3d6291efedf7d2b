//! What an expedition brings home. Data only: what it means is [`super::judgement`]'s business.

use crate::server_info::Offer;
use hivemind_proto::records::{BlockRange, ServerState};

pub(super) use crate::stranger::{
    doors::{Door, Knock},
    search::Seen,
};

/// What we claim, and what is therefore expected to be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// Blocks that are served.
    pub(super) blocks: BlockRange,
    /// The state that was claimed when the look began, and, if that is another one, when it ended.
    pub(super) states: Vec<ServerState>,
    /// Whether the model belongs into the index.
    pub(super) listed: bool,
}

impl Claim {
    /// What `before` claims, if it is still so in `after`: another span of blocks cannot be judged.
    pub(super) fn of(before: &Offer, after: &Offer) -> Self {
        let mut states = vec![before.server.state, after.server.state];
        states.dedup();
        Self { blocks: before.server.blocks, states, listed: !before.prefix.is_private() }
    }

    /// The state of the present.
    pub(super) fn state(&self) -> Option<ServerState> {
        self.states.last().copied()
    }
}

/// All that was seen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evidence {
    /// The peers at which the stranger knocked, us included if it came through us.
    pub(super) doors: Vec<Door>,
    /// Nobody else was there, so it came through us.
    pub(super) through_ourselves: bool,
    /// The swarm's clock minus ours, in seconds; the median of those who told.
    pub(super) clock_offset: Option<f64>,
    /// What the search found; `None` if nobody let it in.
    pub(super) search: Option<Search>,
    /// Whether we answer.
    pub(super) reach: Reach,
    /// Peers that were connected to, for a call or on the way to us.
    pub(super) peers_met: usize,
}

/// What the DHT says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Search {
    /// Finds that were answered by peers that count.
    pub(super) answers: usize,
    /// Whether it came to its end: what it did not find before is not to be found.
    pub(super) complete: bool,
    /// Every block that is claimed, in order.
    pub(super) blocks: Vec<Seen>,
    /// Our model's entry in the index; `None` if none is claimed.
    pub(super) model: Option<Seen>,
}

/// Whether we answer a stranger who knows nothing but our peer id.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reach {
    /// Nobody could be asked where we are.
    NotTried,
    /// No connection.
    Unreachable(String),
    /// A connection, and not with us: another process has our key. Where it is, as far as is known.
    Elsewhere(String),
    /// A connection, and no proper answer.
    Silent(String),
    /// Our answer came after so many seconds.
    Answered(f64),
}
