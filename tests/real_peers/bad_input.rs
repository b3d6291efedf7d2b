//! A hostile peer: frames, protobufs and msgpack that are wrong, messages that are too large. Each is refused and
//! counted, and nothing else changes.

use std::time::Duration;

use libp2p::PeerId;
use prost::Message;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    deadline::{eventually, within},
    p2pd::{CallFailed, P2pd},
    petald::{Config, Home, Petald},
    shared,
    swarm::Swarm,
};

const PING: &str = "DHTProtocol.rpc_ping";
const STORE: &str = "DHTProtocol.rpc_store";
const FIND: &str = "DHTProtocol.rpc_find";
const INFO: &str = "TransformerConnectionHandler.rpc_info";
/// From bad bytes to the end of their stream, and to their counter.
const REFUSAL_LIMIT: Duration = Duration::from_secs(15);
/// Longer than the test, in seconds: stored before the attack.
const TTL: f64 = 600.0;
/// Later than that, so that a store that is not refused replaces it.
const LATER: f64 = TTL + 600.0;

/// hivemind's StoreRequest (dht.proto), written apart from the product's.
#[derive(Clone, PartialEq, Message)]
struct StoreRequest {
    #[prost(bytes = "vec", repeated, tag = "2")]
    keys: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    subkeys: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    values: Vec<Vec<u8>>,
    #[prost(double, repeated, tag = "5")]
    expiration_time: Vec<f64>,
    #[prost(bool, repeated, tag = "6")]
    in_cache: Vec<bool>,
}

#[derive(Clone, PartialEq, Message)]
struct StoreResponse {
    #[prost(bool, repeated, tag = "2")]
    store_ok: Vec<bool>,
}

fn row(key: &[u8], subkey: &[u8], value: &[u8], expiration: f64) -> StoreRequest {
    StoreRequest {
        keys: vec![key.to_vec()],
        subkeys: vec![subkey.to_vec()],
        values: vec![value.to_vec()],
        expiration_time: vec![expiration],
        in_cache: vec![false],
    }
}

/// The sum of all counters in `GET /api/v1/node` whose name holds one of `words`.
async fn counted(petald: &Petald, words: &[&str]) -> u64 {
    fn sum(value: &Value, words: &[&str]) -> u64 {
        match value {
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| match value.as_u64() {
                    Some(count) if words.iter().any(|word| name.contains(word)) => count,
                    _ => sum(value, words),
                })
                .sum(),
            Value::Array(items) => items.iter().map(|item| sum(item, words)).sum(),
            _ => 0,
        }
    }
    sum(&petald.node().await.unwrap(), words)
}

struct Attack {
    p2pd: P2pd,
    petald: Petald,
    target: PeerId,
}

impl Attack {
    async fn on(petald: Petald) -> Attack {
        let p2pd = P2pd::start().await;
        let target = petald.libp2p_id();
        p2pd.connect(target, &petald.dialable()).await.unwrap();
        Attack { p2pd, petald, target }
    }

    async fn assert_counted(&self, what: &str, words: &[&str], before: u64) {
        eventually(REFUSAL_LIMIT, &format!("{what} is counted"), async || {
            match counted(&self.petald, words).await {
                now if now > before => Ok(()),
                now => Err(format!("{words:?} stay at {now}: {}", self.petald.node().await?)),
            }
        })
        .await;
    }

    /// Raw bytes on a handler's stream: the stream ends, and the refusal is counted.
    async fn send(&self, what: &str, bytes: &[u8], words: &[&str]) {
        let before = counted(&self.petald, words).await;
        let mut stream = self.p2pd.open_stream(self.target, PING).await.unwrap();
        // May fail half-way: the other side does not wait for the rest.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let end = stream.read_to_end(&mut answer);
        // Ends in order or by a reset; what counts is that it does.
        let _ = within(REFUSAL_LIMIT, &format!("the stream with {what} ends"), end).await;
        self.assert_counted(what, words, before).await;
    }

    /// A call that is well formed as a call, with data that its handler must refuse with an error.
    async fn call(&self, what: &str, proto: &str, data: Vec<u8>) {
        let words = &["malformed", "error", "refused", "rejected"];
        let before = counted(&self.petald, words).await;
        match self.p2pd.call(self.target, proto, data).await {
            Err(CallFailed::Handler(text)) => assert!(!text.is_empty(), "{what}: the error has a text"),
            other => panic!("{what}: {other:?}"),
        }
        self.assert_counted(what, words, before).await;
    }

