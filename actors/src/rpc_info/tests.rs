//! Answers to each kind of uid.

use std::collections::BTreeMap;

use actix::Actor;
use hivemind_proto::{
    msgpack::{self, Value},
    records::ServerState,
    unary::CallError,
};
use libp2p::PeerId;

use super::*;
use crate::server_info::{
    self,
    messages::{Change, Source, Update},
    tests::offer,
};

async fn served(
    offer: Option<Offer>,
) -> (network::Handle, actix::Addr<ServerInfoStore>, actix::Addr<RpcInfoServer>) {
    let (network, _commands) = network::Handle::channel(PeerId::random(), 1);
    let store = ServerInfoStore::new(server_info::Settings::volatile(offer), Birth::detached().0).start();
    let (birth, mut ready) = Birth::detached();
    let settings = Settings { dht_client_mode: false };
    let server = RpcInfoServer::new(settings, network.clone(), store.clone(), birth).start();
    ready.wait_for(|ready| *ready).await.unwrap();
    (network, store, server)
}

async fn ask(network: &network::Handle, request: Vec<u8>) -> Result<Fields, CallError> {
    let handler = HandlerName::new(RPC_INFO_HANDLER).unwrap();
    let answer = network.registry().deliver(PeerId::random(), &handler, request).await?;
    Ok(fields(&ExpertInfo::decode(&answer[..]).unwrap().serialized_info))
}

fn uid(uid: &str) -> Vec<u8> {
    ExpertUid { uid: uid.into() }.encode_to_vec()
}

/// The fields of an answer, their values as text.
type Fields = BTreeMap<String, String>;

fn fields(bytes: &[u8]) -> Fields {
    let Value::Map(fields) = msgpack::decode(bytes).unwrap() else { panic!("a map") };
    fields.into_iter().map(|(name, value)| (name.as_str().unwrap().to_owned(), value.to_string())).collect()
}

#[actix_rt::test]
async fn an_empty_uid_and_each_of_our_blocks_are_answered() {
    let (network, ..) = served(Some(offer())).await;
    for asked in ["", "tiny-llama-hf.0", "tiny-llama-hf.3"] {
        let answer = ask(&network, uid(asked)).await.unwrap();
        let names: Vec<&str> = answer.keys().map(String::as_str).collect();
        let expected = [
            "cache_tokens_available",
            "dht_client_mode",
            "public_name",
            "spans",
            "state",
            "throughput",
            "torch_dtype",
            "version",
        ];
        assert_eq!(names, expected);
        assert_eq!((answer["spans"].as_str(), answer["state"].as_str()), ("[[0, 4]]", "1"));
    }
}

#[actix_rt::test]
async fn any_other_uid_is_an_error_that_names_it() {
    let (network, _, server) = served(Some(offer())).await;
    for asked in ["tiny-llama-hf.4", "tiny-llama-hf", "other.0", "tiny-llama-hf.00"] {
        let Err(CallError::Handler(text)) = ask(&network, uid(asked)).await else {
            panic!("{asked} was answered")
        };
        assert!(text.contains(asked), "{text}");
    }
    let Err(CallError::Handler(text)) = ask(&network, uid(&"x".repeat(100_000))).await else { panic!() };
    assert!(text.len() < 300);
    let malformed = ask(&network, vec![0xff]).await;
    assert!(matches!(malformed, Err(CallError::Handler(_))), "{malformed:?}");
    let ProbeReport(counters) = server.send(Probe).await.unwrap();
    assert_eq!(counters, serde_json::json!({ "answered": 0, "unknown_uid": 5, "malformed": 1 }));
}

#[actix_rt::test]
async fn a_change_is_told_at_once() {
    let (network, store, _) = served(Some(offer())).await;
    let change = Change { state: Some(ServerState::Online), cache_tokens_left: Some(7), ..Change::default() };
    store.send(Update { source: Source::Backend, change }).await.unwrap().unwrap();
    let answer = ask(&network, uid("")).await.unwrap();
    assert_eq!((answer["state"].as_str(), answer["cache_tokens_available"].as_str()), ("2", "7"));
}

#[actix_rt::test]
async fn a_bootstrap_serves_no_rpc_info() {
    let (network, ..) = served(None).await;
    assert_eq!(ask(&network, uid("")).await, Err(CallError::UnknownHandler));
}
