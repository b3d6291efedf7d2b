//! A log disk that is full costs log lines, never visibility, and is written again by itself when there is room.

use std::time::Duration;

use super::{
    Options,
    world::{BOOTSTRAPS, PEERS, World, unix_now},
};
use crate::support::{deadline::eventually, report};

const LOOK: Duration = Duration::from_millis(250);
const TTL: f64 = 15.0;
const LIMIT: Duration = Duration::from_secs(20);

/// What petald says, on the console and in its files.
const LOST: &str = "log lines are lost";
const AGAIN: &str = "log files are written again";

pub(crate) async fn run(world: &mut World, _: &Options) -> Result<(), String> {
    world.populate(&PEERS).await;
    let home = world.home(&BOOTSTRAPS, "5s", "15s");
    let petald = home.run(&world.net).await;
    world.watch(&petald, LOOK).await;
    world.visible(0.0, LIMIT).await?;
    let told = |line: &str| home.output().lines().filter(|said| said.contains(line)).count();

    petald.fill_disk().map_err(|error| error.to_string())?;
    // Each crash is two lines and more.
    for _ in 0..3 {
        petald.crash("pinger").await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let renewed = world.renewed(unix_now(), TTL, LIMIT).await?;
    if told(LOST) != 1 || told(AGAIN) != 0 {
        return Err(format!("{} times said to lose lines:\n{}", told(LOST), home.output()));
    }

    petald.empty_disk().map_err(|error| error.to_string())?;
    let (_, took) = eventually(LIMIT, "the files are written again", async || {
        petald.crash("pinger").await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        match petald.logged().lines().any(|line| line.contains(AGAIN)) {
            true => Ok(()),
            false => Err(petald.logged()),
        }
    })
    .await;
    world.renewed(unix_now(), TTL, LIMIT).await?;
    // A line that did not fit stays what it is, and no other is hung onto it.
    let logged = petald.logged();
    let events = |line: &str| ["Z  INFO ", "Z  WARN ", "Z ERROR "].map(|mark| line.matches(mark).count());
    if let Some(line) = logged.lines().find(|line| events(line).into_iter().sum::<usize>() > 1) {
        return Err(format!("two events in one line: {line}"));
    }
    report(&format!(
        "full log disk: records renewed {renewed:.1} s into it; written again {:.1} s after there was room",
        took.as_secs_f64()
    ));
    match petald.stop().await.success() {
        true => Ok(()),
        false => Err("it did not drain".into()),
    }
}
