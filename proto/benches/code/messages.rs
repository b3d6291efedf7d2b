//! The DHT's messages, to bytes and back: the largest of each kind that was recorded from running peers.

use std::collections::BTreeMap;

use criterion::{BatchSize, Criterion, Throughput};
use hivemind_proto::{
    dht::{Request, Response},
    stream_frame::Frame,
};
use serde_json::Value;

/// Of a streaming call.
const MESSAGE_BYTES: usize = 64 * 1024;

struct Recorded {
    request: Vec<u8>,
    response: Vec<u8>,
}

/// The call with the longest request and answer of each handler.
fn recorded() -> BTreeMap<String, Recorded> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/vectors.json");
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let mut recorded = BTreeMap::<String, Recorded>::new();
    for call in vectors["calls"].as_array().unwrap() {
        let bytes = |field: &str| call[field].as_str().map(|text| hex::decode(text).unwrap());
        let method = call["method"].as_str().unwrap();
        let Some((request, response)) = bytes("request_hex").zip(bytes("response_hex")) else { continue };
        if method.starts_with("DHTProtocol.") {
            let call = Recorded { request, response };
            let bytes = |call: &Recorded| call.request.len() + call.response.len();
            let longest = recorded.remove(method).filter(|last| bytes(last) > bytes(&call)).unwrap_or(call);
            recorded.insert(method.to_owned(), longest);
        }
    }
    assert_eq!(recorded.len(), 3, "ping, store and find");
    recorded
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("messages");
    for (handler, Recorded { request, response }) in recorded() {
        let asked = Request::decode(&handler, &request).unwrap();
        let answered = Response::decode(&asked, &response).unwrap();
        group.throughput(Throughput::Bytes(request.len() as u64));
        group.bench_function(format!("{handler} request, encode"), |b| b.iter(|| asked.encode()));
        group.bench_function(format!("{handler} request, decode"), |b| {
            b.iter(|| Request::decode(&handler, &request))
        });
        group.throughput(Throughput::Bytes(response.len() as u64));
        group.bench_function(format!("{handler} response, encode"), |b| {
            b.iter_batched(|| answered.clone(), Response::encode, BatchSize::SmallInput)
        });
        group.bench_function(format!("{handler} response, decode"), |b| {
            b.iter(|| Response::decode(&asked, &response))
        });
    }
    let frame = Frame::Message(vec![7; MESSAGE_BYTES]);
    let bytes = frame.encode();
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("frame of a stream, encode", |b| b.iter(|| frame.encode()));
    group.bench_function("frame of a stream, decode", |b| b.iter(|| Frame::decode(&bytes, bytes.len())));
    group.finish();
}
