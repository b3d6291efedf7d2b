//! The calls that a stranger makes, one at a time.
//!
//! Protocol facts: `health.petals.dev/p2p_utils.py` (`check_reachability`).

use std::time::Duration;

use hivemind_proto::{
    bare_name::HandlerName,
    dht::{Request, Response},
    messages::hivemind::{ExpertInfo, ExpertUid},
    records::{RPC_INFO_HANDLER, RpcInfo},
};
use libp2p::PeerId;
use prost::Message;

use crate::network;

/// Calls `rpc_info` with an empty uid, as the health monitor does.
pub(crate) async fn rpc_info(
    network: &network::Handle,
    peer: PeerId,
    deadline: Duration,
) -> Result<(), String> {
    let failed = |cause: &dyn std::fmt::Display| format!("{RPC_INFO_HANDLER}: {cause}");
    let handler = HandlerName::new(RPC_INFO_HANDLER).map_err(|error| failed(&error))?;
    let request = ExpertUid { uid: String::new() }.encode_to_vec();
    let answer = network.call(peer, &handler, request, deadline).await.map_err(|error| failed(&error))?;
    let info = ExpertInfo::decode(&answer[..]).map_err(|error| failed(&error))?;
    RpcInfo::decode_common(&info.serialized_info).map(drop).map_err(|error| failed(&error))
}

/// One call of the DHT, whose error is a text.
pub(crate) async fn exchange(
    network: &network::Handle,
    peer: PeerId,
    request: &Request,
    deadline: Duration,
) -> Result<Response, String> {
    let handler = HandlerName::new(request.handler()).map_err(|error| error.to_string())?;
    let bytes = network.call(peer, &handler, request.encode(), deadline).await;
    let bytes = bytes.map_err(|error| error.to_string())?;
    Response::decode(request, &bytes).map_err(|error| error.to_string())
}
