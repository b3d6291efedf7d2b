//! The file: what is left of it after restarts, kills, damage and disks that refuse.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use actix::{Actor, Addr};
use hivemind_proto::records::ServerState;
use libp2p::PeerId;
use serde_json::Value;
use tokio::sync::watch;

use super::super::*;
use crate::{
    history::{sighting::Sighting, store::Store},
    logged::Logged,
    monitor::{
        record::ServerRecord,
        state::{Model, Reach, Server, SwarmState},
    },
};

const BEGIN: f64 = 1.8e9;
/// Given to a child process of a test: the file that it writes.
const CHILD_FILE: &str = "PETALD_TEST_HISTORY_FILE";

/// A server of a crawl.
pub(crate) fn server(peer: PeerId, state: ServerState, reach: Reach) -> Server {
    Server {
        peer_id: peer.to_string(),
        start: 0,
        end: 4,
        info: ServerRecord {
            state,
            throughput: 1.0,
            start_block: None,
            end_block: None,
            public_name: Some("a name".into()),
            version: None,
            network_rps: None,
            forward_rps: None,
            inference_rps: None,
            adapters: vec![],
            torch_dtype: None,
            quant_type: None,
            using_relay: None,
            cache_tokens_left: None,
            next_pings: None,
        },
        reach,
        addresses: vec![],
        seconds_to_live: 60.0,
        pings_to_me: Default::default(),
        notes: vec![],
    }
}

/// A crawl that found these servers.
pub(crate) fn crawl(crawled_at: f64, servers: Vec<Server>) -> SwarmState {
    let model = Model {
        dht_prefix: "m".into(),
        repository: None,
        num_blocks: 4,
        configured: true,
        listed: true,
        servers,
        bad_records: vec![],
        notes: vec![],
    };
    SwarmState {
        crawled_at,
        took: 0.1,
        period: Some(60.0),
        complete: true,
        notes: vec![],
        clock_offset: None,
        dht_peers: 3,
        bootstraps: vec![],
        models: vec![model],
    }
}

fn online(peer: PeerId) -> Server {
    server(peer, ServerState::Online, Reach::Answered { seconds: 0.1 })
}

/// The actor, and whom it listens to and tells.
struct Lab {
    crawls: watch::Sender<Option<Arc<SwarmState>>>,
    told: watch::Receiver<Arc<Chronicle>>,
    actor: Addr<History>,
}

impl Lab {
    fn start(file: &Path) -> Self {
        Self::start_within(file, 1 << 20)
    }

    fn start_within(file: &Path, max_file_bytes: u64) -> Self {
        let (crawls, seen) = watch::channel(None);
        let (keep, gap) = (Duration::from_secs(30 * 24 * 3600), Duration::from_secs(200));
        let (tell, told) = watch::channel(nothing_yet(keep, gap, max_file_bytes));
        let disk = Disk::in_file(file.to_owned());
        let settings = Settings { keep, max_file_bytes, gap, disk, crawls: seen, told: tell };
        let actor = History::new(settings, Birth::detached().0).start();
        Self { crawls, told, actor }
    }

    /// A crawl, and what the history knows after it.
    async fn see(&mut self, at: f64, servers: Vec<Server>) -> Arc<Chronicle> {
        self.told.mark_unchanged();
        self.crawls.send_replace(Some(Arc::new(crawl(BEGIN + at, servers))));
        let mine = |chronicle: &Arc<Chronicle>| chronicle.coverage().end() == Some((BEGIN + at) as u64);
        let told = self.told.wait_for(mine);
        tokio::time::timeout(Duration::from_secs(10), told).await.expect("taken in").unwrap().clone()
    }

    async fn status(&self) -> Value {
        self.actor.send(Probe).await.unwrap().0
    }

