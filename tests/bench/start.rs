//! How soon petald is of use: from the start of its process to the first answered ping of whoever waits for it.

use std::time::{Duration, Instant};

use hivemind_proto::{
    bare_name::HandlerName,
    dht::{PING_HANDLER, Request},
};
use libp2p::Multiaddr;

use super::{
    Options,
    caller::{Caller, of_handlers},
    support::petald::{Config, Home},
};

const AT_MOST: Duration = Duration::from_millis(30);
const RUNS: usize = 15;
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn run(options: &Options) -> bool {
    let handler = HandlerName::new(PING_HANDLER).unwrap();
    let ping = Request::Ping { sender: None, validate: false }.encode();
    let mut times = Vec::new();
    for _ in 0..RUNS * options.longer {
        let home = Home::new(&Config::default());
        // The key is there, as for every start but the very first; so its peer id is known beforehand.
        let mut first = home.run().await;
        let peer = first.libp2p_id();
        first.terminate();
        assert!(first.is_running() || !first.output().is_empty(), "it ran");
        first.exit().await;
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
        let begun = Instant::now();
        let mut starting = home.spawn_set(&[&format!("network.listen={address}")]);
        let caller = loop {
            assert!(begun.elapsed() < PATIENCE, "petald does not listen");
            // A refused dial through libp2p takes longer than this.
            match tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                Ok(_) => break Caller::connect(of_handlers(), peer, address.clone()).await.unwrap(),
                Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            }
        };
        caller.call(&handler, ping.clone()).await.unwrap();
        times.push(begun.elapsed());
        starting.end().await;
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    let verdict = if median <= AT_MOST { "" } else { "  <-- NOT REACHED" };
    println!(
        "figure: process start to first answered ping: median {median:.1?} of {times:.1?} (at most {AT_MOST:?}){verdict}"
    );
    true
}
