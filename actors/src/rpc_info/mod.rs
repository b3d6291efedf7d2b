//! The rpc_info actor keeps this true: whoever asks what we serve is told, within milliseconds.
//!
//! The health monitor asks with an empty uid, waits 5 s, and remembers a failure for 300 s; so this actor stands above
//! the announcer in the tree, and calls that come while it is being restarted wait in their queue.
//!
//! Protocol facts: `petals/server/handler.py` (`rpc_info`), `health.petals.dev/p2p_utils.py` (`check_reachability`).
//! A restart loses nothing but its counters.

#[cfg(test)]
mod tests;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, StreamHandler, WrapFuture};
use hivemind_proto::{
    bare_name::HandlerName,
    messages::hivemind::{ExpertInfo, ExpertUid},
    records::{BlockUid, RPC_INFO_HANDLER, RpcInfo},
    unary::InboundCall,
};
use prost::Message;
use serde::Serialize;

use crate::{
    network,
    server_info::{Offer, ServerInfoStore, Snapshots, messages::Subscribe},
    supervisor::{Birth, Drain, Probe, ProbeReport},
};

/// Requests that wait for this actor.
pub const INBOUND_CAPACITY: usize = 1024;

/// How much of an unknown uid is repeated in the error that names it.
const MAX_NAMED_CHARS: usize = 200;

/// The version that is told where the config sets none.
const UNNAMED_VERSION: &str = concat!("petald-", env!("CARGO_PKG_VERSION"));

/// What the actor is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether the node takes part in the DHT as a client only.
    pub dht_client_mode: bool,
}

/// The actor.
pub struct RpcInfoServer {
    settings: Settings,
    network: network::Handle,
    server_info: actix::Addr<ServerInfoStore>,
    birth: Birth,
    snapshots: Option<Snapshots>,
    counters: Counters,
}

/// What became of the requests.
#[derive(Debug, Clone, Default, Serialize)]
struct Counters {
    answered: u64,
    unknown_uid: u64,
    malformed: u64,
}

/// Why a request is not answered with an info.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RpcInfoError {
    /// The uid is not one of ours.
    #[error("no such block here: {0:?}")]
    UnknownUid(String),
    /// Not an `ExpertUID` message.
    #[error("not a valid ExpertUID: {0}")]
    Malformed(String),
}

impl RpcInfoServer {
    /// An actor that answers from the account of `server_info`.
    pub fn new(
        settings: Settings,
        network: network::Handle,
        server_info: actix::Addr<ServerInfoStore>,
        birth: Birth,
    ) -> Self {
        Self { settings, network, server_info, birth, snapshots: None, counters: Counters::default() }
    }

    /// Begins to serve once it is known what; a bootstrap has no blocks and serves no rpc_info at all.
    fn serve(&mut self, snapshots: Snapshots, ctx: &mut Context<Self>) {
        if snapshots.borrow().is_some() {
            #[expect(clippy::expect_used, reason = "the name is a constant that the name rules allow")]
            let name = HandlerName::new(RPC_INFO_HANDLER).expect("a valid name");
            ctx.add_stream(self.network.registry().serve(&[name], INBOUND_CAPACITY));
        }
        self.snapshots = Some(snapshots);
        self.birth.ready.notify();
    }

    fn answer(&self, request: &[u8]) -> Result<Vec<u8>, RpcInfoError> {
        let ExpertUid { uid } =
            ExpertUid::decode(request).map_err(|error| RpcInfoError::Malformed(error.to_string()))?;
        let snapshot = self.snapshots.as_ref().and_then(|snapshots| snapshots.borrow().clone());
        let unknown = || RpcInfoError::UnknownUid(uid.chars().take(MAX_NAMED_CHARS).collect());
        let offer = &snapshot.as_ref().ok_or_else(unknown)?.offer;
        if !uid.is_empty() && !is_offered(offer, &uid) {
            return Err(unknown());
        }
        Ok(ExpertInfo { serialized_info: self.info(offer).encode() }.encode_to_vec())
    }

    fn info(&self, Offer { server, .. }: &Offer) -> RpcInfo {
        RpcInfo {
            version: server.version.clone().unwrap_or_else(|| UNNAMED_VERSION.to_owned()),
            // petals' servers behind relays are clients, and no others are.
            dht_client_mode: self.settings.dht_client_mode || server.using_relay == Some(true),
            cache_tokens_available: server.cache_tokens_left.unwrap_or(0),
            torch_dtype: server.torch_dtype.clone(),
            spans: vec![server.blocks],
            public_name: server.public_name.clone(),
            throughput: server.throughput,
            state: server.state,
        }
    }
}

fn is_offered(offer: &Offer, uid: &str) -> bool {
    uid.parse::<BlockUid>()
        .is_ok_and(|uid| *uid.prefix() == offer.prefix && offer.server.blocks.contains(uid.index()))
}

impl Actor for RpcInfoServer {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let subscribed = self.server_info.send(Subscribe).into_actor(self);
        // If server_info is gone, this actor is about to be rebuilt with it.
        ctx.spawn(subscribed.map(|snapshots, this, ctx| {
            if let Ok(snapshots) = snapshots {
                this.serve(snapshots, ctx);
            }
        }));
    }
}

impl StreamHandler<Box<InboundCall>> for RpcInfoServer {
    fn handle(&mut self, call: Box<InboundCall>, _: &mut Self::Context) {
        let answer = self.answer(&call.data);
        match &answer {
            Ok(_) => self.counters.answered += 1,
            Err(RpcInfoError::UnknownUid(_)) => self.counters.unknown_uid += 1,
            Err(RpcInfoError::Malformed(_)) => self.counters.malformed += 1,
        }
        call.answer(answer.map_err(|error| error.to_string()));
    }
}

impl Handler<Probe> for RpcInfoServer {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        ProbeReport::of(&self.counters)
    }
}

impl Handler<Drain> for RpcInfoServer {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {}
}