    /// A store of which nothing may be kept: an error, or false for each row.
    async fn store(&self, what: &str, request: StoreRequest) {
        match self.p2pd.call(self.target, STORE, request.encode_to_vec()).await {
            Err(CallFailed::Handler(_)) => {}
            Ok(answer) => {
                let response = StoreResponse::decode(answer.as_slice()).unwrap();
                assert_eq!(response.store_ok, vec![false; request.keys.len()], "{what}");
            }
            Err(CallFailed::Daemon(text)) => panic!("{what}: {text}"),
        }
    }
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn framed(message: &[u8]) -> Vec<u8> {
    [varint(message.len() as u64), message.to_vec()].concat()
}

/// The ext 0x50 of a whole dictionary, with any content.
fn dictionary(content: &[u8]) -> Vec<u8> {
    [&[0xc9], (content.len() as u32).to_be_bytes().as_slice(), &[0x50], content].concat()
}

#[tokio::test]
async fn a_hostile_peer_changes_nothing() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let home = Home::new(&Config::default());
    let petald = home.run().await;
    swarm.start(&["first"], &petald.addresses).await;
    assert!(swarm.store("first", "plain", json!("good"), TTL).await);
    assert!(swarm.store_entry("first", "dictionary", &json!("entry"), json!("good"), TTL).await);
    let (plain, entries) = (swarm.key_id("plain").await, swarm.key_id("dictionary").await);
    swarm.stop("first").await;
    let attack = Attack::on(petald).await;

    // Frames. An answer where a call belongs has a callId (field 1) and an empty unaryResponse (field 4).
    let answer = [&[0x0a, 16][..], &[7; 16], &[0x22, 0]].concat();
    let refused = &["malformed", "oversized"][..];
    attack.send("a message of 5 MiB", &varint(5 << 20), &["oversized"]).await;
    attack.send("a message of 2^64 - 1 bytes", &varint(u64::MAX), refused).await;
    attack.send("a length without an end", &[0xff; 64], &["malformed"]).await;
    attack.send("no protobuf", &framed(&[0xff; 32]), &["malformed"]).await;
    attack.send("a message without required fields", &framed(&[]), &["malformed"]).await;
    attack.send("an answer where a call belongs", &framed(&answer), &["malformed"]).await;

    // Protobufs of the handlers.
    for proto in [PING, STORE, FIND, INFO] {
        attack.call("no protobuf in a call", proto, vec![0xff; 32]).await;
    }
    let unknown = attack.p2pd.call(attack.target, "DHTProtocol.rpc_unknown", vec![]).await;
    assert!(matches!(unknown, Err(CallFailed::Daemon(_))), "{unknown:?}");

    // Records. C0: a plain value; empty: a whole dictionary.
    let (nil, good) = (&[0xc0][..], &[0xa4, b'e', b'v', b'i', b'l'][..]);
    let later = unix_time(&attack).await + LATER;
    for key in [&[][..], &[1; 3], &[1; 19], &[1; 21], &[1; 34]] {
        attack.store("a key that is not 20 bytes", row(key, nil, good, later)).await;
    }
    for expiration in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e300] {
        attack.store("an expiration that is none", row(&plain, nil, good, expiration)).await;
        attack.store("an expiration that is none", row(&entries, &[0xa1, b'x'], good, expiration)).await;
    }
    let deep = vec![0x91; 100_000]; // arrays in arrays
    for subkey in [&[0xc1][..], &[0xa5, b'x'], &[0xdd, 0xff, 0xff, 0xff, 0xff], &deep] {
        attack.store("a subkey that is no msgpack", row(&entries, subkey, good, later)).await;
    }
    for content in [&[][..], &[0xc1], &[0x93, 0xc0, 0xc0, 0xc0], &[0xdd, 0xff, 0xff, 0xff, 0xff], &deep] {
        attack.store("a dictionary that is none", row(&entries, &[], &dictionary(content), later)).await;
        attack.store("a dictionary without its extension", row(&entries, &[], content, later)).await;
    }
    let mut uneven = row(&plain, nil, good, later);
    uneven.keys.push(entries.clone());
    attack.store("arrays of different lengths", uneven).await;

    // Below the streams: bytes that are no libp2p at all.
    let port = attack.petald.dialable()[0].iter().find_map(|part| match part {
        libp2p::multiaddr::Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    let mut tcp = TcpStream::connect(("127.0.0.1", port.unwrap())).await.unwrap();
    tcp.write_all(&[0xff; 4096]).await.unwrap();
    let _ = within(REFUSAL_LIMIT, "the connection ends", tcp.read_to_end(&mut Vec::new())).await;

    // It still answers, from the same actors, what it answered before.
    let Attack { p2pd, mut petald, target } = attack;
    p2pd.call(target, INFO, vec![]).await.expect("the attacker is answered as anyone");
    assert!(petald.is_running());
    for actor in petald.node().await.unwrap()["actors"].as_array().unwrap() {
        assert_eq!(actor["restarts"].as_u64(), Some(0), "{actor}");
    }
    swarm.start(&["second"], &petald.addresses).await;
    assert_eq!(swarm.get("second", "plain").await["value"], json!("good"));
    let found = swarm.get("second", "dictionary").await;
    let found = found["value"]["dict"].as_array().unwrap_or_else(|| panic!("no dictionary: {found}"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!((&found[0][0], &found[0][1]["value"]), (&json!("entry"), &json!("good")));
}

/// petald's clock, as its answer to a ping tells it (PingResponse, field 4).
async fn unix_time(attack: &Attack) -> f64 {
    #[derive(Clone, PartialEq, Message)]
    struct PingResponse {
        #[prost(double, tag = "4")]
        dht_time: f64,
    }
    let answer = attack.p2pd.call(attack.target, PING, vec![]).await.unwrap();
    PingResponse::decode(answer.as_slice()).unwrap().dht_time
}
