//! `petald check`: whether the config would work here, now. Each thing that is tried is a line.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use petald_actors::admin::Listen;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::data_dir::DataDir;
use crate::identity::Identity;

/// Name resolution and TCP handshake of one bootstrap; all are tried at the same time.
const BOOTSTRAP_DEADLINE: Duration = Duration::from_secs(5);

/// What was tried, and what came of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    what: String,
    /// What it is like, or why it does not work.
    outcome: Result<String, String>,
}

impl Finding {
    /// Whether it works.
    pub(crate) fn is_ok(&self) -> bool {
        self.outcome.is_ok()
    }

    fn new(what: impl Into<String>, outcome: Result<impl Into<String>, impl fmt::Display>) -> Self {
        let outcome = outcome.map(Into::into).map_err(|error| error.to_string());
        Self { what: what.into(), outcome }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.outcome {
            Ok(outcome) => write!(f, "ok      {}: {outcome}", self.what),
            Err(outcome) => write!(f, "FAILED  {}: {outcome}", self.what),
        }
    }
}

/// Tries everything that the config names outside of itself.
pub(crate) async fn check(config: &Config) -> Vec<Finding> {
    let mut findings = vec![data_folder(&config.node.data_dir), identity(&config.identity_file())];
    // A node that runs already has its ports; that they are taken is as it should be.
    let running = DataDir::holder(&config.node.data_dir).is_some();
    let ports = config.network.listen.iter().map(|address| (format!("listen {address}"), socket(address)));
    let admin = match (&config.admin.listen, config.admin.enabled) {
        (Listen::Tcp(address), true) => Some((format!("admin {address}"), Some(*address))),
        _ => None,
    };
    for (what, address) in ports.chain(admin) {
        let Some(address) = address else { continue };
        findings.push(match running {
            true => Finding::new(what, Ok::<_, io::Error>("held by the node that runs")),
            false => Finding::new(what, TcpListener::bind(address).map(|_| "free")),
        });
    }
    findings.extend(bootstraps(&config.network.initial_peers, BOOTSTRAP_DEADLINE).await);
    findings
}

fn data_folder(folder: &Path) -> Finding {
    let what = format!("data folder {}", folder.display());
    if let Some(holder) = DataDir::holder(folder) {
        let pid = holder.map_or("unknown".into(), |pid| pid.to_string());
        return Finding::new(what, Ok::<_, io::Error>(format!("in use by a node that runs, pid {pid}")));
    }
    // What is not there yet will be made in whatever is.
    let place = folder.ancestors().find(|place| place.exists()).unwrap_or(Path::new("."));
    let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
    let probe = place.join(format!(".petald-check.{:016x}", rand::random::<u64>()));
    let written = petald_actors::durable::create(&probe, b"").and_then(|()| std::fs::remove_file(&probe));
    Finding::new(what, written.map(|()| if place == folder { "writable" } else { "will be created" }))
}

fn identity(file: &Path) -> Finding {
    let what = format!("identity {}", file.display());
    if !file.exists() {
        return Finding::new(what, Ok::<_, io::Error>("will be created"));
    }
    match Identity::load(file) {
        Ok(identity) => match identity.exposure() {
            None => Finding::new(what, Ok::<_, io::Error>(identity.peer_id().to_string())),
            Some(exposure) => Finding::new(what, Err::<String, _>(exposure)),
        },
        Err(error) => Finding::new(what, Err::<String, _>(error)),
    }
}

async fn bootstraps(peers: &[Multiaddr], deadline: Duration) -> Vec<Finding> {
    let mut dials = JoinSet::new();
    for (place, peer) in peers.iter().cloned().enumerate() {
        dials.spawn(async move {
            let outcome = match tokio::time::timeout(deadline, dial(&peer)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(io::Error::other(format!("no answer within {deadline:?}"))),
            };
            (place, Finding::new(format!("bootstrap {peer}"), outcome))
        });
    }
    let mut findings = dials.join_all().await;
    findings.sort_by_key(|(place, _)| *place);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

async fn dial(peer: &Multiaddr) -> io::Result<String> {
    let mut parts = peer.iter();
    if let Some(Protocol::Dnsaddr(_)) = peer.iter().next() {
        return Ok("not tried: its records are looked up by the node".into());
    }
    let (Some(host), Some(Protocol::Tcp(port))) = (parts.next(), parts.next()) else {
        return Err(io::Error::other("not a TCP address"));
    };
    let stream = match host {
        Protocol::Ip4(ip) => TcpStream::connect((ip, port)).await?,
        Protocol::Ip6(ip) => TcpStream::connect((ip, port)).await?,
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => {
            TcpStream::connect((&*name, port)).await?
        }
        _ => return Err(io::Error::other("neither a name nor an IP address")),
    };
    Ok(format!("TCP to {}", stream.peer_addr()?))
}

fn socket(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some((ip, port).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    fn config(folder: &Path, listen: &str, peers: &str) -> Config {
        let folder = folder.to_str().unwrap();
        let set = [
            ("node.data_dir", folder),
            ("network.listen", listen),
            ("network.initial_peers", peers),
            ("admin.listen", "127.0.0.1:0"),
        ];
        Config::load(None, &set.map(|(key, value)| (key.into(), value.into()))).unwrap()
    }

    #[tokio::test]
    async fn each_thing_is_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        // Nobody listens here any more.
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("/ip4/127.0.0.1/tcp/0,/ip4/127.0.0.1/tcp/{port}");
        let peers = format!("/ip4/127.0.0.1/tcp/{closed}/p2p/{PEER},/dns/localhost/tcp/{port}/p2p/{PEER}");
        let findings = check(&config(&folder.path().join("new"), &listen, &peers)).await;
        let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
        let starts = [
            "ok      data folder ".into(),
            "ok      identity ".into(),
            "ok      listen /ip4/127.0.0.1/tcp/0: free".into(),
            format!("FAILED  listen /ip4/127.0.0.1/tcp/{port}: "),
            "ok      admin 127.0.0.1:0: free".into(),
            format!("FAILED  bootstrap /ip4/127.0.0.1/tcp/{closed}/p2p/{PEER}: "),
            format!("ok      bootstrap /dns/localhost/tcp/{port}/p2p/{PEER}: TCP to "),
        ];
        assert_eq!(lines.len(), starts.len(), "{lines:#?}");
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(&start), "{line:?} instead of {start:?}");
        }
        assert!(!folder.path().join("new").exists(), "check leaves nothing behind");
    }

    #[tokio::test]
    async fn a_node_that_runs_may_hold_its_ports() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
        let config = config(folder.path(), &listen, "");
        assert!(check(&config).await.iter().any(|finding| !finding.is_ok()));
        let _held = DataDir::open(folder.path()).unwrap();
        let findings = check(&config).await;
        assert!(findings.iter().all(Finding::is_ok), "{findings:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bootstrap_has_a_deadline() {
        // Nobody routes 192.0.2.0/24 (RFC 5737): no answer, or an immediate refusal without a network.
        let peer = format!("/ip4/192.0.2.1/tcp/1/p2p/{PEER}").parse().unwrap();
        let findings = bootstraps(&[peer], Duration::from_secs(5)).await;
        assert!(!findings[0].is_ok());
    }
}
