//! What others hear from the history.

use std::sync::Arc;

use tokio::sync::watch;

pub use super::{
    account::{Account, MOST_ROWS, Page, Summary, WINDOWS},
    chronicle::{Chronicle, Crawl, Limits},
    coverage::{Coverage, Span, UnixSeconds},
    life::{Change, Life, Seen, Tally},
    sighting::Sighting,
};

/// All servers over time, whenever a crawl has been taken in; what was kept of earlier lives comes first, as soon as it
/// has been read. It outlives a restart of the actor.
pub type Histories = watch::Receiver<Arc<Chronicle>>;
