//! The four ways in which a Petals server of the original loses its place for good, each once; and a cable that was
//! out for longer than any record lives.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    Options,
    world::{BOOTSTRAPS, NEWCOMERS, PEERS, World, unix_now},
};
use crate::support::report;

const PERIOD: &str = "2s";
const TTL: &str = "6s";
const TTL_SECONDS: f64 = 6.0;
const LOOK: Duration = Duration::from_millis(500);
const LIMIT: Duration = Duration::from_secs(20);
/// Twice the longest pause between two attempts at a bootstrap.
const PATIENCE: Duration = Duration::from_secs(60);

/// Its only bootstrap, and the only other peer, is away during two announcements.
pub(crate) async fn bootstrap_away(world: &mut World, _: &Options) -> Result<(), String> {
    world.populate(&["boot-1"]).await;
    let home = world.home(&["boot-1"], PERIOD, TTL);
    let petald = home.run(&world.net).await;
    world.watch(&petald, LOOK).await;
    world.visible(0.0, LIMIT).await?;
    world.peers.kill("boot-1").await;
    sleep(Duration::from_secs(5)).await;
    world.peers.start(&world.net, "boot-1").await;
    let took = world.renewed(unix_now(), TTL_SECONDS, PATIENCE).await?;
    report(&format!("bootstrap away during two announcements: back {took:.1} s after it (period {PERIOD})"));
    petald.stop().await;
    Ok(())
}

/// Every bootstrap goes for ever, and others take their place, which the config does not name.
pub(crate) async fn bootstraps_replaced(world: &mut World, _: &Options) -> Result<(), String> {
    world.populate(&PEERS[..4]).await;
    let home = world.home(&BOOTSTRAPS, PERIOD, TTL);
    let petald = home.run(&world.net).await;
    world.watch(&petald, LOOK).await;
    world.visible(0.0, LIMIT).await?;
    for name in NEWCOMERS {
        world.peers.start(&world.net, name).await;
    }
    for name in BOOTSTRAPS {
        world.peers.kill(name).await;
    }
    // Then the last who were there with the bootstraps go, too.
    sleep(Duration::from_secs(4)).await;
    for name in &PEERS[2..4] {
        world.peers.kill(name).await;
    }
    world.peers.befriend(&world.peers.addresses(&NEWCOMERS)).await;
    let gone = unix_now();
    // What was stored before has expired by then.
    sleep(Duration::from_secs_f64(TTL_SECONDS)).await;
    let took = world.renewed(gone, TTL_SECONDS, LIMIT).await?;
    let missed = world.looks.iter().filter(|look| look.at > gone && !look.found()).count();
    report(&format!(
        "every bootstrap replaced by others: renewed {took:.1} s after the last of the old had gone, {missed} looks missed"
    ));
    petald.stop().await;
    Ok(())
}

/// It starts while every bootstrap is down, and has never been here.
pub(crate) async fn start_without_bootstraps(world: &mut World, _: &Options) -> Result<(), String> {
    world.populate(&PEERS).await;
    let home = world.home(&BOOTSTRAPS, PERIOD, TTL);
    for name in BOOTSTRAPS {
        world.peers.kill(name).await;
    }
    let petald = home.run(&world.net).await;
    world.watch(&petald, LOOK).await;
    sleep(Duration::from_secs(4)).await;
    world.look().await;
    if world.looks.iter().any(|look| look.found()) {
        return Err("it was found before it could join".to_owned());
    }
    for name in BOOTSTRAPS {
        world.peers.start(&world.net, name).await;
    }
    let took = world.visible(unix_now(), PATIENCE).await?;
    report(&format!("start while all bootstraps are down: visible {took:.1} s after they are back"));
    petald.stop().await;
    Ok(())
}

/// It starts while every bootstrap is down, and remembers others.
pub(crate) async fn start_with_remembered_peers(world: &mut World, _: &Options) -> Result<(), String> {
    world.populate(&PEERS).await;
    let home = world.home(&BOOTSTRAPS, PERIOD, TTL);
    let petald = home.run(&world.net).await;
    world.watch(&petald, LOOK).await;
    world.visible(0.0, LIMIT).await?;
    // Longer than it may take to write them down.
    sleep(Duration::from_secs(5)).await;
    petald.kill().await;
    for name in BOOTSTRAPS {
        world.peers.kill(name).await;
    }
    let at = unix_now();
    let petald = home.run(&world.net).await;
    let took = world.renewed(at, TTL_SECONDS, LIMIT).await?;
    report(&format!("start while all bootstraps are down, with remembered peers: visible after {took:.1} s"));
    petald.stop().await;
    Ok(())
}

/// All peers are restarted at once: same addresses, other node ids, and nothing stored.
pub(crate) async fn all_peers_restarted(world: &mut World, _: &Options) -> Result<(), String> {
    world.populate(&PEERS).await;
    let home = world.home(&BOOTSTRAPS, PERIOD, TTL);
    let petald = home.run(&world.net).await;
    world.watch(&petald, LOOK).await;
    world.visible(0.0, LIMIT).await?;
    for name in PEERS {
        world.peers.kill(name).await;
    }
    sleep(Duration::from_secs(3)).await;
    for name in PEERS {
        world.peers.start(&world.net, name).await;
    }
    let took = world.renewed(unix_now(), TTL_SECONDS, PATIENCE).await?;
    report(&format!(
        "all peers restarted with new node ids: back {took:.1} s after the last (period {PERIOD})"
    ));
    petald.stop().await;
    Ok(())
}

/// Its cable is out for so long that every record lapses.
pub(crate) async fn cut_off(world: &mut World, options: &Options) -> Result<(), String> {
    world.populate(&PEERS).await;
    let home = world.home(&BOOTSTRAPS, PERIOD, TTL);
    let petald = home.run(&world.net).await;
    world.watch(&petald, LOOK).await;
    world.visible(0.0, LIMIT).await?;
    world.net.plug("petald", false).await;
    sleep(Duration::from_secs(10)).await;
    world.look().await;
    let lapsed = world.looks.last().is_some_and(|look| !look.found());
    let healed = unix_now();
    world.net.plug("petald", true).await;
    let took = world.renewed(healed, TTL_SECONDS, PATIENCE).await;
    if options.keep {
        println!("healed at {healed}\n{}", home.output());
    }
    report(&format!("cut off for 10 s (records lapsed: {lapsed}): back {:.1} s after it", took?));
    petald.stop().await;
    Ok(())
}
