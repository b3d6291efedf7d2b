//! The reachability actor keeps this true: what we announce of ourselves fits how others reach us, and whoever asks whether
//! a peer can be called is told what a stranger finds.
//!
//! The network finds out how others reach us and says so whenever that changes (`network/reach`). Where that is through
//! relays alone, our record says so and we take part in the DHT as a client, as petals does; where it is not at all, nothing is
//! announced ONLINE.
//!
//! A Petals server asks some peers at its start, about itself, to learn whether it needs a relay. A yes has to be
//! earned by a connection that nobody else has made: over the one on which the question came any peer could be called,
//! behind whatever firewall it stands. So a peer that is connected is called by a stranger, who has an identity and
//! connections of its own, at the addresses that the peer tells; any other peer is called by us, since that makes a new
//! connection in any case. Asked about ourselves we say yes: the question has arrived.
//!
//! A check makes connections at a peer's behest, so checks are few: at once, in a second, and for one caller. A caller
//! that is refused gets an error, which petals counts as no answer, and not as a no.
//!
//! Protocol facts: `petals/server/reachability.py` (`ReachabilityProtocol.rpc_check`, `call_check`). A restart loses
//! the checks under way, and who asked how often.

mod check;
mod news;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Recipient, StreamHandler, WrapFuture};
use hivemind_proto::{
    allowance::{Allowance, Allowances, Rate},
    bare_name::HandlerName,
    messages::hivemind::{PingRequest, PingResponse},
    unary::InboundCall,
};
use libp2p::PeerId;
use prost::Message;
use serde::Serialize;
use tokio::time::Instant;

use self::{check::Check, news::News};
use crate::{
    dht::messages::TakePart,
    network::{self, Reach, Verdict},
    server_info::messages::Update,
    supervisor::{Birth, Drain, Probe, ProbeReport},
};

/// The handler's name.
pub const CHECK_HANDLER: &str = "ReachabilityProtocol.rpc_check";

/// How long a check may take: petals' `wait_timeout`. Who asks about another peer waits twice as long.
pub const CHECK_DEADLINE: Duration = Duration::from_secs(5);

/// Requests that wait for this actor, which answers or begins each at once.
pub const INBOUND_CAPACITY: usize = 256;

/// Checks under way at once. Each may hold a swarm of its own, some 100 KiB, for its deadline.
pub const CHECKS_AT_ONCE: usize = 16;

/// All checks together. Making a swarm costs a few milliseconds of CPU, so this is a few hundredths of a core.
const CHECKS: Rate = Rate { burst: 32.0, per_second: 5.0 };

/// Those that one caller asks for. A petals server asks each peer once, at its start.
const CHECKS_A_CALLER: Rate = Rate { burst: 4.0, per_second: 0.1 };

/// Callers that are told apart: as many as [`CHECKS`] lets in before the first has its allowance back, and more.
const CALLERS: usize = 1024;

/// What the actor is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How a stranger comes into the network.
    pub departures: network::Departures,
}

/// Who is told how others reach us.
#[derive(Debug, Clone)]
pub struct Told {
    /// Takes part as a client where nobody can dial us directly.
    pub dht: Recipient<TakePart>,
    /// Tells it in our record.
    pub server_info: Recipient<Update>,
}

/// The actor.
pub struct Reachability {
    settings: Settings,
    network: network::Handle,
    told: Option<Told>,
    birth: Birth,
    reach: Option<Arc<Reach>>,
    begun: Instant,
    all: Allowance,
    callers: Allowances<PeerId>,
    under_way: usize,
    counters: Counters,
}

/// What became of the requests.
#[derive(Debug, Clone, Default, Serialize)]
struct Counters {
    about_ourselves: u64,
    reachable: u64,
    unreachable: u64,
    refused: u64,
    malformed: u64,
}

/// What a probe of the actor tells.
#[derive(Debug, Serialize)]
struct Status<'a> {
    /// Whether others can dial us directly.
    verdict: Option<Verdict>,
    dialable: Option<bool>,
    using_relay: Option<bool>,
    direct: Vec<String>,
    relayed: Vec<String>,
    checks_under_way: usize,
    #[serde(flatten)]
    counters: &'a Counters,
}

/// Why a request is answered with an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReachabilityError {
    /// Not a `PingRequest` whose node id is a peer id.
    #[error("not a PingRequest about a peer: {0}")]
    Malformed(String),
    /// Too many checks, of this caller or of all.
    #[error("too many checks, try again later")]
    Busy,
}

