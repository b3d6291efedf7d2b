//! The answer to a find in its wire form, written straight into one buffer: values may take megabytes, and each answer
//! names twenty neighbours. Every byte is what the schema's message would be (`schema/dht.proto`, `FindResponse`).

use libp2p::PeerId;
use prost::encoding::{WireType, encode_varint, encoded_len_varint};

use super::{Contact, DhtId, FindResult, FoundValue, id::ID_BYTES};
use crate::messages::hivemind as pb;

/// Field numbers of `FindResponse`, and of `FindResult` within it.
mod tag {
    pub(super) const RESULTS: u32 = 2;
    pub(super) const PEER: u32 = 3;
    pub(super) const TYPE: u32 = 1;
    pub(super) const VALUE: u32 = 2;
    pub(super) const EXPIRATION: u32 = 3;
    pub(super) const NODE_IDS: u32 = 4;
    pub(super) const PEER_IDS: u32 = 5;
}

/// All fields have numbers below 16, so a key has one byte.
fn key(out: &mut Vec<u8>, tag: u32, wire_type: WireType) {
    out.push((tag << 3) as u8 | wire_type as u8);
}

fn head(out: &mut Vec<u8>, tag: u32, length: usize) {
    key(out, tag, WireType::LengthDelimited);
    encode_varint(length as u64, out);
}

fn field_bytes(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

/// What a result has beside its neighbours: its type, its value and its expiration.
fn parts(result: &FindResult) -> (pb::ResultType, &[u8], f64) {
    match &result.value {
        None => (pb::ResultType::NotFound, &[], 0.0),
        Some(FoundValue::Plain(value, expiration)) => (pb::ResultType::FoundRegular, value, *expiration),
        Some(FoundValue::Dictionary(value, expiration)) => {
            (pb::ResultType::FoundDictionary, value, *expiration)
        }
    }
}

fn peer_bytes(peer: &PeerId) -> usize {
    peer.as_ref().encoded_len()
}

fn result_bytes(result: &FindResult) -> usize {
    let (kind, value, expiration) = parts(result);
    let kind = if kind == pb::ResultType::NotFound { 0 } else { 2 };
    let value = if value.is_empty() { 0 } else { field_bytes(value.len()) };
    let expiration = if expiration == 0.0 { 0 } else { 9 };
    let neighbour = |contact: &Contact| field_bytes(ID_BYTES) + field_bytes(peer_bytes(&contact.peer));
    kind + value + expiration + result.neighbours.iter().map(neighbour).sum::<usize>()
}

/// Writes the answer. Fields that have their default are left out, as everybody does in proto3.
pub(super) fn encode(sender: Option<DhtId>, results: &[FindResult]) -> Vec<u8> {
    let sizes: Vec<usize> = results.iter().map(result_bytes).collect();
    let sender_bytes = sender.map_or(0, |_| field_bytes(ID_BYTES));
    let bytes = sizes.iter().map(|size| field_bytes(*size)).sum::<usize>() + field_bytes(sender_bytes);
    let mut out = Vec::with_capacity(bytes);
    for (result, size) in results.iter().zip(sizes) {
        head(&mut out, tag::RESULTS, size);
        let (kind, value, expiration) = parts(result);
        if kind != pb::ResultType::NotFound {
            key(&mut out, tag::TYPE, WireType::Varint);
            out.push(kind as u8);
        }
        if !value.is_empty() {
            head(&mut out, tag::VALUE, value.len());
            out.extend_from_slice(value);
        }
        if expiration != 0.0 {
            key(&mut out, tag::EXPIRATION, WireType::SixtyFourBit);
            out.extend_from_slice(&expiration.to_le_bytes());
        }
        for contact in &result.neighbours {
            head(&mut out, tag::NODE_IDS, ID_BYTES);
            out.extend_from_slice(contact.id.as_bytes());
        }
        for contact in &result.neighbours {
            head(&mut out, tag::PEER_IDS, peer_bytes(&contact.peer));
            put_peer(&mut out, &contact.peer);
        }
    }
    head(&mut out, tag::PEER, sender_bytes);
    if let Some(sender) = sender {
        head(&mut out, 1, ID_BYTES);
        out.extend_from_slice(sender.as_bytes());
    }
    debug_assert_eq!(out.len(), bytes);
    out
}

/// A peer id is a multihash: code, length, digest.
fn put_peer(out: &mut Vec<u8>, peer: &PeerId) {
    let hash = peer.as_ref();
    encode_varint(hash.code(), out);
    encode_varint(u64::from(hash.size()), out);
    out.extend_from_slice(hash.digest());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn result() -> impl Strategy<Value = FindResult> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..300);
        let expiration = || prop_oneof![Just(0.0), Just(-0.0), any::<f64>()];
        let value = prop_oneof![
            Just(None),
            (bytes(), expiration()).prop_map(|(value, at)| Some(FoundValue::Plain(value, at))),
            (bytes(), expiration()).prop_map(|(value, at)| Some(FoundValue::Dictionary(value, at))),
        ];
        (value, any::<u64>(), 0..25usize, any::<bool>()).prop_map(|(value, seed, count, rsa)| {
            let contact = |n: usize| {
                let id = DhtId::of_bytes(&(seed ^ n as u64).to_be_bytes());
                let identity = [&[0, 36][..], id.as_bytes(), &id.as_bytes()[..16]].concat();
                let peer = if rsa { PeerId::random() } else { PeerId::from_bytes(&identity).unwrap() };
                Contact { id, peer }
            };
            FindResult { value, neighbours: (0..count).map(contact).collect() }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_byte_is_what_the_schema_says(results in prop::collection::vec(result(), 0..6), listed in any::<bool>()) {
            let sender = listed.then_some(DhtId::of_bytes(b"sender"));
            let message = pb::FindResponse {
                auth: None,
                results: results.iter().map(|result| {
                    let (kind, value, expiration_time) = parts(result);
                    pb::FindResult {
                        r#type: kind.into(),
                        value: value.to_vec(),
                        expiration_time,
                        nearest_node_ids: result.neighbours.iter().map(|c| c.id.as_bytes().to_vec()).collect(),
                        nearest_peer_ids: result.neighbours.iter().map(|c| c.peer.to_bytes()).collect(),
                    }
                }).collect(),
                peer: Some(pb::NodeInfo { node_id: sender.map(|id| id.as_bytes().to_vec()).unwrap_or_default() }),
            };
            prop_assert_eq!(encode(sender, &results), message.encode_to_vec());
        }
    }
}
