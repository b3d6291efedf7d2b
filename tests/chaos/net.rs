//! The network: a namespace for each node, and the weather between them. Drives `switch.py`.

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::python::Python;

/// A namespace with one cable.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Port {
    /// IPv4.
    pub(crate) address: String,
    /// The command that runs another in it.
    pub(crate) enter: Vec<String>,
}

impl Port {
    /// Runs what is added to the command inside of the namespace.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.enter[0]);
        command.args(&self.enter[1..]);
        command
    }
}

/// All namespaces are gone when it is dropped.
pub(crate) struct Net {
    python: Python,
    ports: BTreeMap<String, Port>,
}

/// How this machine lets us make namespaces.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    Root,
    UserNamespace,
}

impl Way {
    fn command(self) -> Command {
        match self {
            Way::Root => Command::new("python3"),
            Way::UserNamespace => {
                let mut command = Command::new("unshare");
                command.args(["--user", "--map-root-user", "python3"]).env("SWITCH_USER_NAMESPACE", "1");
                command
            }
        }
    }

    /// The first way that works here, or what is missing.
    pub(crate) async fn find() -> Result<Way, String> {
        let root = rustix::process::geteuid().is_root();
        let ways = if root { &[Way::Root][..] } else { &[Way::UserNamespace] };
        let mut missing = String::new();
        for way in ways {
            let works = way
                .command()
                .args(["-c", TRIAL])
                .stdin(Stdio::null())
                .output()
                .await
                .map_err(|e| format!("{way:?}: {e}"))?;
            if works.status.success() {
                return Ok(*way);
            }
            missing = String::from_utf8_lossy(&works.stderr).trim().to_owned();
        }
        Err(format!("no network namespaces with TUN devices can be made here: {missing}"))
    }
}

/// What every port needs.
const TRIAL: &str = "
import ctypes, fcntl, os, struct
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x40000000) == 0, 'unshare: ' + os.strerror(ctypes.get_errno())
tap = os.open('/dev/net/tun', os.O_RDWR)
fcntl.ioctl(tap, 0x400454CA, struct.pack('16sH22x', b'eth0', 0x1002))
";

impl Net {
    pub(crate) async fn new(way: Way, names: &[&str], seed: u64) -> Net {
        let python = Python::start_by(way.command(), "switch.py");
        let ports = python.ask("ports", json!({"names": names, "seed": seed})).await;
        Net { python, ports: serde_json::from_value(ports).unwrap() }
    }

    pub(crate) fn port(&self, name: &str) -> &Port {
        &self.ports[name]
    }

    /// Pulls a cable, or plugs it in.
    pub(crate) async fn plug(&self, name: &str, plugged: bool) {
        self.python.ask("plug", json!({"name": name, "plugged": plugged})).await;
    }

    /// A name server at a port, and all that it knows from now on: name → type → values.
    pub(crate) async fn names(&self, name: &str, records: &BTreeMap<String, Value>) {
        self.python.ask("names", json!({"name": name, "records": records})).await;
    }

    /// Every frame of a port takes `delay` longer in each direction, and this part of them is lost.
    pub(crate) async fn weather(&self, name: &str, delay: Duration, loss: f64) {
        let request = json!({"name": name, "delay": delay.as_secs_f64(), "loss": loss});
        self.python.ask("weather", request).await;
    }
}

/// A JSON form of a command.
pub(crate) fn enter(port: &Port) -> Value {
    json!(port.enter)
}

/// A path as text, for JSON.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().expect("the tests' folders have plain names").to_owned()
}
