//! What one crawl saw of one server.

use serde::Serialize;

/// How a server was seen. The order is that of the digits in which it is kept: it only grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sighting {
    /// It announces that it serves, and answers.
    Online,
    /// It announces that it is about to serve.
    Joining,
    /// It announces that it has ended.
    Offline,
    /// It announces that it serves or is about to, and does not answer.
    Unreachable,
    /// It announces nothing.
    Missing,
}

impl Sighting {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Online, Self::Joining, Self::Offline, Self::Unreachable, Self::Missing];

    /// Its word in answers, files and configs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Joining => "joining",
            Self::Offline => "offline",
            Self::Unreachable => "unreachable",
            Self::Missing => "missing",
        }
    }

    /// Its place among [`Sighting::ALL`].
    pub(super) fn place(self) -> usize {
        self as usize
    }
}
