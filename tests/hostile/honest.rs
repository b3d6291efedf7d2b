//! Honest peers, who look at petald all the while: one over its own connection, a stranger each second, and a Python
//! reader.

use std::{net::Ipv4Addr, time::Duration};

use hivemind_proto::{
    bare_name::HandlerName,
    dht::{DhtId, FIND_HANDLER, FoundValue, Request, Response, dictionary},
    messages::hivemind::{ExpertInfo, ExpertUid},
    records::{RPC_INFO_HANDLER, RpcInfo, ServerInfo, ServerState},
};
use libp2p::identity::Keypair;
use petald_actors::network::Visitor;
use prost::Message;
use serde_json::Value;
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{
    support::{in_process, reader::Reader},
    target::Target,
    wire::Wire,
};

/// Petals' readers wait no longer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Between two polls over one connection, of a stranger, and of Python.
const PERIODS: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(1000), Duration::from_millis(250)];

/// How long polls took, and those that brought nothing.
#[derive(Debug, Default)]
pub(crate) struct Polls {
    pub(crate) took: Vec<Duration>,
    pub(crate) failures: Vec<String>,
}

impl Polls {
    fn note(&mut self, began: Instant, result: Result<(), String>) {
        match result {
            Ok(()) => self.took.push(began.elapsed()),
            Err(why) => self.failures.push(why),
        }
    }

    /// The quantile in milliseconds.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        let index = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
        sorted.get(index).map_or(f64::NAN, |took| took.as_secs_f64() * 1000.0)
    }
}

/// Peers that are connected, and stay.
pub(crate) struct Honest {
    visitor: Visitor,
    python: Reader,
}

/// What three of them saw.
pub(crate) struct Seen {
    pub(crate) connected: Polls,
    pub(crate) strangers: Polls,
    pub(crate) python: Polls,
}

impl Honest {
    pub(crate) async fn meet(target: &Target) -> Honest {
        let visitor = Visitor::start(in_process::settings(Vec::new())).await.unwrap();
        let addresses = target.petald.dialable();
        visitor.handle().connect(target.peer, addresses, DEADLINE).await.unwrap();
        let python = Reader::client(&target.petald.addresses).await;
        Honest { visitor, python }
    }

    /// Polls until then.
    pub(crate) async fn poll(&self, target: &Target, until: Instant) -> Seen {
        let strangers = strangers(target, until);
        let (connected, python) = tokio::join!(self.connected(target, until), self.python(target, until));
        Seen { connected, strangers: strangers.await.unwrap(), python }
    }

    async fn connected(&self, target: &Target, until: Instant) -> Polls {
        let (mut polls, mut tick) = (Polls::default(), ticks(PERIODS[0]));
        let handle = self.visitor.handle();
        let call = async |handler: &str, data| {
            let handler = HandlerName::new(handler).unwrap();
            handle.call(target.peer, &handler, data, DEADLINE).await.map_err(|e| format!("{handler}: {e}"))
        };
        let find = Request::Find { sender: None, keys: vec![DhtId::of_text("test-model.0")] };
        while Instant::now() < until {
            tick.tick().await;
            let began = Instant::now();
            let uid = ExpertUid { uid: String::new() }.encode_to_vec();
            let info = call(RPC_INFO_HANDLER, uid).await.and_then(|answer| informed(&answer));
            polls.note(began, info);
            let began = Instant::now();
            let found = call(FIND_HANDLER, find.encode()).await;
            polls.note(began, found.and_then(|answer| online(&find, &answer, target)));
        }
        polls
    }

    async fn python(&self, target: &Target, until: Instant) -> Polls {
        let (mut polls, mut tick) = (Polls::default(), ticks(PERIODS[2]));
        while Instant::now() < until {
            tick.tick().await;
            let began = Instant::now();
            let record = self.python.raw("test-model.1").await;
            polls.note(began, declared_online(&record, &target.petald.peer_id));
        }
        polls
    }
}

/// Somebody who was never there, each time: a connection, and one call.
fn strangers(target: &Target, until: Instant) -> JoinHandle<Polls> {
    let (port, peer) = (target.port, target.peer);
    tokio::spawn(async move {
        let (mut polls, mut tick) = (Polls::default(), ticks(PERIODS[1]));
        while Instant::now() < until {
            tick.tick().await;
            let began = Instant::now();
            let look = async {
                let wire = Wire::connect(&Keypair::generate_ed25519(), Ipv4Addr::LOCALHOST, port).await?;
                wire.call(RPC_INFO_HANDLER, &peer, [7; 16], vec![]).await
            };
            let seen = match look.await {
                Ok((_, answer)) => answer.and_then(|answer| informed(&answer)),
                Err(error) => Err(error.to_string()),
            };
            polls.note(began, seen);
        }
        polls
    })
}

fn ticks(period: Duration) -> tokio::time::Interval {
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

fn informed(answer: &[u8]) -> Result<(), String> {
    let info = ExpertInfo::decode(answer).map_err(|e| e.to_string())?;
    RpcInfo::decode_common(&info.serialized_info).map(drop).map_err(|e| e.to_string())
}

/// Whether our record of the block is there, and says ONLINE.
fn online(find: &Request, answer: &[u8], target: &Target) -> Result<(), String> {
    let Response::Find { results, .. } = Response::decode(find, answer).map_err(|e| e.to_string())? else {
        return Err("another answer".into());
    };
    let Some(FoundValue::Dictionary(bytes, _)) = &results[0].value else {
        return Err(format!("not found: {:?}", results[0].value));
    };
    let items = dictionary::decode(bytes, 10_000).map_err(|e| e.to_string())?;
    let ours = items.iter().find(|item| item.subkey.as_text().as_deref() == Some(&target.petald.peer_id));
    let ours = ours.ok_or("our record is not among them")?;
    match ServerInfo::decode(ours.value) {
        Ok(server) if server.state == ServerState::Online => Ok(()),
        other => Err(format!("the record says {other:?}")),
    }
}

/// The same as Python reads it.
fn declared_online(record: &Value, peer: &str) -> Result<(), String> {
    let entries = record["value"]["dict"].as_array().ok_or_else(|| format!("no dictionary: {record}"))?;
    let ours = entries.iter().find(|entry| entry[0] == peer).ok_or("our record is not among them")?;
    match ours[1]["value"]["tuple"][0].as_u64() {
        Some(2) => Ok(()),
        _ => Err(format!("the record says {}", ours[1])),
    }
}
