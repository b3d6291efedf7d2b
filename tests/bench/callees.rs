//! What `rpc_info` costs whoever is called, from a Rust and from a Python client: petald, a Petals server's own handler
//! (`tests/peers/petals_server.py`), a bare p2pd before a handler that answers at once, and the bare libp2p echo. They
//! take turns, so that all meet the same machine; each figure is the median of the turns.
//!
//! p2pd's handler lives in this process and is not counted: what is counted is the least that a call costs anybody
//! whose libp2p is p2pd.

use std::{sync::Arc, time::Duration};

use hivemind_proto::messages::hivemind::{ExpertInfo, ExpertUid};
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};
use prost::Message;
use serde_json::json;

use super::{
    Options, bare_echo,
    caller::{Caller, of_handlers},
    calls::{Echo, Kind, kinds, median},
    support::{
        p2pd::P2pd,
        peers::peers,
        petald::{Config, Home},
        python::Python,
    },
    usage,
};

const HANDLER: &str = "TransformerConnectionHandler.rpc_info";

/// Of a Petals server's CPU, one after another and with 64 in flight.
const CPU_AT_MOST: f64 = 1.0 / 5.0;

const IN_FLIGHT: [usize; 3] = [1, 64, 512];
const TURN: Duration = Duration::from_millis(700);
const TURNS: usize = 3;

/// Calls from which the number for a turn is reckoned.
const TRIAL: usize = 200;

/// A callee, as a client in either language reaches it.
struct Callee {
    name: &'static str,
    /// Its processes; the CPU of all is counted.
    pids: Vec<i32>,
    rust: Caller,
    /// `None` for the echo, which no Python client can call.
    peer: Option<PeerId>,
}

/// What one turn gave.
struct Turn {
    seconds: f64,
    calls: usize,
    failed: usize,
    /// Microseconds a call.
    cpu: f64,
}

enum Client<'a> {
    Rust(&'a Kind),
    Python(&'a Python),
}

impl Client<'_> {
    fn language(&self) -> &'static str {
        match self {
            Self::Rust(_) => "Rust",
            Self::Python(_) => "Python",
        }
    }

    async fn turn(&self, callee: &Callee, at_once: usize, count: usize) -> Turn {
        let cpu = || callee.pids.iter().map(|pid| usage::cpu(*pid)).sum::<u64>();
        let before = cpu();
        let (seconds, failed, failure) = match self {
            Self::Rust(kind) => {
                let data = || if callee.peer.is_some() { (kind.data)() } else { kind.echoed() };
                let run = callee.rust.in_flight(&kind.handler, at_once, count, &data).await;
                let failure = run.failure.as_ref().map(ToString::to_string);
                (run.took.as_secs_f64(), run.failed, failure)
            }
            Self::Python(python) => {
                let peer = callee.peer.expect("only such are called").to_base58();
                let call = json!({"peer": peer, "at_once": at_once, "count": count});
                let run = python.ask("call", call).await;
                let failure = run["failure"].as_str().map(str::to_owned);
                (run["seconds"].as_f64().unwrap(), run["failed"].as_u64().unwrap() as usize, failure)
            }
        };
        if let Some(failure) = failure {
            println!("{failed} of {count} calls of {}, {at_once} in flight, failed: {failure}", callee.name);
        }
        let cpu = (cpu() - before) as f64 / 1e3 / count.max(1) as f64;
        Turn { seconds, calls: count - failed, failed, cpu }
    }
}

