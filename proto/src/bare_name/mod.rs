//! Handler names without a leading slash, over stock rust-libp2p.
//!
//! A hivemind handler's protocol id is its bare name, such as `DHTProtocol.rpc_ping`
//! (go-libp2p-daemon, `persistent_stream.go`: the name of a unary handler is used as it is). Go's
//! multistream accepts that. The Rust crate `multistream-select` accepts only names that begin with
//! a slash: a rule of that crate, not of the wire. So the crate stays as it is, and names are
//! translated underneath it:
//!
//! ```text
//!   swarm, connection handlers     /bare/DHTProtocol.rpc_ping     inside
//!   multistream-select (stock)
//!   BareStream                     renames within handshake frames, then gets out of the way
//!   yamux, noise, tcp (stock)      DHTProtocol.rpc_ping           on the wire
//! ```
//!
//! A [`BareStream`] follows the multistream handshake of its own substream in both directions and forgets everything
//! at the first byte of data; from then on a poll costs one check. Every substream of every connection must be one: the
//! muxer of an upgraded connection is wrapped in a [`Muxer`](crate::unary::Muxer), which also answers the calls of our
//! own handlers, below the swarm.

mod arrival;
mod frame;
mod negotiation;
mod stream;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt};

use libp2p::StreamProtocol;

pub(crate) use arrival::{Arrival, Proposal};
pub use stream::BareStream;

/// Marks, inside the process, a name that has no leading slash on the wire.
const PREFIX: &str = "/bare/";

/// The longest handler name, in bytes. Names in the field have less than 100 bytes; a handshake
/// frame holds 16 KiB, and with the prefix a name must still fit.
pub const MAX_NAME_BYTES: usize = 1024;

/// Why a text is no handler name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing to negotiate.
    #[error("a handler name is empty")]
    Empty,
    /// Multistream reads `na` and `ls` as commands.
    #[error("`{0}` is a command of the handshake, not a handler name")]
    Command(String),
    /// A line feed ends a name on the wire.
    #[error("a handler name has a line feed: {0:?}")]
    LineFeed(String),
    /// The name of an ordinary libp2p protocol, not of a handler.
    #[error("a handler name has no leading slash: `{0}`")]
    Slash(String),
    /// Longer than [`MAX_NAME_BYTES`].
    #[error("a handler name has {0} bytes, more than {MAX_NAME_BYTES}")]
    TooLong(usize),
}

/// The name of a handler, valid on the wire. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HandlerName(StreamProtocol);

impl HandlerName {
    /// Checks `name`, such as `DHTProtocol.rpc_ping`.
    pub fn new(name: &str) -> Result<Self, NameError> {
        Self::check(name)?;
        // The prefix begins with a slash, which is all that is asked of a protocol.
        StreamProtocol::try_from_owned([PREFIX, name].concat())
            .map(Self)
            .map_err(|_| NameError::Slash(name.to_owned()))
    }

    /// What [`new`](Self::new) asks of a name.
    fn check(name: &str) -> Result<(), NameError> {
        match name {
            "" => Err(NameError::Empty),
            "na" | "ls" => Err(NameError::Command(name.to_owned())),
            _ if name.contains('\n') => Err(NameError::LineFeed(name.to_owned())),
            _ if name.starts_with('/') => Err(NameError::Slash(name.to_owned())),
            _ if name.len() > MAX_NAME_BYTES => Err(NameError::TooLong(name.len())),
            _ => Ok(()),
        }
    }

    /// The name as it is on the wire.
    pub fn as_str(&self) -> &str {
        let inside = self.0.as_ref();
        inside.strip_prefix(PREFIX).unwrap_or(inside)
    }

    /// The name under which libp2p knows the handler in this process.
    pub fn protocol(&self) -> StreamProtocol {
        self.0.clone()
    }
}

impl fmt::Display for HandlerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for HandlerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// Wire name to inside name. Total and one-to-one: a real `/bare/x` on the wire is `/bare//bare/x`
/// inside, so it is never taken for `x`.
fn to_inside(wire: &[u8]) -> Cow<'_, [u8]> {
    if wire.starts_with(b"/") && !wire.starts_with(PREFIX.as_bytes()) {
        Cow::Borrowed(wire)
    } else {
        Cow::Owned([PREFIX.as_bytes(), wire].concat())
    }
}

/// Inside name to wire name, the inverse of [`to_inside`].
fn to_wire(inside: &[u8]) -> Cow<'_, [u8]> {
    Cow::Borrowed(inside.strip_prefix(PREFIX.as_bytes()).unwrap_or(inside))
}
