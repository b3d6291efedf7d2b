//! What a server announces and answers, to msgpack and back; and a dictionary with many of them, as a find brings it.

use criterion::{BenchmarkId, Criterion, Throughput};
use hivemind_proto::{
    dht::{DhtId, Subkey, Tag, dictionary},
    records::{BlockRange, ModelInfo, RpcInfo, Rps, ServerInfo, ServerState},
};
use libp2p::PeerId;

/// Servers of one block.
const SERVERS: [usize; 3] = [1, 100, 10_000];

fn server() -> ServerInfo {
    let blocks = BlockRange::new(0, 8).unwrap();
    ServerInfo {
        public_name: Some("a server".into()),
        version: Some("2.2.0.post1".into()),
        network_rps: Some(Rps::try_from(120.5).unwrap()),
        forward_rps: Some(Rps::try_from(900.0).unwrap()),
        inference_rps: Some(Rps::try_from(15.25).unwrap()),
        torch_dtype: Some("bfloat16".into()),
        quant_type: Some("nf4".into()),
        using_relay: Some(false),
        cache_tokens_left: Some(65_536),
        ..ServerInfo::new(ServerState::Online, Rps::try_from(123.4).unwrap(), blocks)
    }
}

pub(crate) fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("records");
    let server = server();
    let bytes = server.encode();
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("ServerInfo, encode", |b| b.iter(|| server.encode()));
    group.bench_function("ServerInfo, decode", |b| b.iter(|| ServerInfo::decode(&bytes)));

    let model = ModelInfo::new(80, Some("https://huggingface.co/a/model".into())).unwrap();
    let encoded = model.encode();
    group.throughput(Throughput::Bytes(encoded.len() as u64));
    group.bench_function("ModelInfo, encode", |b| b.iter(|| model.encode()));
    group.bench_function("ModelInfo, decode", |b| b.iter(|| ModelInfo::decode(&encoded)));

    let info = RpcInfo {
        version: "2.2.0.post1".into(),
        dht_client_mode: false,
        cache_tokens_available: 65_536,
        torch_dtype: Some("bfloat16".into()),
        spans: vec![server.blocks],
        public_name: server.public_name.clone(),
        throughput: server.throughput,
        state: ServerState::Online,
    };
    let encoded = info.encode();
    group.throughput(Throughput::Bytes(encoded.len() as u64));
    group.bench_function("RpcInfo, encode", |b| b.iter(|| info.encode()));
    group.bench_function("RpcInfo, decode", |b| b.iter(|| RpcInfo::decode_common(&encoded)));

    let tag = Tag::Subkey(Subkey::text(&PeerId::random().to_base58()));
    let encoded = tag.encode();
    group.throughput(Throughput::Bytes(encoded.len() as u64));
    group.bench_function("subkey, encode", |b| b.iter(|| tag.encode()));
    group.bench_function("subkey, decode", |b| b.iter(|| Tag::decode(&encoded)));
    group.bench_function("key of a block", |b| b.iter(|| DhtId::of_text("a-model-hf.79")));

    for servers in SERVERS {
        let subkeys: Vec<Subkey> =
            (0..servers).map(|_| Subkey::text(&PeerId::random().to_base58())).collect();
        let entries = || subkeys.iter().map(|subkey| (subkey, bytes.as_slice(), 1.8e9));
        let encoded = dictionary::encode(1.8e9, entries());
        group.throughput(Throughput::Bytes(encoded.len() as u64));
        group.bench_function(BenchmarkId::new("dictionary, encode", servers), |b| {
            b.iter(|| dictionary::encode(1.8e9, entries()))
        });
        group.bench_function(BenchmarkId::new("dictionary, decode", servers), |b| {
            b.iter(|| dictionary::decode(&encoded, servers).unwrap().len())
        });
    }
    group.finish();
}