    async fn until(&self, so: impl Fn(&Value) -> bool) -> Value {
        let waiting = async {
            loop {
                let status = self.status().await;
                if so(&status) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it never became so")
    }

    async fn end(self) {
        self.actor.send(Drain).await.unwrap();
    }
}

#[actix_rt::test]
async fn it_is_known_again_after_a_restart_and_the_time_between_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history");
    let peers = [PeerId::random(), PeerId::random()];
    let mut lab = Lab::start(&file);
    lab.see(0.0, peers.map(online).into()).await;
    lab.see(60.0, vec![online(peers[0])]).await;
    let lost = server(peers[0], ServerState::Online, Reach::Failed { error: "refused".into() });
    let chronicle = lab.see(120.0, vec![lost]).await;
    assert_eq!(chronicle.lives()[&peers[0]].now(), Sighting::Unreachable);
    lab.end().await;
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let mut lab = Lab::start(&file);
    let chronicle = lab.see(3600.0, vec![online(peers[0])]).await;
    let now = (BEGIN + 3600.0) as u64;
    let tally = chronicle.lives()[&peers[0]].tally(chronicle.coverage(), 0, now);
    assert_eq!((tally.of(Sighting::Online), tally.unknown), (120, 3480));
    let gone = &chronicle.lives()[&peers[1]];
    assert_eq!((gone.now(), gone.since()), (Sighting::Missing, (BEGIN + 60.0) as u64));
    lab.end().await;
}

#[actix_rt::test]
async fn a_crawl_that_says_nothing_of_absence_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut lab = Lab::start(&folder.path().join("history"));
    let peer = PeerId::random();
    lab.see(0.0, vec![online(peer)]).await;
    for broken in [
        SwarmState { complete: false, ..crawl(BEGIN + 60.0, vec![]) },
        SwarmState { dht_peers: 0, ..crawl(BEGIN + 61.0, vec![]) },
    ] {
        let before = lab.status().await["crawls_passed_over"].as_u64();
        lab.crawls.send_replace(Some(Arc::new(broken)));
        lab.until(|status| status["crawls_passed_over"].as_u64() > before).await;
    }
    let chronicle = lab.see(120.0, vec![online(peer)]).await;
    assert_eq!(chronicle.lives()[&peer].changes().len(), 1);
    lab.end().await;
}

#[actix_rt::test]
async fn a_file_that_cannot_be_used_is_put_aside() {
    let (logged, _guard) = Logged::of("petald_actors::history");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history");
    let peer = PeerId::random();
    // Foreign, empty of sense, and damaged after it was closed.
    let mut lab = Lab::start(&file);
    lab.see(0.0, vec![online(peer)]).await;
    lab.end().await;
    let good = fs::read(&file).unwrap();
    let mut damaged = good.clone();
    let id = peer.to_bytes();
    let place = good.windows(id.len()).position(|bytes| bytes == id).expect("the row");
    damaged[place + 3] ^= 1;
    for content in [b"hello".to_vec(), vec![0x5a; 100_000], damaged, good[..good.len() / 2].to_vec()] {
        fs::write(&file, &content).unwrap();
        logged.take();
        let mut lab = Lab::start(&file);
        let chronicle = lab.see(0.0, vec![online(peer)]).await;
        assert_eq!(chronicle.lives().len(), 1);
        let status = lab.until(|status| status["writes"] == 1).await;
        assert_eq!((&status["files_put_aside"], &status["last_error"]), (&1.into(), &Value::Null));
        let warned = logged.take().iter().any(|line| line.message.starts_with("history file cannot be used"));
        assert!(warned, "{} bytes", content.len());
        assert_eq!(fs::read(folder.path().join("history.damaged-1")).unwrap().len(), content.len());
        lab.end().await;
    }
    // Held by another, which goes on with the file that it has.
    let held = Store::open(&file).unwrap();
    let mut lab = Lab::start(&file);
    lab.see(0.0, vec![online(peer)]).await;
    assert_eq!(lab.until(|status| status["writes"] == 1).await["files_put_aside"], 1);
    assert_eq!(held.read().unwrap().lives.len(), 1);
    lab.end().await;
}

