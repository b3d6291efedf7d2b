//! What this machine must give: a folder, space, ports, descriptors, a key that nobody else reads.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use petald_actors::admin::Listen;

use super::Finding;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::descriptors;
use crate::identity::Identity;

/// Free space for the data folder and the logs, in bytes: some weeks of log files, and room for what is replaced on disk.
const LEAST_SPACE: u64 = 256 << 20;

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = vec![
        data_folder(&config.node.data_dir),
        space("disk space of the data folder", &config.node.data_dir),
        space("disk space of the logs", &config.log_dir()),
        identity(&config.identity_file()),
        file_descriptors(descriptors::needed(&config.network), descriptors::most()),
    ];
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
            true => Finding::ok(what, "held by the node that runs"),
            false => Finding::new(what, TcpListener::bind(address).map(|_| "free")),
        });
    }
    findings
}

fn data_folder(folder: &Path) -> Finding {
    let what = format!("data folder {}", folder.display());
    if let Some(holder) = DataDir::holder(folder) {
        let pid = holder.map_or("unknown".into(), |pid| pid.to_string());
        return Finding::ok(what, format!("in use by a node that runs, pid {pid}"));
    }
    let place = existing(folder);
    let probe = place.join(format!(".petald-check.{:016x}", rand::random::<u64>()));
    let written = petald_actors::durable::create(&probe, b"").and_then(|()| std::fs::remove_file(&probe));
    Finding::new(what, written.map(|()| if place == folder { "writable" } else { "will be created" }))
}

fn space(what: &str, folder: &Path) -> Finding {
    let free = rustix::fs::statvfs(existing(folder)).map_err(io::Error::from);
    match free.map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)) {
        Ok(free) if free < LEAST_SPACE => {
            let least = LEAST_SPACE >> 20;
            Finding::failed(what, format!("{} MiB free, expected {least} MiB at least", free >> 20))
        }
        free => Finding::new(what, free.map(|free| format!("{} MiB free", free >> 20))),
    }
}

/// What is not there yet will be made in whatever is.
fn existing(folder: &Path) -> &Path {
    let place = folder.ancestors().find(|place| place.exists()).unwrap_or(Path::new("."));
    if place.as_os_str().is_empty() { Path::new(".") } else { place }
}

fn identity(file: &Path) -> Finding {
    let what = format!("identity {}", file.display());
    if !file.exists() {
        return Finding::ok(what, "will be created");
    }
    match Identity::load(file) {
        Ok(identity) => match identity.exposure() {
            None => Finding::ok(what, identity.peer_id().to_string()),
            Some(exposure) => Finding::failed(what, exposure),
        },
        Err(error) => Finding::failed(what, error.to_string()),
    }
}

/// `limit` is the hard one of this shell; a service manager may give another one. `None` is no limit.
pub(super) fn file_descriptors(needed: u64, limit: Option<u64>) -> Finding {
    let what = "file descriptors";
    match limit {
        None => Finding::ok(what, "no limit"),
        Some(limit) if limit >= needed => Finding::ok(what, format!("{limit}, and {needed} are needed")),
        Some(limit) => Finding::failed(
            what,
            format!(
                "{limit}, and the connections of [network] need {needed}: raise it (ulimit -Hn {needed}, \
                 LimitNOFILE={needed}), or lower network.max_connections"
            ),
        ),
    }
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
