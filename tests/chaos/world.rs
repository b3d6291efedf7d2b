//! The stage of every scenario: namespaces, six hivemind peers, a reader, and petald among them.

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, sleep};

use super::{
    net::{Net, Way},
    node::{BLOCKS, Config, Home, PREFIX, Petald},
    outposts::{self, Look, Outposts},
};

/// Whom petald's config names.
pub(crate) const BOOTSTRAPS: [&str; 2] = ["boot-1", "boot-2"];
pub(crate) const PEERS: [&str; 6] = ["boot-1", "boot-2", "peer-1", "peer-2", "peer-3", "peer-4"];
/// Who takes the bootstraps' place.
pub(crate) const NEWCOMERS: [&str; 2] = ["new-1", "new-2"];

/// Between two questions for what the reader has seen.
const ASK_AGAIN: Duration = Duration::from_millis(50);

pub(crate) struct World {
    pub(crate) net: Net,
    pub(crate) peers: Outposts,
    /// Every look since the scenario began.
    pub(crate) looks: Vec<Look>,
    program: PathBuf,
}

/// As the reader tells it.
#[expect(clippy::disallowed_methods, reason = "two processes of one machine have this clock in common")]
pub(crate) fn unix_now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64()
}

impl World {
    /// On which every hivemind peer listens.
    pub(crate) const PEER_PORT: u16 = outposts::PORT;

    pub(crate) async fn new(way: Way, seed: u64, program: PathBuf) -> World {
        let names: Vec<&str> = [&PEERS[..], &NEWCOMERS, &["petald", "reader", "names"]].concat();
        let net = Net::new(way, &names, seed).await;
        World { net, peers: Outposts::new().await, looks: Vec::new(), program }
    }

    /// Starts these, one after another, and a reader that knows all of them.
    pub(crate) async fn populate(&mut self, names: &[&str]) {
        for name in names {
            self.peers.start(&self.net, name).await;
        }
        self.peers.start_reader(&self.net, &self.peers.addresses(names)).await;
    }

    /// The reader is another one from now on, that knows only these.
    pub(crate) async fn meet_again(&mut self, names: &[&str]) {
        self.peers.unwatch().await;
        self.peers.end_reader().await;
        self.peers.start_reader(&self.net, &self.peers.addresses(names)).await;
    }

    /// A home whose petald knows these.
    pub(crate) fn home(&self, initial: &[&str], period: &'static str, ttl: &'static str) -> Home {
        self.home_with(self.peers.addresses(initial), period, ttl)
    }

    /// A home whose petald is told these addresses.
    pub(crate) fn home_with(
        &self,
        initial_peers: Vec<String>,
        period: &'static str,
        ttl: &'static str,
    ) -> Home {
        Home::new(&self.net, self.program.clone(), &Config { initial_peers, period, ttl })
    }

    pub(crate) async fn watch(&mut self, petald: &Petald, interval: Duration) {
        self.peers.watch(PREFIX, BLOCKS, &petald.peer_id, interval).await;
    }

    /// Takes in what the reader has seen, and gives what is new.
    pub(crate) async fn look(&mut self) -> &[Look] {
        let before = self.looks.len();
        self.looks.extend(self.peers.looks().await);
        &self.looks[before..]
    }

    /// Waits for a look that satisfies `wanted`; gives the time at which the reader knew it, as Unix time.
    pub(crate) async fn until(
        &mut self,
        limit: Duration,
        what: &str,
        wanted: impl Fn(&Look) -> bool,
    ) -> Result<f64, String> {
        let began = Instant::now();
        let mut last = None;
        loop {
            let news = self.look().await;
            if let Some(look) = news.iter().find(|look| wanted(look)) {
                return Ok(look.at + look.took);
            }
            last = news.last().cloned().or(last);
            if began.elapsed() > limit {
                return Err(format!("not within {limit:?}: {what}; last seen: {last:?}"));
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// Waits until every record was found that was stored after `since`; gives the seconds from then on.
    pub(crate) async fn renewed(&mut self, since: f64, ttl: f64, limit: Duration) -> Result<f64, String> {
        let what = format!("every record stored after {since:.1}");
        let at = self.until(limit, &what, |look| look.found() && look.stalest >= since + ttl).await?;
        Ok(at - since)
    }

    /// Waits until every record is found alive; gives the seconds from `since`.
    pub(crate) async fn visible(&mut self, since: f64, limit: Duration) -> Result<f64, String> {
        let at = self.until(limit, "every record is found", |look| look.at >= since && look.found()).await?;
        Ok(at - since)
    }

    /// Ends everybody; the next scenario finds an empty stage.
    pub(crate) async fn clear(&mut self) {
        self.peers.unwatch().await;
        let names: Vec<String> = self.peers.alive.keys().cloned().collect();
        for name in names {
            self.peers.kill(&name).await;
        }
        self.peers.end_reader().await;
        self.look().await;
        self.looks.clear();
    }
}
