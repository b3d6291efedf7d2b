//! Unary calls as p2pd speaks them: one stream a call, one message in each direction.
//!
//! Sources: go-libp2p-daemon `persistent_stream.go` (`doUnaryCall`, `persistentStreamHandler`) and
//! `schema/p2pd.proto`. A stream is negotiated under the handler's bare name; each side then sends one
//! `PersistentConnectionRequest`, prefixed with its length as an unsigned varint.
//!
//! - The writing side stays open after the request: p2pd takes an end of stream for a cancelled call.
//!   As a callee we do the same: the answer follows the one message, and an end of stream before it
//!   means that nobody waits any more.
//! - The caller is the peer of the connection, and the handler is the negotiated name, whatever the
//!   message says.
//! - Calls are told apart by their stream, never by their order.
//!
//! An inbound call goes from its connection's own task straight into the queue of whoever serves the
//! handler ([`Registry`]); the swarm never sees it ([`Muxer`]). Everything is bounded: calls a peer,
//! bytes a message, bytes of all calls under way, and the time of each step. What is over a bound is
//! answered with an error text; a connection is never closed for it.
//!
//! Outbound streams work with both negotiation versions of multistream-select. With `V1` a refusal
//! is a failed negotiation; with `V1Lazy` the request travels with the proposal, which saves a round
//! trip, and the refusal arrives as the first read's error, wrapping the same `NegotiationError`. Both
//! become [`CallError::UnknownHandler`], so a swarm should use `V1Lazy`.

mod behaviour;
mod budget;
mod callers;
mod codec;
mod counters;
mod deadline;
mod driver;
mod frame_reader;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod handler;
mod inbound;
mod latency;
mod muxer;
mod outbound;
mod registry;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::channel::oneshot;

use crate::bare_name::HandlerName;

pub use behaviour::Behaviour;
pub use budget::InboundBytes;
pub use counters::Counters;
pub use handler::Handler;
pub use latency::{LATENCY_BOUNDS, Latency, Stopwatch};
pub use muxer::{Muxer, MuxerError};
pub use registry::{InboundCall, Mailbox, Registry};

/// Bounds of the unary calls of a node.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The largest message in either direction, in bytes, its length prefix not counted.
    pub max_message_bytes: usize,
    /// Inbound calls of one peer under way; more are answered "busy".
    pub inbound_per_peer: usize,
    /// What they hold; calls that do not fit are answered "busy".
    pub inbound_bytes: InboundBytes,
    /// Outbound calls under way on one connection; more fail with [`CallError::Busy`].
    pub outbound_per_connection: usize,
    /// Within this a request must have come, and an answer must have been taken.
    pub read_deadline: Duration,
    /// Within this whoever serves the handler must have answered.
    pub answer_deadline: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // `persistentConnMaxMsgSize`, p2pd's own default.
            max_message_bytes: 4 * 1024 * 1024,
            // One p2pd carries all calls of a Python process. Together they stay well below the 3072
            // streams that a connection is given, beyond which yamux has the remote close it.
            inbound_per_peer: 1024,
            inbound_bytes: InboundBytes::default(),
            outbound_per_connection: 1024,
            // Time for a largest message over a line of 4 Mbit/s.
            read_deadline: Duration::from_secs(10),
            // Python peers wait 3 s for a DHT call and 5 to 10 s for reachability; longer waits are
            // of no use to anyone.
            answer_deadline: Duration::from_secs(30),
        }
    }
}

/// A call to a handler of another peer.
#[derive(Debug)]
pub struct OutboundCall {
    /// Which handler.
    pub handler: HandlerName,
    /// The serialized application message.
    pub data: Vec<u8>,
    /// How long the call may take from the moment at which it is given to the [`Behaviour`].
    pub deadline: Duration,
    /// Where the answer goes. The call is cancelled when the receiver is dropped.
    pub reply: oneshot::Sender<Result<Vec<u8>, CallError>>,
}

/// Why a call had no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// There is no connection to the peer.
    #[error("not connected")]
    NotConnected,
    /// The connection was lost before the answer came.
    #[error("connection lost")]
    ConnectionLost,
    /// No connection could be made.
    #[error("unreachable: {0}")]
    Unreachable(String),
    /// The peer does not serve this handler.
    #[error("the peer does not serve this handler")]
    UnknownHandler,
    /// The answer did not come in time.
    #[error("no answer in time")]
    Deadline,
    /// The request, or the answer, is over the bound.
    #[error("message of {bytes} bytes, more than {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The bound.
        limit: usize,
    },
    /// The handler failed; its own words.
    #[error("the handler failed: {0}")]
    Handler(String),
    /// The answer is no valid message.
    #[error("malformed answer: {0}")]
    Malformed(String),
    /// The stream failed.
    #[error("stream failed: {0}")]
    Io(String),
    /// Too many calls are under way here.
    #[error("too many calls are under way")]
    Busy,
}
