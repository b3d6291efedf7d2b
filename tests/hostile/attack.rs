//! One load, from both sides.

use std::{process::Stdio, time::Duration};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    process::Command,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    honest::Honest,
    loads::{Aim, LOADS},
    peers::{PEERS, gather},
    table::{LONG, Row},
    target::{Target, Usage},
    warm_up,
};

/// What the first argument of an attacker is.
pub(crate) const ATTACK: &str = "attack";

/// For what a load says when its time is over.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How often it is looked what petald takes.
const LOOK: Duration = Duration::from_millis(100);

/// Until everything that the attackers left must be gone: records that live some seconds longer, calls that run into
/// their deadlines, and connections that nobody closes.
const RECOVERY: Duration = Duration::from_secs(45);

/// After which it is looked whether the memory has settled, with honest peers polling.
const SETTLE: Duration = Duration::from_secs(3);

/// Times that it is looked: then it has to do.
const LOOKS: usize = 3;

/// The load that the command line asks this process for.
pub(crate) fn asked_for() -> Option<BoxFuture<'static, ()>> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != ATTACK {
        return None;
    }
    let (name, port, peer, seconds) =
        (arguments.next()?, arguments.next()?, arguments.next()?, arguments.next()?);
    let seconds: f64 = seconds.parse().expect("a number");
    let count = arguments.next().and_then(|text| text.parse().ok());
    let load = async move {
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec as f64;
        let aim = Aim {
            port: port.parse().expect("a port"),
            peer: peer.parse().expect("a peer id"),
            until,
            now,
            seconds,
        };
        let load = match LOADS.iter().find(|(known, _)| *known == name) {
            Some((_, load)) => load(aim),
            None if name == PEERS => gather(aim, count.expect("how many peers")).boxed(),
            None => panic!("no such load: {name}"),
        };
        let _ = timeout(Duration::from_secs_f64(seconds) + LAST_WORDS, load).await;
    };
    Some(load.boxed())
}

/// petald, and honest peers that know it.
pub(crate) struct Stage {
    target: Target,
    honest: Honest,
}

impl Stage {
    pub(crate) async fn set() -> Stage {
        let target = Target::start().await;
        let honest = Honest::meet(&target).await;
        // Once without a load, so that what comes with use is there before; as often as it takes more memory.
        warm_up::touch(&target).await;
        for _ in 0..LOOKS {
            let before = target.usage();
            honest.poll(&target, Instant::now() + SETTLE).await;
            if target.usage().memory <= before.memory {
                break;
            }
        }
        Stage { target, honest }
    }
}

/// A load, while honest peers poll.
pub(crate) async fn withstand(stage: &Stage, name: &'static str, seconds: u64) -> Row {
    let Stage { target, honest } = stage;
    let before = target.usage();

    let began = Instant::now();
    let until = began + Duration::from_secs(seconds);
    let mut attackers = Command::new("nice")
        .arg("-n19")
        .arg(std::env::current_exe().unwrap())
        .args([ATTACK, name, &target.port.to_string(), &target.peer.to_string(), &seconds.to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let (seen, most) = tokio::join!(honest.poll(target, until), watch(target, until));
    // The load ends itself; whatever it holds is closed with it.
    let _ = timeout(Duration::from_secs(5), attackers.wait()).await;
    let _ = attackers.kill().await;

    // Back to what it was, as far as it comes.
    let ended = Instant::now();
    let mut after = target.usage();
    while seconds >= LONG && ended.elapsed() < RECOVERY && !is_back(before, after) {
        sleep(LOOK).await;
        after = target.usage();
    }
    let node = target.petald.node().await;
    Row { name, seen, before, most, after, recovery: ended.elapsed(), node }
}

/// Whether memory and files are within a tenth of what they were.
pub(crate) fn is_back(before: Usage, after: Usage) -> bool {
    let within = |before: usize, after: usize| after as f64 <= before as f64 * 1.1;
    within(before.memory, after.memory) && within(before.files, after.files)
}

/// The most that it takes until then.
async fn watch(target: &Target, until: Instant) -> Usage {
    let mut most = Usage::default();
    while Instant::now() < until {
        let usage = target.usage();
        most.memory = most.memory.max(usage.memory);
        most.files = most.files.max(usage.files);
        most.cpu_seconds = usage.cpu_seconds;
        sleep_until(Instant::now() + LOOK).await;
    }
    most
}
