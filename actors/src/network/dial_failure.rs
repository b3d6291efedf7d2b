//! Why a dial failed, in one line that a person can act on.

use std::error::Error;

use libp2p::swarm::DialError;

/// Addresses whose failures are told: a peer on many interfaces has some ten.
const TOLD_ADDRESSES: usize = 3;

/// Errors behind an error that are followed: libp2p's transports are nested some six deep.
const DEPTH: usize = 12;

/// Why a dial failed.
pub(super) fn describe(error: &DialError) -> String {
    match error {
        DialError::Transport(failed) if failed.is_empty() => "no address is known".to_owned(),
        DialError::Transport(failed) => {
            let told = failed.iter().take(TOLD_ADDRESSES);
            told.map(|(address, cause)| format!("{address}: {}", cause_of(cause)))
                .collect::<Vec<_>>()
                .join("; ")
        }
        other => other.to_string(),
    }
}

/// The innermost error that says anything: those around it say nothing at all, or the same again.
fn cause_of(error: &dyn Error) -> String {
    let mut cause = error.to_string();
    let mut next = error.source();
    for _ in 0..DEPTH {
        let Some(inner) = next else { break };
        let text = inner.to_string();
        if !text.is_empty() {
            cause = text;
        }
        next = inner.source();
    }
    if cause.is_empty() { "unknown".to_owned() } else { cause }
}

#[cfg(test)]
mod tests {
    use std::io;

    use libp2p::{Multiaddr, core::transport::TransportError};

    use super::*;

    #[test]
    fn the_cause_is_found_behind_errors_without_words() {
        let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let failed = DialError::Transport(vec![(address, TransportError::Other(io::Error::other(refused)))]);
        assert_eq!(describe(&failed), "/ip4/127.0.0.1/tcp/1: connection refused");
        assert_eq!(describe(&DialError::Transport(Vec::new())), "no address is known");
    }
}
