//! petald under attack, and what it takes of the machine.

use std::path::PathBuf;

use libp2p::{PeerId, multiaddr::Protocol};

use super::support::petald::{Config, Home, Petald};

/// In the DHT, in bytes, as the config below has it.
const MAX_BYTES: usize = 64 << 20;
const CACHE: usize = 16 << 20;

/// What calls of others hold at once, questions and answers.
const CALLS: usize = 128 << 20;

/// What a connection takes with its buffers, and how many there are.
const CONNECTION: usize = 128 << 10;
const CONNECTIONS: usize = 512 + 2 * 128;

/// The program itself, and what its allocator keeps.
const PROGRAM: usize = 48 << 20;

/// The memory that the config allows.
pub(crate) const MOST_MEMORY: usize = MAX_BYTES + CACHE + CALLS + CONNECTION * CONNECTIONS + PROGRAM;

/// Descriptors that the config allows: connections, those being made, and others.
pub(crate) const MOST_FILES: usize = 512 + 2 * 128 + 256;

/// What a process takes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Usage {
    pub(crate) memory: usize,
    pub(crate) files: usize,
    /// Of a processor, since it began.
    pub(crate) cpu_seconds: f64,
}

pub(crate) struct Target {
    pub(crate) petald: Petald,
    pub(crate) peer: PeerId,
    pub(crate) port: u16,
    _home: Home,
}

impl Target {
    pub(crate) async fn start() -> Target {
        let home = Home::new(&Config::default());
        let dht = format!(
            "[dht]\nmax_bytes = \"{}MiB\"\nmax_bytes_per_peer = \"32MiB\"\ncache = \"{}MiB\"\n",
            MAX_BYTES >> 20,
            CACHE >> 20
        );
        home.edit(&[("[debug]", &format!("{dht}[debug]"))]);
        let petald = home.run().await;
        let port = petald.dialable()[0].iter().find_map(|part| match part {
            Protocol::Tcp(port) => Some(port),
            _ => None,
        });
        Target { peer: petald.libp2p_id(), port: port.unwrap(), petald, _home: home }
    }

    pub(crate) fn usage(&self) -> Usage {
        let process = PathBuf::from(format!("/proc/{}", self.petald.process_id()));
        usage(&process).unwrap_or_default()
    }
}

/// Of a process, from its folder in /proc.
pub(crate) fn usage(process: &std::path::Path) -> std::io::Result<Usage> {
    let status = std::fs::read_to_string(process.join("status"))?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = kilobytes.and_then(|rest| rest.split_whitespace().next()?.parse::<usize>().ok());
    let stat = std::fs::read_to_string(process.join("stat"))?;
    // Behind the name, which may hold spaces: utime and stime are the 12th and 13th.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(Usage {
        memory: kilobytes.unwrap_or_default() << 10,
        files: std::fs::read_dir(process.join("fd"))?.count(),
        cpu_seconds: ticks / 100.0,
    })
}
