//! What a call costs petald, beside a bare echo of messages as long: CPU of the callee, calls a second, and how long the
//! slowest wait. Both take turns, so that both meet the same machine; each figure is the median of the turns.

use std::{process::Stdio, time::Duration};

use hivemind_proto::{
    bare_name::HandlerName,
    dht::{DhtId, Request, Row, Tag},
    messages::hivemind::ExpertUid,
};
use libp2p::{Multiaddr, PeerId};
use prost::Message;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use super::{
    Options, bare_echo,
    caller::{Caller, Run, of_handlers},
    support::petald::{Config, Home, Petald},
    usage,
};

/// What is asked of petald.
const CPU_AT_MOST: f64 = 1.15;
const CALLS_AT_LEAST: f64 = 0.85;
const P99_AT_MOST: f64 = 1.25;

/// A call is at least this long, and an answer, beside what it carries: the call's id, the peer and the handler's name.
const CALL_ENVELOPE: usize = 20 + 40 + 6;
const ANSWER_ENVELOPE: usize = 20 + 6;

/// Each turn of either.
const TURN: Duration = Duration::from_secs(1);
/// Turns of each figure.
const TURNS: usize = 5;

/// A callee and whoever calls it.
struct Side {
    pid: i32,
    caller: Caller,
}

/// The echo's process; it ends with this.
pub(crate) struct Echo {
    child: Child,
    pub(crate) peer: PeerId,
    pub(crate) address: Multiaddr,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg("--serve-echo").stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().expect("a line with its address");
        let (address, peer) = line.split_once(' ').expect("an address and a peer");
        Self { peer: peer.parse().unwrap(), address: address.parse().unwrap(), child }
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().expect("it was not waited for") as i32
    }
}

/// A kind of call.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) handler: HandlerName,
    pub(crate) data: Box<dyn Fn() -> Vec<u8>>,
    /// Bytes of the answer, as it was seen.
    pub(crate) answer: usize,
}

pub(crate) fn kinds() -> Vec<Kind> {
    let key = DhtId::of_text("a key");
    // A record of Petals has some 200 bytes; this is a msgpack bin of as many.
    let value: std::sync::Arc<[u8]> = [&[0xc4, 200][..], &[7; 200]].concat().into();
    let row = move |expiration| Row {
        key: key.as_bytes().to_vec(),
        tag: Tag::Plain.encode(),
        value: value.clone(),
        expiration,
        in_cache: false,
    };
    let began = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    let latest = std::cell::Cell::new(began + 3600.0);
    let kind = |name, handler: &str, data: Box<dyn Fn() -> Vec<u8>>| Kind {
        name,
        handler: HandlerName::new(handler).unwrap(),
        data,
        answer: 0,
    };
    let request = |request: Request| request.encode();
    vec![
        kind(
            "rpc_store",
            "DHTProtocol.rpc_store",
            Box::new(move || {
                latest.set(latest.get() + 0.01);
                request(Request::Store { sender: None, rows: vec![row(latest.get())] })
            }),
        ),
        kind(
            "rpc_find",
            "DHTProtocol.rpc_find",
            Box::new(move || request(Request::Find { sender: None, keys: vec![key] })),
        ),
        kind(
            "rpc_ping",
            "DHTProtocol.rpc_ping",
            Box::new(move || request(Request::Ping { sender: None, validate: false })),
        ),
        kind(
            "rpc_info",
            "TransformerConnectionHandler.rpc_info",
            Box::new(|| ExpertUid { uid: String::new() }.encode_to_vec()),
        ),
    ]
}

impl Kind {
    /// A call of the echo that is as long, and whose answer is.
    pub(crate) fn echoed(&self) -> Vec<u8> {
        let bytes = CALL_ENVELOPE + self.handler.as_str().len() + (self.data)().len();
        bare_echo::call(bytes, ANSWER_ENVELOPE + self.answer)
    }
}

/// Figures of both in turn.
#[derive(Default)]
struct Turns {
    petald: Vec<f64>,
    echo: Vec<f64>,
}

pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

impl Turns {
    fn ratio(&self) -> f64 {
        let ratios: Vec<f64> =
            self.petald.iter().zip(&self.echo).map(|(petald, echo)| petald / echo).collect();
        median(&ratios)
    }

    fn show(&self, what: &str, unit: &str, wanted: &str, good: bool) {
        println!(
            "figure: {what}: petald {:.4} {unit}, bare echo {:.4} {unit}, ratio {:.2} ({wanted}){}",
            median(&self.petald),
            median(&self.echo),
            self.ratio(),
            if good { "" } else { "  <-- NOT REACHED" },
        );
    }
}

struct Bench {
    petald: Side,
    echo: Side,
    failed: usize,
    not_reached: usize,
    _process: Petald,
    _home: Home,
    _echo: Echo,
}

