//! `[admin]`: the admin API, and `[debug]`, which adds to it.

use std::net::SocketAddr;

use petald_actors::admin::Listen;

use super::entry::{Entry, Parsed};
use super::section::Section;
use super::values::{boolean, text};

/// `[admin]`
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    /// Whether there is an admin API at all.
    pub(crate) enabled: bool,
    /// Where it listens: on loopback, or on a socket of the file system.
    pub(crate) listen: Listen,
}

/// `[debug]`
#[derive(Debug, Clone)]
pub(crate) struct Debug {
    /// Whether `POST /debug/crash/<actor>` is served.
    pub(crate) crash_endpoint: bool,
}

impl Admin {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let enabled = section.take("enabled", boolean);
        let listen = section.take("listen", listen);
        Some(Self { enabled: enabled?, listen: listen? })
    }
}

impl Debug {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let crash_endpoint = section.take("crash_endpoint", boolean);
        Some(Self { crash_endpoint: crash_endpoint? })
    }
}

fn listen(entry: &Entry) -> Parsed<Listen> {
    let remedy = r#"expected such as "127.0.0.1:8780" or "unix:/run/petald/admin.sock""#;
    let text = text(entry)?;
    if let Some(path) = text.strip_prefix("unix:") {
        return match path {
            "" => entry.wrong("names no socket", remedy),
            path => Ok(Listen::Unix(path.into())),
        };
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(Listen::Tcp(address)),
        Ok(address) => entry.wrong(format!("{address} is not a loopback address"), remedy),
        Err(_) => entry.wrong(format!("{text:?} is not an address"), remedy),
    }
}
