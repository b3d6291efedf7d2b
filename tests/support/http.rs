//! As much of an HTTP client as the admin API needs: one request a connection.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// The admin API answers from memory.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Result<Value, String> {
        match self.status {
            200 => serde_json::from_str(&self.body).map_err(|e| format!("{e} in {}", self.body)),
            status => Err(format!("status {status}: {}", self.body)),
        }
    }
}

/// An error is a text: what to print when a deadline passes.
pub(crate) async fn request(server: SocketAddr, method: &str, path: &str) -> Result<Answer, String> {
    send(server, method, path, "").await
}

/// The same with a body.
pub(crate) async fn send(server: SocketAddr, method: &str, path: &str, body: &str) -> Result<Answer, String> {
    exchange(TcpStream::connect(server), &server.to_string(), method, path, body).await
}

/// As [`request`], over whatever leads to the server.
pub(crate) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    connect: impl Future<Output = std::io::Result<S>>,
    host: &str,
    method: &str,
    path: &str,
    body: &str,
) -> Result<Answer, String> {
    let exchange = async {
        let mut stream = connect.await?;
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = match timeout(ANSWER_LIMIT, exchange).await {
        Ok(answer) => answer.map_err(|e| format!("{method} {path} at {host}: {e}"))?,
        Err(_) => return Err(format!("{method} {path} at {host}: no answer within {ANSWER_LIMIT:?}")),
    };
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(format!("no HTTP answer: {answer:?}"))?;
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or(format!("no status: {head:?}"))?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}
