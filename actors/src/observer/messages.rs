//! What other actors hear from the observer.

use std::{sync::Arc, time::Duration};

use hivemind_proto::records::ServerState;
use serde::Serialize;
use tokio::{sync::watch, time::Instant};

/// The observer's last word, whenever it changes. It outlives a restart of the actor.
pub type Opinions = watch::Receiver<Arc<Opinion>>;

/// Whether strangers find us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All that we claim is found, as we claim it, and we answer.
    Visible,
    /// We answer, and a part of what we claim is found.
    PartlyVisible,
    /// A stranger finds nothing of it, or cannot reach us.
    Invisible,
    /// Nobody can say: the stranger itself could not look.
    Unknown,
}

/// The layer that fails, or threatens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// This node: it is reached, and does not answer as it should.
    Us,
    /// Our key: another process has it, too.
    OurIdentity,
    /// Where others are told to find us.
    OurAddress,
    /// The peers through which one joins.
    Bootstraps,
    /// Hivemind's DHT: peers are reached, and do not answer its calls.
    Dht,
    /// Our records: not found, or not as we claim them.
    Record,
    /// Our clock is not the swarm's, so that records expire too early.
    Clock,
}

/// Through whom the stranger looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Through {
    /// Peers that are not us.
    Others,
    /// Us, since nobody else is there.
    Ourselves,
    /// Nobody let it in.
    Nobody,
}

/// What the observer says.
#[derive(Debug, Clone, Serialize)]
pub struct Opinion {
    /// Whether strangers find us.
    pub verdict: Verdict,
    /// The layer that fails; with `visible`, the one that threatens to. `None` before the first look, too.
    pub layer: Option<Layer>,
    /// For people.
    pub cause: String,
    /// What was seen; `None` before the first look.
    pub look: Option<Look>,
    /// When it was seen.
    #[serde(skip)]
    pub at: Instant,
    /// For how long it may be believed.
    #[serde(skip)]
    pub valid_for: Duration,
}

/// What was seen in one look.
#[derive(Debug, Clone, Serialize)]
pub struct Look {
    /// Through whom.
    pub through: Through,
    /// The peers at which the stranger knocked.
    pub doors: Vec<DoorReport>,
    /// What we claim; `None` for a bootstrap.
    pub claimed: Option<ServerState>,
    /// Every block that we claim, in order.
    pub blocks: Vec<BlockReport>,
    /// Whether the model is in the index, where it should be.
    pub listed: Option<bool>,
    /// How long our answer to a fresh connection took, connecting included.
    pub answer_seconds: Option<f64>,
    /// The swarm's clock minus ours; `None` if nobody told.
    pub clock_offset_seconds: Option<f64>,
    /// Peers that the stranger was connected to.
    pub peers_met: usize,
    /// How long all of it took.
    pub seconds: f64,
}

/// One peer at which the stranger knocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoorReport {
    /// Who, in base58.
    pub peer: String,
    /// Whether it is one of the initial peers.
    pub initial: bool,
    /// Why it did not let the stranger in; `None` if it did.
    pub error: Option<String>,
}

/// One block as it was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BlockReport {
    /// Its place in the model.
    pub block: u32,
    /// Whether a record of ours was found that has not expired.
    pub found: bool,
    /// The state in it.
    pub state: Option<ServerState>,
    /// Until it expires.
    pub seconds_to_live: Option<f64>,
    /// How many peers other than us were seen to hold it.
    pub replicas: usize,
    /// What is wrong with it.
    pub problem: Option<String>,
}

impl Opinion {
    /// The word before the first look.
    pub fn none() -> Self {
        Self {
            verdict: Verdict::Unknown,
            layer: None,
            cause: "not looked yet".to_owned(),
            look: None,
            at: Instant::now(),
            valid_for: Duration::MAX,
        }
    }

    /// Whether strangers find us, as far as is known now: an old word counts for nothing.
    pub fn is_visible(&self) -> bool {
        self.verdict == Verdict::Visible && !self.is_stale()
    }

    /// Whether the observer has been silent for too long.
    pub fn is_stale(&self) -> bool {
        self.at.elapsed() > self.valid_for
    }
}
