//! What a service manager is told. The words are those of systemd's notify protocol (`sd_notify(3)`), without its form.

use std::io;

/// One thing to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News<'a> {
    /// Every actor serves; after [`News::Reloading`]: the reload is over.
    Ready,
    /// The config is being loaded again.
    Reloading,
    /// The node drains.
    Stopping,
    /// A line for people.
    Status(&'a str),
    /// Every actor has answered lately.
    Alive,
}

/// Whoever started the process, and starts it again if it says nothing any more. It may be told from any thread, and
/// telling never waits: what cannot be told at once is an error.
pub trait ServiceManager: Send + Sync {
    /// Tells all of it in one message.
    fn tell(&self, news: &[News<'_>]) -> io::Result<()>;
}