/// Prints the figures; whether none of petald's calls failed.
pub(crate) async fn run(options: &Options) -> bool {
    let home = Home::new(&Config::default());
    let petald = home.run().await;
    let address = petald.dialable().remove(0);
    let rust = Caller::connect(of_handlers(), petald.libp2p_id(), address.clone()).await.unwrap();
    let mut kind = kinds().into_iter().find(|kind| kind.handler.as_str() == HANDLER).expect("it is there");
    let answer = rust.call(&kind.handler, ExpertUid { uid: String::new() }.encode_to_vec()).await.unwrap();
    assert!(ExpertInfo::decode(answer.as_slice()).is_ok());
    kind.answer = answer.len();
    let client = Python::start(&peers().await.hivemind, "caller.py");
    client.ask("start", json!({})).await;
    connect(&client, petald.libp2p_id(), &[address]).await;
    let mut callees = vec![Callee {
        name: "petald",
        pids: vec![petald.process_id()],
        rust,
        peer: Some(petald.libp2p_id()),
    }];

    let server = Python::start(&peers().await.petals, "petals_server.py");
    let petals = server.ask("start", json!({})).await;
    let address: Multiaddr = petals["addresses"][0].as_str().unwrap().parse().unwrap();
    let peer: PeerId = petals["peer_id"].as_str().unwrap().parse().unwrap();
    let address: Multiaddr = address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect();
    connect(&client, peer, std::slice::from_ref(&address)).await;
    let rust = Caller::connect(of_handlers(), peer, address).await.unwrap();
    let pids = serde_json::from_value(petals["processes"].clone()).unwrap();
    callees.push(Callee { name: "a Petals server", pids, rust, peer: Some(peer) });

    let p2pd = P2pd::start().await;
    p2pd.serve(HANDLER, Arc::new(move |_| Some(Ok(answer.clone())))).await;
    connect(&client, p2pd.peer_id, &p2pd.addresses).await;
    let rust = Caller::connect(of_handlers(), p2pd.peer_id, p2pd.addresses[0].clone()).await.unwrap();
    let pids = vec![p2pd.process_id()];
    callees.push(Callee { name: "p2pd alone", pids, rust, peer: Some(p2pd.peer_id) });

    let echo = Echo::start().await;
    let rust = Caller::connect((bare_echo::Echo::default(), None), echo.peer, echo.address.clone());
    callees.push(Callee { name: "bare echo", pids: vec![echo.pid()], rust: rust.await.unwrap(), peer: None });

    let mut failed = 0;
    for at_once in IN_FLIGHT {
        failed += measure(&Client::Rust(&kind), &callees, at_once, options).await;
    }
    callees.pop();
    for at_once in IN_FLIGHT {
        failed += measure(&Client::Python(&client), &callees, at_once, options).await;
    }
    println!("callees: {failed} of petald's calls failed");
    failed == 0
}

async fn connect(client: &Python, peer: PeerId, addresses: &[Multiaddr]) {
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    client.ask("connect", json!({"peer": peer.to_base58(), "addresses": addresses})).await;
}

/// Turns of all callees, with so many calls in flight; how many of petald's failed.
async fn measure(client: &Client<'_>, callees: &[Callee], at_once: usize, options: &Options) -> usize {
    let mut turns: Vec<Vec<Turn>> = callees.iter().map(|_| Vec::new()).collect();
    let mut counts = Vec::new();
    for callee in callees {
        let trial = client.turn(callee, at_once, TRIAL.max(4 * at_once)).await;
        counts.push((trial.calls as f64 / trial.seconds * TURN.as_secs_f64()).max(1.0) as usize);
    }
    for _ in 0..TURNS * options.longer {
        for ((callee, turns), count) in callees.iter().zip(&mut turns).zip(&counts) {
            turns.push(client.turn(callee, at_once, *count).await);
        }
    }
    let of_petald: Vec<f64> = turns[0].iter().map(|turn| turn.cpu).collect();
    for (callee, turns) in callees.iter().zip(&turns) {
        let a_second: Vec<f64> = turns.iter().map(|turn| turn.calls as f64 / turn.seconds).collect();
        let cpu: Vec<f64> = turns.iter().map(|turn| turn.cpu).collect();
        let ratios: Vec<f64> = of_petald.iter().zip(&cpu).map(|(petald, other)| petald / other).collect();
        let failed: usize = turns.iter().map(|turn| turn.failed).sum();
        let ratio = median(&ratios);
        let asked = callee.name == "a Petals server" && at_once <= 64;
        println!(
            "figure: rpc_info from a {} client, {at_once} in flight: {}: {:.0} calls/s, {:.1} us of its CPU a call, \
             petald takes {ratio:.2} of it{}; {failed} failed",
            client.language(),
            callee.name,
            median(&a_second),
            median(&cpu),
            match (asked, ratio <= CPU_AT_MOST) {
                (true, true) => format!(" (at most {CPU_AT_MOST})"),
                (true, false) => format!(" (at most {CPU_AT_MOST})  <-- NOT REACHED"),
                (false, _) => String::new(),
            },
        );
    }
    turns[0].iter().map(|turn| turn.failed).sum()
}
