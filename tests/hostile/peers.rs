//! As many honest peers as `config/bootstrap.toml` is bounded for, connected at once.

use std::{process::Stdio, time::Duration};

use futures::{StreamExt, stream};
use hivemind_proto::dht::{DhtId, FIND_HANDLER, Request};
use libp2p::identity::Keypair;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    process::Command,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    attack::ATTACK,
    loads::{Aim, SOURCE},
    support::{deadline::eventually, petald::Home},
    target::usage,
    wire::{Failure, Wire},
};

/// The name of this scenario, and of its load.
pub(crate) const PEERS: &str = "peers";

/// Connections that are being made at once; each range of addresses may have half of those of the config.
const AT_ONCE: usize = 64;

/// Between two calls of one peer: hivemind nodes renew their records every 60 s and more.
const CALLS: Duration = Duration::from_secs(60);

/// For all of them to be connected: each takes two handshakes, on a machine that does both sides.
const CONNECTED: Duration = Duration::from_secs(600);

/// For which it is measured.
const MEASURED: Duration = Duration::from_secs(20);

/// What is asked of the node while they are connected, in MiB and in hundredths of a core.
const MOST: (usize, f64) = (200, 10.0);

/// The load: `count` peers that connect and call now and then.
pub(crate) async fn gather(aim: Aim, count: usize) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("the soft limit may be raised");
    let peer = |number: usize| async move {
        let _ = number;
        let wire = Wire::connect(&Keypair::generate_ed25519(), SOURCE, aim.port).await?;
        // As hivemind's peers do first of all: who never calls is not kept until all are connected.
        let ping = Request::Ping { sender: None, validate: false };
        wire.call(ping.handler(), &aim.peer, rand::random(), ping.encode()).await?.1?;
        Ok::<_, Failure>(wire)
    };
    let mut peers = Vec::new();
    while peers.len() < count && Instant::now() < aim.until {
        let missing = count - peers.len();
        let more: Vec<_> = stream::iter(0..missing).map(peer).buffer_unordered(AT_ONCE).collect().await;
        peers.extend(more.into_iter().filter_map(Result::ok));
    }
    let pause = CALLS / count.max(1) as u32;
    let mut answered = 0;
    for peer in peers.iter().cycle() {
        if Instant::now() >= aim.until {
            break;
        }
        let next = Instant::now() + pause;
        let find = Request::Find { sender: None, keys: vec![DhtId::random(&mut rand::rng())] };
        let answer = peer.call(FIND_HANDLER, &aim.peer, rand::random(), find.encode()).await;
        answered += u32::from(answer.is_ok_and(|(_, answer)| answer.is_ok()));
        sleep_until(next).await;
    }
    println!("figure: {answered} calls of {} peers answered", peers.len());
}

/// Shows what the node takes meanwhile; what is too much of it.
pub(crate) async fn show(count: usize) -> Vec<String> {
    let home = Home::of_the_house("bootstrap.toml");
    let petald = home.spawn_limited(512).listening().await;
    let process = std::path::PathBuf::from(format!("/proc/{}", petald.process_id()));
    let look = || usage(&process).expect("petald runs");
    sleep(Duration::from_secs(3)).await;
    let before = look();
    let port = petald.dialable()[0].iter().find_map(|part| match part {
        libp2p::multiaddr::Protocol::Tcp(port) => Some(port.to_string()),
        _ => None,
    });
    let seconds = (CONNECTED + MEASURED).as_secs();
    let mut peers = Command::new("nice")
        .arg("-n5")
        .arg(std::env::current_exe().unwrap())
        .args([ATTACK, PEERS, &port.unwrap(), &petald.peer_id, &seconds.to_string(), &count.to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (_, took) = eventually(CONNECTED, "all peers are connected", async || {
        let node = petald.node().await?;
        match node["reports"]["network"]["connected_peers"].as_u64() {
            Some(connected) if connected >= count as u64 => Ok(()),
            connected => Err(format!("{connected:?} of {count} peers")),
        }
    })
    .await;
    let (begun, at) = (look(), Instant::now());
    sleep(MEASURED).await;
    let (ended, elapsed) = (look(), at.elapsed().as_secs_f64());
    let core = 100.0 * (ended.cpu_seconds - begun.cpu_seconds) / elapsed;
    println!(
        "figure: {count} connected peers, each with a call a minute: {} MiB ({} before), {} files, {core:.1} % of a \
         core; connected within {:.1} s",
        ended.memory >> 20,
        before.memory >> 20,
        ended.files,
        took.as_secs_f64(),
    );
    let _ = peers.kill().await;
    let _ = timeout(Duration::from_secs(5), peers.wait()).await;
    let mut faults = Vec::new();
    if ended.memory >> 20 >= MOST.0 {
        faults.push(format!("more than {} MiB", MOST.0));
    }
    if core >= MOST.1 && !cfg!(debug_assertions) {
        faults.push(format!("more than {} % of a core", MOST.1));
    }
    faults
}
