//! `petald status`: a running node as its admin API tells of it, once or again each second.

mod client;
mod page;

use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

use petald_actors::admin::Token;
use serde_json::Value;

pub(crate) use client::Place;
use client::{Client, ClientError};
pub(crate) use page::{Colours, span_of};

use crate::config::Config;
use crate::exit::Exit;

/// Between two looks with `--watch`.
const PERIOD: Duration = Duration::from_secs(1);
/// Of `admin.addr`: one line.
const LARGEST_ADDRESS_BYTES: u64 = 4096;
/// Moves to the upper left, and clears what is below.
pub(crate) const REDRAW: &str = "\x1b[H\x1b[J";
/// Clears the whole screen.
pub(crate) const CLEAR: &str = "\x1b[2J";

/// How the node is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Show {
    /// As the API tells it.
    pub(crate) json: bool,
    /// Again each second.
    pub(crate) watch: bool,
}

/// Why there is no status.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StatusError {
    /// The data folder says nothing of a running node.
    #[error("no petald runs here: there is no {file}")]
    NotRunning {
        /// What a running one would have written.
        file: String,
    },
    /// The data folder says something else.
    #[error("{file} names no admin api: {cause}")]
    NoAddress {
        /// The file.
        file: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Nobody answers.
    #[error("no petald answers at {place}: {source}")]
    NoAnswer {
        /// Where it should.
        place: Place,
        /// Why not.
        source: ClientError,
    },
}

/// Whom to ask.
pub(crate) fn client(config: &Config, named: Option<Place>) -> Result<Client, StatusError> {
    let token: Option<Token> = config.admin.token.clone();
    let place = match named {
        Some(place) => place,
        None => written(&config.node.data_dir.join("admin.addr"))?,
    };
    Ok(Client { place, token })
}

fn written(file: &Path) -> Result<Place, StatusError> {
    let name = file.display().to_string();
    match petald_actors::durable::read(file, LARGEST_ADDRESS_BYTES) {
        Ok(text) => {
            let text = String::from_utf8_lossy(&text);
            text.trim().parse().map_err(|cause| StatusError::NoAddress { file: name, cause })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StatusError::NotRunning { file: name }),
        Err(error) => Err(StatusError::NoAddress { file: name, cause: error.to_string() }),
    }
}

/// Shows the node. Zero if it is visible.
pub(crate) async fn status(client: &Client, show: Show) -> Result<Exit, StatusError> {
    let terminal = io::stdout().is_terminal();
    let colours = Colours::wanted(terminal);
    if !show.watch {
        let node = look(client).await?;
        crate::say(shown(&node, show, colours));
        return Ok(exit(&node));
    }
    if !terminal && !show.json {
        eprintln!("--watch draws on a terminal; elsewhere add --json for an object a line");
        return Ok(Exit::Usage);
    }
    let (clear, redraw) = if show.json { ("", "") } else { (CLEAR, REDRAW) };
    crate::say(clear);
    let mut tick = tokio::time::interval(PERIOD);
    loop {
        tick.tick().await;
        // A node that is restarted while it is watched is back soon.
        let page = match look(client).await {
            Ok(node) => shown(&node, show, colours),
            Err(error) if show.json => format!("{}\n", serde_json::json!({ "error": error.to_string() })),
            Err(error) => format!("{error}\n"),
        };
        crate::say(format_args!("{redraw}{page}"));
    }
}

/// The node, with all that its observer saw.
async fn look(client: &Client) -> Result<Value, StatusError> {
    let failed = |source| StatusError::NoAnswer { place: client.place.clone(), source };
    let mut node = client.get("/api/v1/node", &[200]).await.map_err(failed)?;
    node["visibility"] = client.get("/readyz?verbose", &[200, 503]).await.map_err(failed)?;
    Ok(node)
}

fn shown(node: &Value, show: Show, colours: Colours) -> String {
    match show {
        Show { json: true, watch: true } => format!("{node}\n"),
        Show { json: true, watch: false } => format!("{node:#}\n"),
        Show { json: false, .. } => page::page(node, colours),
    }
}

fn exit(node: &Value) -> Exit {
    if node["visibility"]["ready"] == true { Exit::Done } else { Exit::Unavailable }
}