impl Reachability {
    /// An actor that answers on `network`, and hands on what that finds out.
    pub fn new(settings: Settings, network: network::Handle, told: Option<Told>, birth: Birth) -> Self {
        Self {
            settings,
            network,
            told,
            birth,
            reach: None,
            begun: Instant::now(),
            all: Allowance::full(CHECKS, 0.0),
            callers: Allowances::new(CHECKS_A_CALLER, CALLERS, 0.0),
            under_way: 0,
            counters: Counters::default(),
        }
    }

    /// Whether a check for `caller` may begin now.
    fn admits(&mut self, caller: PeerId) -> bool {
        let now = self.begun.elapsed().as_secs_f64();
        self.under_way < CHECKS_AT_ONCE
            && self.callers.take(caller, 1.0, now)
            && self.all.take(CHECKS, 1.0, now)
    }

    fn begin(&mut self, mut call: Box<InboundCall>, peer: PeerId, ctx: &mut Context<Self>) {
        let check = Check { home: self.network.clone(), departures: self.settings.departures.clone(), peer };
        self.under_way += 1;
        let checked = async move {
            let outcome = tokio::select! {
                outcome = check.run(CHECK_DEADLINE) => Some(outcome),
                () = call.cancelled() => None,
            };
            (outcome, call)
        };
        ctx.spawn(checked.into_actor(self).map(move |(outcome, call), this, _| {
            this.under_way -= 1;
            let Some(outcome) = outcome else { return };
            tracing::debug!(caller = %call.caller, %peer, ?outcome, "reachability checked");
            match outcome {
                Ok(()) => this.counters.reachable += 1,
                Err(_) => this.counters.unreachable += 1,
            }
            call.answer(Ok(answer(outcome.is_ok())));
        }));
    }
}

/// Whom a request is about. Petals puts a peer id where the DHT has a node id.
fn subject(request: &[u8]) -> Result<PeerId, ReachabilityError> {
    let malformed = |cause: String| ReachabilityError::Malformed(cause);
    let request = PingRequest::decode(request).map_err(|error| malformed(error.to_string()))?;
    let id = request.peer.unwrap_or_default().node_id;
    PeerId::from_bytes(&id).map_err(|error| malformed(error.to_string()))
}

/// The answer, as petals makes it: nothing in it but this.
fn answer(available: bool) -> Vec<u8> {
    PingResponse { available, ..PingResponse::default() }.encode_to_vec()
}

impl Actor for Reachability {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        #[expect(clippy::expect_used, reason = "the name is a constant that the name rules allow")]
        let name = HandlerName::new(CHECK_HANDLER).expect("a valid name");
        ctx.add_stream(self.network.serve(&[name], INBOUND_CAPACITY));
        ctx.add_stream(news::stream(self.network.reach()));
        self.birth.ready.notify();
    }
}

impl StreamHandler<Box<InboundCall>> for Reachability {
    fn handle(&mut self, call: Box<InboundCall>, ctx: &mut Self::Context) {
        if call.is_cancelled() {
            return;
        }
        match subject(&call.data) {
            Ok(peer) if peer == self.network.local_peer_id() => {
                self.counters.about_ourselves += 1;
                call.answer(Ok(answer(true)));
            }
            Ok(peer) if self.admits(call.caller) => self.begin(call, peer, ctx),
            Ok(_) => {
                self.counters.refused += 1;
                call.answer(Err(ReachabilityError::Busy.to_string()));
            }
            Err(error) => {
                self.counters.malformed += 1;
                call.answer(Err(error.to_string()));
            }
        }
    }
}

impl StreamHandler<News> for Reachability {
    fn handle(&mut self, News(reach): News, ctx: &mut Self::Context) {
        if self.reach.as_deref() == Some(&*reach) {
            return;
        }
        news::log(self.reach.as_deref(), &reach);
        if let Some(told) = &self.told {
            ctx.spawn(news::tell(told, &reach).into_actor(self));
        }
        self.reach = Some(reach);
    }
}

impl Handler<Probe> for Reachability {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        let reach = self.reach.as_deref();
        let text = |addresses: &[libp2p::Multiaddr]| addresses.iter().map(ToString::to_string).collect();
        ProbeReport::of(&Status {
            verdict: reach.map(|reach| reach.verdict),
            dialable: reach.map(Reach::is_dialable),
            using_relay: reach.map(Reach::is_relayed),
            direct: reach.map(|reach| text(&reach.direct)).unwrap_or_default(),
            relayed: reach.map(|reach| text(&reach.relayed)).unwrap_or_default(),
            checks_under_way: self.under_way,
            counters: &self.counters,
        })
    }
}

impl Handler<Drain> for Reachability {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {}
}