#[actix_rt::test]
async fn a_disk_that_refuses_is_tried_again_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("away/history");
    let mut lab = Lab::start(&file);
    let peers: Vec<_> = (0..3).map(|_| PeerId::random()).collect();
    for (round, peer) in peers.iter().enumerate() {
        let chronicle = lab.see(60.0 * round as f64, vec![online(*peer)]).await;
        assert_eq!(chronicle.lives().len(), round + 1, "it goes on in memory");
        lab.until(|status| status["writes_failed"].as_u64() == Some(round as u64 + 1)).await;
    }
    assert!(lab.status().await["last_error"].is_string());
    fs::create_dir(folder.path().join("away")).unwrap();
    lab.see(300.0, vec![]).await;
    assert_eq!(lab.until(|status| status["writes"] == 1).await["last_error"], Value::Null);
    lab.end().await;
    assert_eq!(Store::open(&file).unwrap().read().unwrap().lives.len(), peers.len());
}

#[actix_rt::test]
async fn the_file_keeps_to_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history");
    const LIMIT: u64 = 4 << 20;
    let mut lab = Lab::start_within(&file, LIMIT);
    let peers: Vec<_> = (0..4000).map(|_| PeerId::random()).collect();
    let mut largest = 0;
    for round in 0..24 {
        // A third flaps, and with every round some new ones come.
        let there = peers.iter().enumerate().take(2000 + 80 * round).filter(|(at, _)| at % 3 != round % 2);
        let chronicle = lab.see(60.0 * round as f64, there.map(|(_, peer)| online(*peer)).collect()).await;
        assert!(chronicle.weight() <= LIMIT / WEIGHT_PER_FILE_BYTE);
        lab.until(|status| status["writes"].as_u64() == Some(round as u64 + 1)).await;
        largest = largest.max(fs::metadata(&file).unwrap().len());
    }
    assert!(largest <= LIMIT, "{largest}");
    lab.end().await;
}

/// This test program again, running nothing but the test below, which finds the file in its environment.
fn child(file: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["history::tests::disk::writes_without_end", "--exact", "--nocapture", "--ignored"]);
    command.env(CHILD_FILE, file).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

#[test]
#[ignore = "run by the test below, in a process of its own, which is killed"]
fn writes_without_end() {
    let Ok(file) = std::env::var(CHILD_FILE) else { return };
    let disk = Disk::in_file(file.into());
    let opened = disk.load().unwrap();
    assert_eq!(opened.put_aside, None);
    let limits = Limits { keep: 1 << 40, gap: 100, weight: 1 << 24 };
    let mut chronicle = Chronicle::of(limits, opened.kept.coverage, opened.kept.lives);
    let peers: Vec<_> = (0..200).map(|_| PeerId::random()).collect();
    let mut at = chronicle.coverage().end().unwrap_or(BEGIN as u64);
    loop {
        at += 60;
        let there = peers.iter().filter(|_| rand::random::<bool>()).map(|peer| online(*peer)).collect();
        chronicle.observe(&crawls::of(&crawl(at as f64, there)).unwrap());
        let batch = Batch { lives: chronicle.take_touched(), coverage: chronicle.coverage().clone() };
        disk.write(&batch, 1 << 30).unwrap();
        println!("wrote {at}");
    }
}

#[test]
fn killed_at_any_instant_it_has_kept_what_it_said_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history");
    for round in 0..6 {
        let mut writing = child(&file).spawn().unwrap();
        let mut lines = BufReader::new(writing.stdout.take().unwrap()).lines();
        let said = |line: std::io::Result<String>| line.ok()?.rsplit_once("wrote ")?.1.parse::<u64>().ok();
        let at_least = lines.by_ref().filter_map(said).nth(3 + round).unwrap();
        writing.kill().unwrap();
        writing.wait().unwrap();
        let kept = Store::open(&file).unwrap().read().unwrap();
        assert_eq!(kept.unreadable, 0);
        assert!(kept.coverage.end().unwrap() >= at_least);
        assert!(!kept.lives.is_empty());
    }
    assert!(!folder.path().join("history.damaged-1").exists());
}