/// Prints the figures; whether calls failed that should not have.
pub(crate) async fn run(options: &Options) -> bool {
    let mut bench = Bench::start().await;
    let mut kinds = kinds();
    for kind in &mut kinds {
        let answer = bench.petald.caller.call(&kind.handler, (kind.data)()).await;
        kind.answer = answer.unwrap_or_else(|error| panic!("{}: {error}", kind.name)).len();
    }
    for kind in &kinds {
        for at_once in [1, 64] {
            bench.cpu(kind, at_once, options).await;
        }
    }
    let ping = kinds.iter().find(|kind| kind.name == "rpc_ping").expect("it is there");
    let mut full = f64::INFINITY;
    for at_once in [64, 512] {
        full = full.min(bench.throughput(ping, at_once, options).await);
    }
    bench.tail(ping, full / 2.0, options).await;
    println!(
        "calls: {} calls failed; {} figures are not what they should be",
        bench.failed, bench.not_reached
    );
    bench.failed == 0
}

impl Bench {
    async fn start() -> Self {
        let home = Home::new(&Config::default());
        let process = home.run().await;
        let address = process.dialable().remove(0);
        let caller = Caller::connect(of_handlers(), process.libp2p_id(), address).await.unwrap();
        let petald = Side { pid: process.process_id(), caller };
        let bare = Echo::start().await;
        let caller = Caller::connect((bare_echo::Echo::default(), None), bare.peer, bare.address.clone())
            .await
            .unwrap();
        let echo = Side { pid: bare.pid(), caller };
        // Both have done all that a start needs.
        tokio::time::sleep(Duration::from_secs(3)).await;
        Self { petald, echo, failed: 0, not_reached: 0, _process: process, _home: home, _echo: bare }
    }

    /// One turn of each: their runs, and the CPU of their callees in microseconds a call.
    async fn turn(&mut self, kind: &Kind, at_once: usize, count: usize) -> [(Run, f64); 2] {
        let before = usage::cpu(self.petald.pid);
        let petald = self.petald.caller.in_flight(&kind.handler, at_once, count, &kind.data).await;
        let petald_cpu = usage::cpu(self.petald.pid) - before;
        let before = usage::cpu(self.echo.pid);
        let echoed = || kind.echoed();
        let echo = self.echo.caller.in_flight(&kind.handler, at_once, count, &echoed).await;
        let echo_cpu = usage::cpu(self.echo.pid) - before;
        [(petald, petald_cpu), (echo, echo_cpu)].map(|(run, cpu)| {
            self.failed += run.failed;
            if let Some(failure) = &run.failure {
                println!("{} of {}, {at_once} in flight, failed: {failure}", run.failed, kind.name);
            }
            let calls = run.latencies.len().max(1) as f64;
            (run, cpu as f64 / 1e3 / calls)
        })
    }

    /// Calls that take about a turn.
    async fn count(&mut self, kind: &Kind, at_once: usize) -> usize {
        let [(run, _), _] = self.turn(kind, at_once, 20 * at_once).await;
        (run.a_second() * TURN.as_secs_f64()) as usize
    }

    async fn cpu(&mut self, kind: &Kind, at_once: usize, options: &Options) {
        let count = self.count(kind, at_once).await;
        let mut turns = Turns::default();
        for _ in 0..TURNS * options.longer {
            let [(_, petald), (_, echo)] = self.turn(kind, at_once, count).await;
            turns.petald.push(petald);
            turns.echo.push(echo);
        }
        let good = turns.ratio() <= CPU_AT_MOST;
        self.not_reached += usize::from(!good);
        let what = format!("CPU of one {}, {at_once} in flight", kind.name);
        turns.show(&what, "us", &format!("at most {CPU_AT_MOST}"), good);
    }

    /// Gives petald's calls a second.
    async fn throughput(&mut self, kind: &Kind, at_once: usize, options: &Options) -> f64 {
        let count = self.count(kind, at_once).await;
        let mut turns = Turns::default();
        for _ in 0..TURNS * options.longer {
            let [(petald, _), (echo, _)] = self.turn(kind, at_once, count).await;
            turns.petald.push(petald.a_second());
            turns.echo.push(echo.a_second());
        }
        let good = turns.ratio() >= CALLS_AT_LEAST;
        self.not_reached += usize::from(!good);
        let what = format!("calls of {} from a Rust client, {at_once} in flight", kind.name);
        turns.show(&what, "/s", &format!("at least {CALLS_AT_LEAST}"), good);
        median(&turns.petald)
    }

    /// Latencies while both are called at the same rate.
    async fn tail(&mut self, kind: &Kind, a_second: f64, options: &Options) {
        let mut turns = [Turns::default(), Turns::default()];
        for _ in 0..TURNS * options.longer {
            let mut petald = self.petald.caller.paced(&kind.handler, a_second, TURN, &kind.data).await;
            let echoed = || kind.echoed();
            let mut echo = self.echo.caller.paced(&kind.handler, a_second, TURN, &echoed).await;
            self.failed += petald.failed + echo.failed;
            for (turns, share) in turns.iter_mut().zip([0.5, 0.99]) {
                turns.petald.push(petald.at(share).as_secs_f64() * 1e3);
                turns.echo.push(echo.at(share).as_secs_f64() * 1e3);
            }
        }
        let what = format!("{} at {a_second:.0} calls/s", kind.name);
        let good = turns[1].ratio() <= P99_AT_MOST;
        self.not_reached += usize::from(!good);
        turns[0].show(&format!("p50 of {what}"), "ms", "as it is", true);
        turns[1].show(&format!("p99 of {what}"), "ms", &format!("at most {P99_AT_MOST}"), good);
    }
}
