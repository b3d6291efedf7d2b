//! Asking the model server over HTTP: 2xx is well.
//!
//! Each check is a connection of its own: one that was kept may have been closed by the other side, which would
//! look like a failure. Nobody but the address in the config is asked: redirections are not followed and no proxy of
//! the environment is used.

use std::{fmt, str::FromStr, time::Duration};

use awc::{
    Client, Connector,
    http::{Uri, header::USER_AGENT},
};
use futures::{StreamExt, future::LocalBoxFuture};

use super::check::{Check, CheckError, LARGEST_STATEMENT_BYTES, Statement};

/// An address that can be asked: `http://host[:port]/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthUrl(Uri);

/// Why an address cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not an address at all.
    #[error("{text:?} is not a URL: {cause}")]
    Malformed {
        /// What it is instead.
        text: String,
        /// Why.
        cause: String,
    },
    /// Only plain HTTP is spoken: a model server is next to its node.
    #[error("{0:?} is not http://, which is all that is spoken here")]
    Scheme(String),
    /// A port that does not exist.
    #[error("{0:?} has no usable port")]
    Port(String),
    /// It would stand in logs.
    #[error("a health URL holds no user name or password")]
    Secret,
}

impl FromStr for HealthUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let malformed = |cause: String| UrlError::Malformed { text: text.to_owned(), cause };
        let uri: Uri =
            text.parse().map_err(|error: awc::http::uri::InvalidUri| malformed(error.to_string()))?;
        if uri.scheme_str() != Some("http") {
            return Err(UrlError::Scheme(text.to_owned()));
        }
        let (authority, host) = (uri.authority().map_or("", |a| a.as_str()), uri.host().unwrap_or_default());
        if authority.contains('@') {
            return Err(UrlError::Secret);
        }
        if host.is_empty() {
            return Err(malformed("it names no host".into()));
        }
        if authority != host && uri.port_u16().is_none_or(|port| port == 0) {
            return Err(UrlError::Port(text.to_owned()));
        }
        Ok(Self(uri))
    }
}

impl fmt::Display for HealthUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Asks one address.
pub(super) struct HttpCheck {
    url: HealthUrl,
    client: Client,
}

impl HttpCheck {
    /// Within an arbiter only. `timeout` is how long anything may take.
    pub(super) fn new(url: HealthUrl, timeout: Duration) -> Self {
        let client = Client::builder()
            .connector(Connector::new().timeout(timeout).limit(1))
            .timeout(timeout)
            .disable_redirects()
            .add_default_header((USER_AGENT, concat!("petald/", env!("CARGO_PKG_VERSION"))))
            .finish();
        Self { url, client }
    }
}

impl Check for HttpCheck {
    fn check(&self) -> LocalBoxFuture<'static, Result<Statement, CheckError>> {
        let request = self.client.get(self.url.0.clone()).force_close().no_decompress().send();
        Box::pin(async move {
            let mut answer = request.await.map_err(|error| CheckError::Unreachable(error.to_string()))?;
            if !answer.status().is_success() {
                return Err(CheckError::Status(answer.status().as_u16()));
            }
            let mut statement = Vec::new();
            while let Some(part) = answer.next().await {
                let part = part.map_err(|error| CheckError::Unreachable(error.to_string()))?;
                if statement.len() + part.len() > LARGEST_STATEMENT_BYTES {
                    return Ok(Statement::TooLarge);
                }
                statement.extend_from_slice(&part);
            }
            Ok(Statement::Whole(statement))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_asked_is_an_address() {
        for good in
            ["http://localhost/health", "http://127.0.0.1:8000", "http://[::1]:8000/a?b=c", "http://a.b:80/"]
        {
            assert!(good.parse::<HealthUrl>().unwrap().to_string().starts_with(good), "{good}");
        }
        let wrong = |text: &str| text.parse::<HealthUrl>().unwrap_err();
        for text in ["https://localhost/", "ftp://localhost/", "localhost", "localhost:80", "/health"] {
            assert!(matches!(wrong(text), UrlError::Scheme(_)), "{text}: {:?}", wrong(text));
        }
        for text in ["", "http://", "http:///health", "http://a b/", "http://:80/"] {
            assert!(matches!(wrong(text), UrlError::Malformed { .. }), "{text}: {:?}", wrong(text));
        }
        for text in ["http://localhost:0/", "http://localhost:65536/", "http://localhost:/"] {
            assert!(matches!(wrong(text), UrlError::Port(_)), "{text}: {:?}", wrong(text));
        }
        assert_eq!(wrong("http://me:secret@localhost/"), UrlError::Secret);
        assert!(!wrong("http://me:secret@localhost/").to_string().contains("me:"));
    }
}
