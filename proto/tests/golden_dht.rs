//! The DHT's messages and the records of a Petals server against bytes recorded from running peers
//! (hivemind 1.1.12 and a Petals server): what was read must be written again byte for byte.

#![allow(clippy::unwrap_used, reason = "a failure here is a failed test")]

use hivemind_proto::{
    dht::{Request, Response, Tag, dictionary},
    records::{ModelInfo, RpcInfo, ServerInfo, ServerState},
};
use serde_json::Value;

fn vectors(file: &str) -> Value {
    let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn bytes(call: &Value, field: &str) -> Vec<u8> {
    hex::decode(call[field].as_str().unwrap()).unwrap()
}

/// Every recorded call of the DHT: its handler, its request and its response.
fn calls() -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let mut calls = Vec::new();
    for file in ["vectors.json", "vectors_server_lifecycle.json"] {
        for call in vectors(file)["calls"].as_array().unwrap() {
            let method = call["method"].as_str().unwrap().to_owned();
            if method.starts_with("DHTProtocol.") && call["response_hex"].is_string() {
                calls.push((method, bytes(call, "request_hex"), bytes(call, "response_hex")));
            }
        }
    }
    assert!(calls.len() > 80, "only {} calls were recorded", calls.len());
    calls
}

#[test]
fn every_recorded_message_is_read_and_written_again() {
    for (handler, request, response) in calls() {
        let read = Request::decode(&handler, &request).unwrap();
        assert_eq!(hex::encode(read.encode()), hex::encode(&request), "{handler}");
        let answer = Response::decode(&read, &response).unwrap();
        assert_eq!(hex::encode(answer.encode()), hex::encode(&response), "{handler}");
    }
}

#[test]
fn every_recorded_row_is_readable() {
    let mut kinds = [0; 3];
    for (handler, request, _) in calls() {
        let Request::Store { rows, .. } = Request::decode(&handler, &request).unwrap() else { continue };
        for row in rows {
            let tag = Tag::decode(&row.tag).unwrap();
            assert_eq!(tag.encode(), row.tag);
            match tag {
                Tag::Plain => kinds[0] += 1,
                Tag::Subkey(_) => kinds[1] += 1,
                Tag::Dictionary => {
                    kinds[2] += 1;
                    let items = dictionary::decode(&row.value, 100).unwrap();
                    let latest = items.iter().map(|item| item.expiration).fold(f64::MIN, f64::max);
                    let columns = items.iter().map(|item| (&item.subkey, item.value, item.expiration));
                    assert_eq!(latest, row.expiration);
                    assert_eq!(dictionary::encode(latest, columns).len(), row.value.len());
                }
            }
        }
    }
    assert!(kinds.iter().all(|count| *count > 0), "{kinds:?}");
}

#[test]
fn a_servers_announcements_are_written_byte_for_byte() {
    let (mut states, mut models) = (Vec::new(), 0);
    for (handler, request, _) in calls() {
        let Request::Store { rows, .. } = Request::decode(&handler, &request).unwrap() else { continue };
        for row in rows {
            let Ok(Tag::Subkey(subkey)) = Tag::decode(&row.tag) else { continue };
            if subkey.as_text().is_some_and(|text| text.parse::<libp2p::PeerId>().is_ok()) {
                let info = ServerInfo::decode(&row.value).unwrap();
                assert_eq!(hex::encode(info.encode()), hex::encode(&row.value));
                states.push(info.state);
            } else if let Ok(model) = ModelInfo::decode(&row.value) {
                assert_eq!(hex::encode(model.encode()), hex::encode(&row.value));
                models += 1;
            }
        }
    }
    states.sort_unstable();
    states.dedup();
    assert_eq!(states, [ServerState::Offline, ServerState::Joining, ServerState::Online]);
    assert!(models > 0);
}

#[test]
fn rpc_info_is_read_as_a_petals_server_answers_it() {
    let recorded = vectors("rpc_info.json");
    let mut read = 0;
    for answer in recorded["answers"].as_array().unwrap() {
        if answer["serialized_info_hex"].is_string() {
            let (version, client_mode, tokens) =
                RpcInfo::decode_common(&bytes(answer, "serialized_info_hex")).unwrap();
            assert_eq!((version.as_str(), client_mode, tokens), ("2.3.0.dev2", false, 16384));
            read += 1;
        }
    }
    assert_eq!(read, 2);
}
