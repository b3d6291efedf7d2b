//! The interpreters and the p2pd that `tests/peers/setup.py` installs: once on a machine, asked for once a run.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::{process::Command, sync::OnceCell};

use super::deadline::within;

/// The first run downloads 100 MB, or 5 GB where pip must bring torch.
const SETUP_LIMIT: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug)]
pub(crate) struct Peers {
    /// Python with hivemind 1.1.12.
    pub(crate) hivemind: PathBuf,
    /// Python with petals' record types on the same hivemind.
    pub(crate) petals: PathBuf,
    /// The Go daemon from hivemind's wheel.
    pub(crate) p2pd: PathBuf,
}

static PEERS: OnceCell<Result<Peers, String>> = OnceCell::const_new();

/// Where the peers are. Panics, and so fails the test, where they cannot be set up.
pub(crate) async fn peers() -> Peers {
    match PEERS.get_or_init(set_up).await {
        Ok(peers) => peers.clone(),
        Err(missing) => panic!("{missing}"),
    }
}

/// The folder of the Python programs.
pub(crate) fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

async fn set_up() -> Result<Peers, String> {
    let mut command = Command::new("python3");
    command.arg(programs().join("setup.py")).stdin(Stdio::null()).kill_on_drop(true);
    let done = within(SETUP_LIMIT, "the real peers are set up", command.output())
        .await
        .map_err(|e| format!("the tests with real peers need Python 3.9 or later: python3: {e}"))?;
    let progress = String::from_utf8_lossy(&done.stderr);
    if !done.status.success() {
        return Err(format!("tests/peers/setup.py failed ({}):\n{progress}", done.status));
    }
    let stdout = String::from_utf8_lossy(&done.stdout);
    let paths: Value = serde_json::from_str(stdout.trim()).map_err(|e| format!("{e} in {stdout:?}"))?;
    let path = |name: &str| paths[name].as_str().map(PathBuf::from).ok_or(format!("no {name} in {paths}"));
    Ok(Peers { hivemind: path("hivemind")?, petals: path("petals")?, p2pd: path("p2pd")? })
}
