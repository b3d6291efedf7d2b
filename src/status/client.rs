//! As much of an HTTP client as the admin API needs, over TCP and over Unix sockets, which the client that we have for
//! model servers cannot: one request a connection, in HTTP/1.0, so that the answer ends with it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use petald_actors::admin::Token;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

/// For one answer. The API answers out of memory, or tells within 2 s that it cannot.
const DEADLINE: Duration = Duration::from_secs(5);
/// A node of a thousand blocks tells less than a tenth of it.
const LARGEST_ANSWER_BYTES: u64 = 8 << 20;

/// Where an admin API listens, as `admin.addr` and `--admin` name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// The path of a socket.
    Unix(PathBuf),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some("") => Err("names no socket".into()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text
                .parse()
                .map(Self::Tcp)
                .map_err(|_| "expected such as 127.0.0.1:8780 or unix:/run/petald/admin.sock".into()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// An API, and what opens it.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) place: Place,
    pub(crate) token: Option<Token>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Nobody listens there, or the connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It takes too long.
    #[error("no answer within {DEADLINE:?}")]
    Deadline,
    /// Something else listens there.
    #[error("what answers is not the admin api of a petald: {0}")]
    Strange(String),
    /// It says no.
    #[error("status {status}: {error}")]
    Refused {
        /// Of HTTP.
        status: u16,
        /// Its own words.
        error: String,
    },
}

impl Client {
    /// The JSON at `path`, whatever its status, if that is one of `expected`.
    pub(crate) async fn get(&self, path: &str, expected: &[u16]) -> Result<Value, ClientError> {
        let exchange = async {
            match &self.place {
                Place::Tcp(address) => self.exchange(TcpStream::connect(address).await?, path).await,
                Place::Unix(socket) => self.exchange(UnixStream::connect(socket).await?, path).await,
            }
        };
        let answer = tokio::time::timeout(DEADLINE, exchange).await.map_err(|_| ClientError::Deadline)??;
        let (status, value) = understand(&answer)?;
        if expected.contains(&status) {
            return Ok(value);
        }
        let error = value["error"].as_str().unwrap_or("it does not say why").to_owned();
        Err(ClientError::Refused { status, error })
    }

    async fn exchange<S>(&self, mut stream: S, path: &str) -> io::Result<String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let authorization = match &self.token {
            Some(token) => format!("Authorization: {}\r\n", token.authorization()),
            None => String::new(),
        };
        let request = format!("GET {path} HTTP/1.0\r\nHost: petald\r\n{authorization}\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(LARGEST_ANSWER_BYTES).read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

fn understand(answer: &str) -> Result<(u16, Value), ClientError> {
    let strange = |what: &str| ClientError::Strange(what.to_owned());
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| strange("no HTTP"))?;
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| strange("no HTTP status"))?;
    Ok((status, serde_json::from_str(body).map_err(|error| strange(&error.to_string()))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_read_as_they_are_written() {
        for text in ["127.0.0.1:8780", "[::1]:1", "unix:/run/x.sock", "unix:x"] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        for wrong in ["", "unix:", "localhost", "127.0.0.1", "http://127.0.0.1:1"] {
            wrong.parse::<Place>().unwrap_err();
        }
    }

    #[test]
    fn what_is_not_the_api_is_told() {
        assert!(matches!(understand("HTTP/1.0 503 Not\r\na: b\r\n\r\n{}"), Ok((503, Value::Object(_)))));
        for strange in ["", "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\n\r\n<html>", "HTTP/1.1 x\r\n\r\n{}"] {
            assert!(matches!(understand(strange), Err(ClientError::Strange(_))), "{strange}");
        }
    }

    #[tokio::test]
    async fn it_does_not_wait_for_ever_nor_read_without_end() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = Client { place: Place::Tcp(listener.local_addr().unwrap()), token: None };
        tokio::time::pause();
        assert!(matches!(client.get("/", &[200]).await, Err(ClientError::Deadline)));
        drop(listener);
        tokio::time::resume();
        assert!(matches!(client.get("/", &[200]).await, Err(ClientError::Io(_))));
    }
}
