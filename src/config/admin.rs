//! `[admin]`: the admin API, and `[debug]`, which adds to it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use petald_actors::admin::{Listen, Token};
use petald_actors::durable;

use super::entry::{Entry, Parsed};
use super::section::Section;
use super::values::{boolean, path, text};

/// What an address looks like.
const REMEDY: &str = r#"expected such as "127.0.0.1:8780" or "unix:/run/petald/admin.sock""#;
/// What others than the owner may do with a file.
const OTHERS: u32 = 0o077;
/// Of a file with a token: a line.
const LARGEST_TOKEN_BYTES: u64 = 4096;

/// `[admin]`
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    /// Whether there is an admin API at all.
    pub(crate) enabled: bool,
    /// Where it listens: on loopback, or on a socket of the file system.
    pub(crate) listen: Listen,
    /// What opens it over TCP; none if it is open there.
    pub(crate) token: Option<Token>,
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
        let token = section.optional("token_file", token);
        let beyond = match &listen {
            Some(Listen::Tcp(address)) if !address.ip().is_loopback() => Some(*address),
            _ => None,
        };
        if let (Some(address), Some(None)) = (beyond, &token) {
            let remedy = format!("{REMEDY}, or a token that others must bring, admin.token_file");
            section.wrong("listen", format!("{address} is not a loopback address"), remedy);
            return None;
        }
        Some(Self { enabled: enabled?, listen: listen?, token: token? })
    }
}

impl Debug {
    pub(super) fn read(mut section: Section<'_>) -> Option<Self> {
        let crash_endpoint = section.take("crash_endpoint", boolean);
        Some(Self { crash_endpoint: crash_endpoint? })
    }
}

fn listen(entry: &Entry) -> Parsed<Listen> {
    let text = text(entry)?;
    if let Some(path) = text.strip_prefix("unix:") {
        return match path {
            "" => entry.wrong("names no socket", REMEDY),
            path => Ok(Listen::Unix(path.into())),
        };
    }
    match text.parse::<SocketAddr>() {
        Ok(address) => Ok(Listen::Tcp(address)),
        Err(_) => entry.wrong(format!("{text:?} is not an address"), REMEDY),
    }
}

/// The token in the file that is named. A secret that others can read is none.
fn token(entry: &Entry) -> Parsed<Token> {
    let file = path(entry)?;
    let wrong = |what: String, remedy: &str| entry.wrong(format!("{} {what}", file.display()), remedy);
    let mode = match fs::metadata(&file) {
        Ok(found) if !found.is_file() => return wrong("is no file".into(), "name a file with a token in it"),
        Ok(found) => found.permissions().mode(),
        Err(error) => {
            return wrong(format!("cannot be read: {error}"), "make it: a line with a long random text");
        }
    };
    if mode & OTHERS != 0 {
        return wrong("can be read by others".into(), "chmod 600 it, and make a new token");
    }
    match durable::read(&file, LARGEST_TOKEN_BYTES) {
        Ok(text) => Token::new(&String::from_utf8_lossy(&text))
            .or_else(|error| wrong(format!("holds no token: {error}"), "openssl rand -hex 32 makes one")),
        Err(error) => wrong(format!("cannot be read: {error}"), "it must be this user's"),
    }
}
