//! One event for each fact of a tree.

use tracing::{debug, error, info, warn};

use super::machine::{Fact, Machine};

/// Writes it down.
pub(super) fn log(machine: &Machine, fact: Fact) {
    let name = |id| machine.name(id);
    match fact {
        Fact::Started { id, generation } => {
            debug!(actor = name(id), generation, "actor started");
        }
        Fact::Ready { id, generation } => info!(actor = name(id), generation, "actor ready"),
        Fact::Restarted { id, generation, cause, restarts, backoff } => {
            info!(actor = name(id), generation, cause, restarts, ?backoff, "actor restarted");
        }
        Fact::Rebuilt { id, generation, rebuilds } => {
            info!(actor = name(id), generation, rebuilds, "actor rebuilt");
        }
        Fact::Crashed { id, cause, restarts, backoff: Some(backoff) } => {
            warn!(actor = name(id), cause, restarts, ?backoff, "actor crashed");
        }
        Fact::Crashed { id, cause, restarts, backoff: None } => {
            warn!(actor = name(id), cause, restarts, "actor crashed");
        }
        Fact::Finished { id } => info!(actor = name(id), "actor finished"),
        Fact::Stopped { id } => info!(actor = name(id), "actor stopped"),
        Fact::StopTimedOut { id, deadline } => {
            warn!(actor = name(id), ?deadline, "actor aborted at its stop deadline");
        }
        Fact::SupervisorFailed { id, cause, restarts, backoff } => {
            error!(supervisor = name(id), cause, restarts, ?backoff, "supervisor failed");
        }
        Fact::TreeReady => info!("all actors ready"),
        Fact::GaveUp { cause } => error!(cause, "root supervisor gave up"),
    }
}
