//! The layers of one peer, tried in order. The first ones need each other; the later ones are tried whatever the
//! others said.
//!
//! Protocol facts: `hivemind/dht/protocol.py` (rpc_ping: `dht_time`, and the call-back of a validated ping);
//! `petals/server/handler.py` (rpc_info), which `health.petals.dev/p2p_utils.py` gives 5 s.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use hivemind_proto::bare_name::HandlerName;
use hivemind_proto::dht::{Contact, DhtId, Request, Response};
use hivemind_proto::messages::hivemind::{ExpertInfo, ExpertUid};
use hivemind_proto::records::{DhtPrefix, RPC_INFO_HANDLER, RpcInfo};
use hivemind_proto::time::Clock;
use hivemind_proto::unary::CallError;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use petald_actors::clock::SystemClock;
use petald_actors::network::NetworkEvent;
use prost::Message;
use serde::Serialize;
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::time::{Instant, timeout};

use super::guest::Guest;
use super::records::{self, Announced};
use crate::progress::Shown;

/// One name, one TCP handshake.
const STEP_DEADLINE: Duration = Duration::from_secs(5);
/// A connection with all its handshakes, and a search for the peer before it: the patience of a node that joins.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// One call: the health monitor's patience.
const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// What a peer consists of, seen from outside, from the bottom to the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Layer {
    /// Others know where it is.
    Find,
    /// Its name stands for an address.
    Dns,
    /// Something listens there.
    Dial,
    /// It has the key of the peer that was meant.
    Noise,
    /// It says what program it is.
    Identify,
    /// It helps others to find peers.
    Kad,
    /// It is a node of hivemind's DHT.
    DhtPing,
    /// It calls back, as it must for a node that joins through it.
    CallBack,
    /// It is a server of Petals.
    RpcInfo,
    /// It announces what it serves.
    Records,
}

impl Layer {
    /// How it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Find => "find",
            Self::Dns => "dns",
            Self::Dial => "dial",
            Self::Noise => "noise",
            Self::Identify => "identify",
            Self::Kad => "kad",
            Self::DhtPing => "dht_ping",
            Self::CallBack => "call_back",
            Self::RpcInfo => "rpc_info",
            Self::Records => "records",
        }
    }
}

/// One layer that was tried.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) layer: Layer,
    /// What it is like, or why it fails.
    pub(crate) outcome: Result<String, String>,
    pub(crate) took: Duration,
}

/// The fields of `rpc_info` that every server gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ServerAnswer {
    version: String,
    dht_client_mode: bool,
    cache_tokens_available: u64,
}

/// A visit to one peer.
pub(crate) struct Visit<'g> {
    guest: &'g Guest,
    peer: PeerId,
    events: Receiver<NetworkEvent>,
    pub(crate) steps: Vec<Step>,
    /// Where the connection was made.
    pub(crate) address: Option<Multiaddr>,
    /// The program that it says it is.
    pub(crate) agent: Option<String>,
    /// Its place in the DHT, unless it is a client.
    node_id: Option<DhtId>,
    /// Its clock minus ours, in seconds.
    pub(crate) clock_offset: Option<f64>,
}

impl<'g> Visit<'g> {
    pub(crate) fn new(guest: &'g Guest, peer: PeerId) -> Self {
        let events = guest.network().events();
        let (steps, address, agent, node_id, clock_offset) = (Vec::new(), None, None, None, None);
        Self { guest, peer, events, steps, address, agent, node_id, clock_offset }
    }

    /// The layer that failed first, and why.
    pub(crate) fn failure(&self) -> Option<(Layer, &str)> {
        self.steps.iter().find_map(|step| Some((step.layer, step.outcome.as_ref().err()?.as_str())))
    }

    /// Connects over one of `addresses`, layer by layer: whether there is a connection.
    pub(crate) async fn reach(&mut self, addresses: &[Multiaddr], shown: &Shown) -> bool {
        let hosts: Vec<_> = addresses.iter().filter_map(host).collect();
        // A `/dnsaddr` is resolved below, where whole addresses are looked up.
        if hosts.len() == addresses.len() {
            if addresses.iter().any(|address| named(address).is_some()) {
                shown.at(Layer::Dns.name());
            }
            let Some(sockets) = self.resolve(&hosts).await else { return false };
            shown.at(Layer::Dial.name());
            let began = Instant::now();
            if !self.tell(Layer::Dial, began, dial(&sockets).await) {
                return false;
            }
        }
        shown.at(Layer::Noise.name());
        let began = Instant::now();
        let connected = self.guest.network().connect(self.peer, addresses.to_vec(), CONNECT_DEADLINE).await;
        self.tell(Layer::Noise, began, connected.map(|()| format!("it holds the key of {}", self.peer)))
            && self.met().await
    }

