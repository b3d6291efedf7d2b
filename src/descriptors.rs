//! File descriptors: as many as the configured connections need, as far as the system lets us have them.
//!
//! A process is started with a soft limit, 1024 in many places, which it may raise to the hard one by itself. Where that
//! does not do, new connections fail once the limit is reached, and so does whatever opens a file.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Network;

/// Descriptors besides those of connections and dials: a stranger's connections while it looks at us (some 64), those
/// of checks whether a peer can be called (16), log and state files, listeners, the admin API; and those of a stranger
/// who looks at everybody (some 500).
const OTHERS: u64 = 256 + 512;

/// How many this process may need at once. A connection that is being made has one as well, in either direction.
pub(crate) fn needed(network: &Network) -> u64 {
    u64::from(network.max_connections.get()) + 2 * u64::from(network.max_pending_connections.get()) + OTHERS
}

/// The most that this process can have; `None` is no limit.
pub(crate) fn most() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// Raises the soft limit to the hard one if `needed` are more than it allows. Warns if they still are.
pub(crate) fn make_room(needed: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let Some(soft) = current.filter(|soft| *soft < needed) else { return };
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    match (raised, maximum) {
        (Ok(()), hard) if hard.is_none_or(|hard| hard >= needed) => {
            tracing::info!(soft, hard, needed, "limit of file descriptors raised");
        }
        (raised, hard) => {
            let error = raised.err().map(|error| error.to_string());
            tracing::warn!(
                soft,
                hard,
                needed,
                error,
                "too few file descriptors for the configured connections: raise the hard limit (LimitNOFILE), or lower \
                 network.max_connections"
            );
        }
    }
}
