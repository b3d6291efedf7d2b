//! Telling: a webhook or a program. Whatever comes from the swarm goes into the body of a request, or into the standard
//! input of a program, as JSON; never into an address, an argument or a shell.

use std::{process::Stdio, time::Duration};

use awc::{Client, Connector, http::header::USER_AGENT};
use tokio::{io::AsyncWriteExt, process::Command, time::timeout};

use super::rule::Notice;
use crate::backend::HealthUrl;

/// Who is told.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// An address that takes a `POST` of JSON, and answers 2xx. Plain HTTP: a program such as curl speaks TLS.
    Webhook(HealthUrl),
    /// A program and its arguments, which is given the JSON, and ends with 0.
    Command(Vec<String>),
}

/// Why nobody was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TellError {
    /// It took too long.
    #[error("not done within {0:?}")]
    Deadline(Duration),
    /// Nobody can be asked.
    #[error("{0}")]
    Unreachable(String),
    /// Not 2xx.
    #[error("it answered {0}")]
    Status(u16),
    /// The program cannot be run.
    #[error("cannot run it: {0}")]
    Run(String),
    /// The program did not end with 0.
    #[error("it ended with {0}")]
    Exit(String),
}

impl Target {
    /// Tells once.
    pub(super) async fn tell(&self, notice: &Notice, deadline: Duration) -> Result<(), TellError> {
        // The type has no map with keys that are no texts, which is all that could fail.
        let json = serde_json::to_vec(notice).unwrap_or_default();
        let told = async {
            match self {
                Self::Webhook(url) => post(url, json, deadline).await,
                Self::Command(words) => run(words, json).await,
            }
        };
        timeout(deadline, told).await.unwrap_or(Err(TellError::Deadline(deadline)))
    }
}

async fn post(url: &HealthUrl, json: Vec<u8>, deadline: Duration) -> Result<(), TellError> {
    let client = Client::builder()
        .connector(Connector::new().timeout(deadline).limit(1))
        .timeout(deadline)
        .disable_redirects()
        .add_default_header((USER_AGENT, concat!("petald/", env!("CARGO_PKG_VERSION"))))
        .finish();
    let request = client.post(url.to_string()).force_close().content_type("application/json");
    let answer = request.send_body(json).await.map_err(|error| TellError::Unreachable(error.to_string()))?;
    if answer.status().is_success() { Ok(()) } else { Err(TellError::Status(answer.status().as_u16())) }
}

async fn run(words: &[String], json: Vec<u8>) -> Result<(), TellError> {
    let Some((program, arguments)) = words.split_first() else {
        return Err(TellError::Run("it has no name".into()));
    };
    let mut command = Command::new(program);
    // The environment may hold our own config, and with it secrets.
    command.args(arguments).env_clear();
    command
        .envs(["PATH", "HOME", "LANG"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // Nobody waits for it after the deadline.
    command.kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| TellError::Run(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read what it is told may still do what it is for.
        let _ = stdin.write_all(&json).await;
    }
    let status = child.wait().await.map_err(|error| TellError::Run(error.to_string()))?;
    if status.success() { Ok(()) } else { Err(TellError::Exit(status.to_string())) }
}
