use std::net::TcpListener;
use std::path::Path;

use super::bootstraps::clock;
use super::machine::file_descriptors;
use super::*;
use crate::data_dir::DataDir;

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

async fn checked(config: &Config) -> Vec<String> {
    check(config, &Progress::default()).await.iter().map(ToString::to_string).collect()
}

fn assert_lines(lines: &[String], starts: &[String]) {
    assert_eq!(lines.len(), starts.len(), "{lines:#?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{line:?} instead of {start:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_thing_is_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    // Nobody listens here any more.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("/ip4/127.0.0.1/tcp/0,/ip4/127.0.0.1/tcp/{port}");
    let peers = [
        format!("/ip4/127.0.0.1/tcp/{closed}/p2p/{PEER}"),
        format!("/dns/localhost/tcp/{port}/p2p/{PEER}"),
        format!("/dns/nowhere.invalid/tcp/{port}/p2p/{PEER}"),
    ];
    let lines = checked(&config(&folder.path().join("new"), &listen, &peers.join(","))).await;
    let starts = [
        "ok      data folder ".into(),
        "ok      disk space of the data folder: ".into(),
        "ok      disk space of the logs: ".into(),
        "ok      identity ".into(),
        "ok      file descriptors: ".into(),
        "ok      listen /ip4/127.0.0.1/tcp/0: free".into(),
        format!("FAILED  listen /ip4/127.0.0.1/tcp/{port}: "),
        "ok      admin 127.0.0.1:0: free".into(),
        format!("FAILED  bootstrap {}: dial: 127.0.0.1:{closed}: Connection refused", peers[0]),
        // Somebody takes the connection, and never says a word.
        format!("FAILED  bootstrap {}: noise: ", peers[1]),
        format!("FAILED  bootstrap {}: dns: nowhere.invalid: ", peers[2]),
        "ok      clock: not compared".into(),
    ];
    assert_lines(&lines, &starts);
    assert!(!folder.path().join("new").exists(), "check leaves nothing behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_runs_may_hold_its_ports() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port());
    let config = config(folder.path(), &listen, "");
    assert!(check(&config, &Progress::default()).await.iter().any(|finding| !finding.is_ok()));
    let _held = DataDir::open(folder.path()).unwrap();
    let findings = check(&config, &Progress::default()).await;
    assert!(findings.iter().all(Finding::is_ok), "{findings:?}");
    let told = format!("in use by a node that runs, pid {}", std::process::id());
    assert!(findings[0].to_string().ends_with(&told), "{}", findings[0]);
}

#[test]
fn a_clock_is_off_beyond_three_seconds() {
    assert!(clock(&[]).is_ok());
    assert!(clock(&[-2.9, 0.0, 2.9]).is_ok());
    assert!(clock(&[0.1, 0.0, 3600.0]).is_ok(), "one bootstrap with a wrong clock changes nothing");
    let behind = clock(&[3.5, 3.4, 0.0]).to_string();
    assert!(
        behind.starts_with("FAILED  clock: 3.4 s behind the bootstraps'") && behind.contains("NTP"),
        "{behind}"
    );
    assert!(clock(&[-86400.0]).to_string().contains("86400.0 s ahead of"));
}

#[test]
fn descriptors_must_be_enough_for_the_connections() {
    assert!(file_descriptors(1024, Some(1024)).is_ok());
    assert!(file_descriptors(100_000, None).is_ok());
    let few = file_descriptors(1256, Some(1024)).to_string();
    assert!(few.contains("LimitNOFILE=1256"), "{few}");
}
