//! Bootstraps that are known by name, and move: every dial looks the names up anew.

use std::{collections::BTreeMap, time::Duration};

use serde_json::json;

use super::{
    Options,
    world::{BOOTSTRAPS, NEWCOMERS, World, unix_now},
};
use crate::support::{deadline::eventually, report};

const PERIOD: &str = "2s";
const TTL: &str = "6s";
const TTL_SECONDS: f64 = 6.0;
const LOOK: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(20);
/// Twice the longest pause between two attempts at a bootstrap.
const PATIENCE: Duration = Duration::from_secs(60);

/// The names of the two bootstraps: one is an address record, the other a list of multiaddresses.
const HOST: &str = "boot-1.test";
const LIST: &str = "boot-2.test";

/// Both bootstraps move to other addresses, with their keys; the config, which names them, stays.
pub(crate) async fn bootstraps_move(world: &mut World, options: &Options) -> Result<(), String> {
    world.populate(&BOOTSTRAPS).await;
    publish(world, &BOOTSTRAPS).await;
    let home = world.home_with(named(world), PERIOD, TTL);
    home.use_name_server(&world.net.port("names").address);
    let petald = home.run(&world.net).await;
    world.watch(&petald, LOOK).await;
    world.visible(0.0, LIMIT).await?;

    for name in BOOTSTRAPS {
        world.peers.kill(name).await;
    }
    for (name, identity) in NEWCOMERS.into_iter().zip(BOOTSTRAPS) {
        world.peers.start_as(&world.net, name, identity).await;
    }
    publish(world, &NEWCOMERS).await;
    let moved = unix_now();
    // A reader that knows where they are now.
    world.meet_again(&NEWCOMERS).await;
    world.watch(&petald, LOOK).await;
    let took = world.renewed(moved, TTL_SECONDS, PATIENCE).await;
    if options.keep || took.is_err() {
        println!("{}", home.output());
    }
    let took = took?;
    eventually(PATIENCE, "both bootstraps have answered at their new places", async || {
        let node = petald.node().await?;
        let peers = node["reports"]["bootstrap"]["initial_peers"].as_array().cloned().unwrap_or_default();
        match peers.len() == 2 && peers.iter().all(|peer| peer.get("answered").is_some()) {
            true => Ok(()),
            false => Err(json!(peers).to_string()),
        }
    })
    .await;
    report(&format!(
        "bootstraps known as /dns and /dnsaddr moved to other addresses: back {took:.1} s after it"
    ));
    petald.stop().await;
    Ok(())
}

/// The two bootstraps, as a config names them.
fn named(world: &World) -> Vec<String> {
    let [host, list] = BOOTSTRAPS.map(|name| world.peers.alive[name].addresses[0].clone());
    let peer = |address: &str| address.rsplit('/').next().unwrap_or_default().to_owned();
    vec![
        format!("/dns/{HOST}/tcp/{}/p2p/{}", World::PEER_PORT, peer(&host)),
        format!("/dnsaddr/{LIST}/p2p/{}", peer(&list)),
    ]
}

/// Tells the name server where the bootstraps are: under these names of the stage.
async fn publish(world: &World, [host, list]: &[&str; 2]) {
    let address = world.net.port(host).address.clone();
    let listed: Vec<String> =
        world.peers.alive[*list].addresses.iter().map(|address| format!("dnsaddr={address}")).collect();
    let records = BTreeMap::from([
        (HOST.to_owned(), json!({"A": [address]})),
        (format!("_dnsaddr.{LIST}"), json!({"TXT": listed})),
    ]);
    world.net.names("names", &records).await;
}
