//! Every change, in order, for those who must not miss one.

use std::sync::Arc;

use tokio::sync::broadcast::{self, error::RecvError};

use super::{Snapshot, Snapshots};

/// Changes that wait for a slow subscriber at most. More than the changes of several minutes at a backend's pace.
pub const WAITING_CHANGES: usize = 64;

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// The offer when the subscription began, then each later one.
    Changed(Arc<Snapshot>),
    /// The subscriber was too slow: this is the latest, and those between it and the one before are lost.
    Lagged {
        /// How many are lost.
        missed: u64,
        /// The latest.
        latest: Arc<Snapshot>,
    },
}

/// A subscription to every change.
#[derive(Debug)]
pub struct Changes {
    latest: Snapshots,
    each: broadcast::Receiver<Arc<Snapshot>>,
    /// What was offered when the subscription began, until that has been heard.
    first: Option<Arc<Snapshot>>,
    /// The version that was heard last; 0 if none was.
    heard: u64,
}

impl Changes {
    pub(super) fn new(latest: Snapshots, each: broadcast::Receiver<Arc<Snapshot>>) -> Self {
        let first = latest.borrow().clone();
        Self { latest, each, first, heard: 0 }
    }

    /// Waits for the next one; `None` when the actor is gone. A bootstrap has no news. May be cancelled at any time.
    pub async fn next(&mut self) -> Option<News> {
        if let Some(first) = self.first.take() {
            self.heard = first.version;
            return Some(News::Changed(first));
        }
        loop {
            match self.each.recv().await {
                // It has been heard already, as the first or the latest.
                Ok(snapshot) if snapshot.version <= self.heard => {}
                Ok(snapshot) => {
                    self.heard = snapshot.version;
                    return Some(News::Changed(snapshot));
                }
                Err(RecvError::Lagged(_)) => {
                    // What still waits is older than the latest. What comes while we look is not lost.
                    self.each = self.each.resubscribe();
                    let latest = self.latest.borrow_and_update().clone()?;
                    let missed = latest.version.saturating_sub(self.heard).saturating_sub(1);
                    self.heard = latest.version;
                    return Some(News::Lagged { missed, latest });
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