    /// Connects to the peer wherever others say that it is.
    pub(crate) async fn find(&mut self, entered: Result<usize, String>) -> bool {
        let began = Instant::now();
        let found = match entered {
            Err(cause) => Err(format!("nobody could be asked where it is: {cause}")),
            Ok(_) => {
                let connected = self.guest.network().connect(self.peer, Vec::new(), CONNECT_DEADLINE).await;
                connected.map_err(|error| error.to_string())
            }
        };
        let met = found.is_ok() && self.met().await;
        let at = self.address.as_ref().map_or(String::new(), |address| format!(" at {address}"));
        self.tell(Layer::Find, began, found.map(|()| format!("connected{at}"))) && met
    }

    /// Notes where the connection was made.
    async fn met(&mut self) -> bool {
        let mut addresses = self.guest.network().addresses(vec![self.peer]).await;
        self.address = addresses.remove(&self.peer).and_then(|addresses| addresses.into_iter().next());
        true
    }

    /// Waits until it has said who it is.
    pub(crate) async fn greet(&mut self, shown: &Shown) {
        shown.at(Layer::Identify.name());
        let (began, peer) = (Instant::now(), self.peer);
        let identified = timeout(STEP_DEADLINE, async {
            loop {
                match self.events.recv().await {
                    Ok(NetworkEvent::Identified { peer: who, agent, kad }) if who == peer => {
                        return Ok((agent, kad));
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Err("the connection is gone".to_owned()),
                }
            }
        });
        match identified.await.unwrap_or_else(|_| Err(late(STEP_DEADLINE))) {
            Err(cause) => _ = self.tell(Layer::Identify, began, Err::<String, _>(cause)),
            Ok((agent, kad)) => {
                self.tell(Layer::Identify, began, Ok::<_, String>(agent.clone()));
                self.agent = Some(agent);
                let serves = match kad {
                    true => Ok("it serves /ipfs/kad/1.0.0"),
                    false => Err("it does not serve /ipfs/kad/1.0.0: nobody can be led to it or by it"),
                };
                self.tell(Layer::Kad, began, serves);
            }
        }
    }

    /// Pings it as a node that joins does.
    pub(crate) async fn ping(&mut self, shown: &Shown) {
        shown.at(Layer::DhtPing.name());
        let began = Instant::now();
        let request = Request::Ping { sender: Some(DhtId::random(&mut rand::rng())), validate: true };
        let sent = SystemClock.now();
        let answer = self.call(request.handler(), request.encode()).await;
        let received = SystemClock.now();
        let decode = |bytes: Vec<u8>| Response::decode(&request, &bytes).map_err(|error| error.to_string());
        let pong = match answer {
            Err(CallError::UnknownHandler) => Err("it is no node of a hivemind DHT".to_owned()),
            other => other.map_err(|error| error.to_string()).and_then(decode),
        };
        let told = match pong {
            Ok(Response::Ping { sender: Some(id), time, .. }) => {
                self.node_id = Some(id);
                let halfway = received.seconds_since(sent) / 2.0;
                self.clock_offset = time.map(|time| time.seconds_since(sent) - halfway);
                let clock =
                    self.clock_offset.map(|offset| format!(", its clock is {offset:+.3} s from ours"));
                Ok(format!("node {id}{}", clock.unwrap_or_default()))
            }
            Ok(_) => {
                Err("it is a client of the DHT: nobody joins through it, and it holds nothing".to_owned())
            }
            Err(cause) => Err(cause),
        };
        if self.tell(Layer::DhtPing, began, told) {
            let called = self.guest.was_called_by(&self.peer);
            let told = if called { Ok("it called back") } else { Err("it answered without calling back") };
            self.tell(Layer::CallBack, began, told);
        }
    }

    /// Asks what the health monitor asks a server.
    pub(crate) async fn rpc_info(&mut self, shown: &Shown) -> Option<ServerAnswer> {
        shown.at(Layer::RpcInfo.name());
        let began = Instant::now();
        let request = ExpertUid { uid: String::new() }.encode_to_vec();
        let answer = match self.call(RPC_INFO_HANDLER, request).await {
            Err(CallError::UnknownHandler) => {
                Err("it does not serve rpc_info: it is no Petals server, perhaps a bootstrap".to_owned())
            }
            Err(error) => Err(error.to_string()),
            Ok(bytes) => ExpertInfo::decode(&bytes[..])
                .map_err(|error| error.to_string())
                .and_then(|info| RpcInfo::decode_common(&info.serialized_info).map_err(|e| e.to_string()))
                .map_err(|cause| format!("the answer is not a Petals server's: {cause}")),
        };
        let answer = answer.map(|(version, dht_client_mode, cache_tokens_available)| ServerAnswer {
            version,
            dht_client_mode,
            cache_tokens_available,
        });
        let told = answer.as_ref().map(|answer| {
            format!("{}, {} tokens left in its cache", answer.version, answer.cache_tokens_available)
        });
        self.tell(Layer::RpcInfo, began, told.map_err(Clone::clone));
        answer.ok()
    }

    /// What it announces, found through the DHT that it leads to.
    pub(crate) async fn records(&mut self, model: Option<&(DhtPrefix, u32)>) -> Vec<Announced> {
        // Without a place in the DHT it leads nowhere, which was told.
        let Some(id) = self.node_id else { return Vec::new() };
        let began = Instant::now();
        let through = Contact { id, peer: self.peer };
        let offset = self.clock_offset.unwrap_or_default();
        let found = records::of(self.guest.network(), through, offset, model).await;
        let told = match &found {
            Ok(records) if records.is_empty() => Ok("none: it announces no model".to_owned()),
            Ok(records) => Ok(records.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
            Err(cause) => Err(cause.clone()),
        };
        self.tell(Layer::Records, began, told);
        found.unwrap_or_default()
    }

    async fn resolve(&mut self, hosts: &[(Protocol<'_>, u16)]) -> Option<Vec<SocketAddr>> {
        let (began, mut named) = (Instant::now(), false);
        let (mut sockets, mut causes) = (Vec::new(), Vec::new());
        for (host, port) in hosts {
            let (name, fits): (_, fn(&SocketAddr) -> bool) = match host {
                Protocol::Ip4(ip) => {
                    sockets.push((*ip, *port).into());
                    continue;
                }
                Protocol::Ip6(ip) => {
                    sockets.push((*ip, *port).into());
                    continue;
                }
                Protocol::Dns4(name) => (name, SocketAddr::is_ipv4),
                Protocol::Dns6(name) => (name, SocketAddr::is_ipv6),
                Protocol::Dns(name) => (name, |_| true),
                _ => continue,
            };
            named = true;
            match timeout(STEP_DEADLINE, lookup_host((&**name, *port))).await {
                Ok(Ok(found)) => sockets.extend(found.filter(fits)),
                Ok(Err(error)) => causes.push(format!("{name}: {error}")),
                Err(_) => causes.push(format!("{name}: {}", late(STEP_DEADLINE))),
            }
        }
        let list = sockets.iter().map(|socket| socket.ip().to_string()).collect::<Vec<_>>().join(", ");
        let found = match (sockets.is_empty(), causes.is_empty()) {
            (false, _) => Ok(list),
            (true, false) => Err(causes.join("; ")),
            (true, true) => Err("no address of that kind".to_owned()),
        };
        let found = if named { self.tell(Layer::Dns, began, found) } else { true };
        found.then_some(sockets)
    }

    async fn call(&self, handler: &str, data: Vec<u8>) -> Result<Vec<u8>, CallError> {
        let handler = HandlerName::new(handler).map_err(|error| CallError::Io(error.to_string()))?;
        self.guest.network().call(self.peer, &handler, data, CALL_DEADLINE).await
    }

    fn tell(
        &mut self,
        layer: Layer,
        began: Instant,
        outcome: Result<impl Into<String>, impl Display>,
    ) -> bool {
        let outcome = outcome.map(Into::into).map_err(|cause| cause.to_string());
        let works = outcome.is_ok();
        self.steps.push(Step { layer, outcome, took: began.elapsed() });
        works
    }
}

/// The host and the TCP port of an address that begins with them.
fn host(address: &Multiaddr) -> Option<(Protocol<'_>, u16)> {
    let mut parts = address.iter();
    let host = parts.next()?;
    match (&host, parts.next()?) {
        (Protocol::Dnsaddr(_), _) => None,
        (_, Protocol::Tcp(port)) => Some((host, port)),
        _ => None,
    }
}

/// The name in an address, if it has one.
fn named(address: &Multiaddr) -> Option<String> {
    match address.iter().next()? {
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => Some(name.into_owned()),
        _ => None,
    }
}

async fn dial(sockets: &[SocketAddr]) -> Result<String, String> {
    let mut causes = Vec::new();
    for socket in sockets {
        match timeout(STEP_DEADLINE, TcpStream::connect(socket)).await {
            Ok(Ok(_)) => return Ok(format!("TCP to {socket}")),
            Ok(Err(error)) => causes.push(format!("{socket}: {error}")),
            Err(_) => causes.push(format!("{socket}: {}", late(STEP_DEADLINE))),
        }
    }
    Err(causes.join("; "))
}

fn late(deadline: Duration) -> String {
    format!("no answer within {}", humantime::format_duration(deadline))
}
