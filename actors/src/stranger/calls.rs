//! The calls that a stranger makes, one at a time.
//!
//! Protocol facts: `health.petals.dev/p2p_utils.py` (`check_reachability`).

use std::time::Duration;

use hivemind_proto::{
    bare_name::HandlerName,
    dht::{Request, Response},
    messages::hivemind::{ExpertInfo, ExpertUid},
    msgpack::{self, Value},
    records::{RPC_INFO_HANDLER, RpcInfo},
};
use libp2p::PeerId;
use prost::Message;

use crate::network;

/// Calls `rpc_info` with an empty uid, as the health monitor does: the map in the answer, which has not been read.
pub(crate) async fn rpc_info(
    network: &network::Handle,
    peer: PeerId,
    deadline: Duration,
) -> Result<Vec<u8>, String> {
    let failed = |cause: &dyn std::fmt::Display| format!("{RPC_INFO_HANDLER}: {cause}");
    let handler = HandlerName::new(RPC_INFO_HANDLER).map_err(|error| failed(&error))?;
    let request = ExpertUid { uid: String::new() }.encode_to_vec();
    let answer = network.call(peer, &handler, request, deadline).await.map_err(|error| failed(&error))?;
    let info = ExpertInfo::decode(&answer[..]).map_err(|error| failed(&error))?;
    Ok(info.serialized_info)
}

/// Whether an answer to `rpc_info` says what every Petals server says.
pub(crate) fn is_petals(answer: &[u8]) -> Result<(), String> {
    RpcInfo::decode_common(answer).map(drop).map_err(|error| format!("{RPC_INFO_HANDLER}: {error}"))
}

/// Whether an answer to `rpc_info` is a map, which is all that the health monitor asks for.
pub(crate) fn is_map(answer: &[u8]) -> Result<(), String> {
    match msgpack::decode(answer) {
        Ok(Value::Map(_)) => Ok(()),
        Ok(_) => Err(format!("{RPC_INFO_HANDLER}: the answer is no map")),
        Err(error) => Err(format!("{RPC_INFO_HANDLER}: {error}")),
    }
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
