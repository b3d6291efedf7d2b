//! Where to look: what is printed once the node is up, and written to `admin.addr` for scripts.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use libp2p::PeerId;
use petald_actors::admin::Bound;
use petald_actors::supervisor::{Handle, TreeState};
use tokio::sync::watch;

use crate::data_dir::DataDir;

/// How long the greeting waits for every actor to run; then it is printed without what is not known.
const DEADLINE: Duration = Duration::from_secs(10);
/// Between two looks whether they run.
const PERIOD: Duration = Duration::from_millis(20);

/// Where an operator finds the node.
#[derive(Debug)]
pub(crate) struct Whereabouts {
    /// Our name in the swarm.
    pub(crate) peer_id: PeerId,
    /// The multiaddresses where we listen, as bound.
    pub(crate) listen: Vec<String>,
    /// The folder of the log files.
    pub(crate) log_dir: PathBuf,
    /// Where the admin API listens, if it does.
    pub(crate) admin: Option<Bound>,
}

impl fmt::Display for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "peer id  {}", self.peer_id)?;
        for address in &self.listen {
            writeln!(f, "listens  {address}/p2p/{}", self.peer_id)?;
        }
        writeln!(f, "logs     {}", self.log_dir.display())?;
        match &self.admin {
            None => writeln!(f, "admin    not listening"),
            Some(Bound::Tcp(address)) => writeln!(f, "admin    http://{address}/api/v1/node"),
            Some(Bound::Unix(socket)) => {
                writeln!(f, "admin    curl --unix-socket {} http://petald/api/v1/node", socket.display())
            }
        }
    }
}

/// Waits until every actor runs, or for a while.
pub(crate) async fn wait_until_up(tree: &Handle) {
    let up = async {
        while tree.status().await.state != TreeState::Running {
            tokio::time::sleep(PERIOD).await;
        }
    };
    if tokio::time::timeout(DEADLINE, up).await.is_err() {
        tracing::warn!("not every actor runs yet");
    }
}

/// Keeps `admin.addr` in the data folder true, until the admin API is gone for good.
pub(crate) async fn keep_admin_address(data_dir: &DataDir, mut bound: watch::Receiver<Option<Bound>>) {
    loop {
        match bound.borrow_and_update().as_ref() {
            None => data_dir.forget_admin_address(),
            Some(bound) => {
                if let Err(error) = data_dir.put_admin_address(&bound.to_string()) {
                    tracing::warn!(%error, "admin address not written");
                }
            }
        }
        if bound.changed().await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_can_be_copied_and_used() {
        let peer_id = PeerId::random();
        let mut whereabouts = Whereabouts {
            peer_id,
            listen: vec!["/ip4/127.0.0.1/tcp/1".into()],
            log_dir: "data/log".into(),
            admin: Some(Bound::Tcp("127.0.0.1:2".parse().unwrap())),
        };
        let text = whereabouts.to_string();
        assert!(text.contains(&format!("/ip4/127.0.0.1/tcp/1/p2p/{peer_id}\n")), "{text}");
        assert!(text.contains("http://127.0.0.1:2/api/v1/node\n"), "{text}");
        whereabouts.admin = Some(Bound::Unix("x.sock".into()));
        assert!(whereabouts.to_string().contains("--unix-socket x.sock http://"));
    }

    #[tokio::test]
    async fn the_address_file_follows_the_api() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("admin.addr");
        let data_dir = DataDir::open(folder.path()).unwrap();
        let (bound, seen) = watch::channel(Some(Bound::Tcp("127.0.0.1:2".parse().unwrap())));
        let keeping = keep_admin_address(&data_dir, seen);
        tokio::pin!(keeping);
        assert!(futures::poll!(&mut keeping).is_pending());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "127.0.0.1:2\n");
        bound.send_replace(None);
        assert!(futures::poll!(&mut keeping).is_pending());
        assert!(!file.exists());
        drop(bound);
        keeping.await;
    }
}
