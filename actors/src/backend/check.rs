//! One look at the model server, whichever way it is taken.

use std::time::Duration;

use futures::future::LocalBoxFuture;

/// The most that is read of what the model server says of itself. Its six figures take some 200 bytes.
pub(super) const LARGEST_STATEMENT_BYTES: usize = 64 << 10;

/// What a model server that is well says besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    /// All of it; may be empty.
    Whole(Vec<u8>),
    /// More than [`LARGEST_STATEMENT_BYTES`]: not read to its end.
    TooLarge,
}

/// A way to look at the model server.
pub(super) trait Check {
    /// Looks once. Dropping the future ends it; its caller sees to the deadline.
    fn check(&self) -> LocalBoxFuture<'static, Result<Statement, CheckError>>;
}

/// Why the model server does not seem to be well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CheckError {
    /// No answer, or not all of it.
    #[error("no answer within {0:?}")]
    Deadline(Duration),
    /// Nobody can be asked, or the answer breaks off.
    #[error("{0}")]
    Unreachable(String),
    /// An answer that is not 2xx. A redirection is one: the address in the config is the one that is asked.
    #[error("it answered {0}")]
    Status(u16),
    /// The heartbeat is too old.
    #[error("the last heartbeat is {age:?} old, more than {max_age:?}")]
    Stale { age: Duration, max_age: Duration },
    /// The heartbeat would never grow old.
    #[error("the last heartbeat lies {0:?} in the future: clocks differ")]
    Future(Duration),
    /// A folder, a pipe, a device.
    #[error("the heartbeat is not a regular file")]
    NotAFile,
    /// The file is not there, or cannot be read.
    #[error("cannot read the heartbeat: {0}")]
    Io(String),
    /// The disk still has not answered the last time.
    #[error("the disk does not answer")]
    Hanging,
}
