//! The codec against the bytes of running peers (`tests/vectors/stream_bytes.json`, recorded from
//! hivemind 1.1.12 and a Petals server) and against prost.

use libp2p::PeerId;
use proptest::prelude::*;
use prost::Message;

use super::super::{
    codec::{self, Content, Malformed, encode_answer, encode_call, keep, parse, peek_id},
    frame_reader::{FrameReader, ReadError},
};
use crate::messages::p2pd;

const LIMIT: usize = 4 * 1024 * 1024;

fn unframe(bytes: &[u8]) -> Vec<u8> {
    futures::executor::block_on(read(bytes, LIMIT)).expect("one whole frame")
}

async fn read(mut bytes: &[u8], limit: usize) -> Result<Vec<u8>, ReadError> {
    let mut reader = FrameReader::new(limit, None);
    std::future::poll_fn(|cx| reader.poll_read(&mut bytes, cx)).await
}

#[test]
fn recorded_calls_are_read_and_written_alike() {
    let text = include_str!("../../../tests/vectors/stream_bytes.json");
    let recorded: serde_json::Value = serde_json::from_str(text).unwrap();
    let bytes =
        |call: &serde_json::Value, key: &str| call[key].as_str().map(|text| hex::decode(text).unwrap());
    let mut seen = (0, 0, 0);
    for call in recorded["unary_calls"].as_array().unwrap() {
        let Some(sent) = bytes(call, "stream_sent_hex") else { continue };
        let received = bytes(call, "stream_received_hex").unwrap();

        let body = unframe(&sent);
        let parsed = parse(&body).unwrap();
        let Content::Call { peer, handler, data } = parsed.content else { panic!("{parsed:?}") };
        assert_eq!(peek_id(&body), Some(parsed.id));
        let peer = PeerId::from_bytes(&body[peer]).unwrap();
        let handler = std::str::from_utf8(&body[handler]).unwrap().to_owned();
        assert_eq!(handler, call["protocol"].as_str().unwrap());
        let data = keep(body, data);
        assert_eq!(data, bytes(call, "message_hex").unwrap());
        assert_eq!(hex::encode(encode_call(&parsed.id, &peer, &handler, &data)), hex::encode(&sent));
        assert_eq!(codec::call_bytes(&peer.to_bytes(), &handler, data.len()), unframe(&sent).len());

        let body = unframe(&received);
        let answer = parse(&body).unwrap();
        assert_eq!(answer.id, parsed.id);
        let again = match answer.content {
            Content::Response(response) => {
                let response = keep(body, response);
                assert_eq!(Some(&response), bytes(call, "response_hex").as_ref());
                assert_eq!(codec::answer_bytes(response.len()), unframe(&received).len());
                seen.1 += 1;
                encode_answer(&answer.id, Ok(&response))
            }
            Content::Error(error) => {
                let error = String::from_utf8(keep(body, error)).unwrap();
                assert_eq!(error, call["remote_error"].as_str().unwrap());
                seen.2 += 1;
                encode_answer(&answer.id, Err(&error))
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(hex::encode(again), hex::encode(&received));
        seen.0 += 1;
    }
    assert_eq!(seen, (5, 4, 1), "calls, responses, errors");
}

#[test]
fn required_fields_are_written_even_when_empty() {
    let peer = PeerId::random();
    let framed = encode_call(&[7; 16], &peer, "h", b"");
    let call = p2pd::PersistentConnectionRequest::decode_length_delimited(&framed[..]).unwrap();
    assert!(framed.ends_with(&[0x1a, 0]), "data is written");
    assert_eq!(call.call_id, [7; 16]);
    assert_eq!(parse(&unframe(&framed)[..18]).map(|parsed| parsed.content), Ok(Content::None));
}

#[test]
fn what_is_no_message_is_refused() {
    let id: &[u8] = &[&[0x0a, 16][..], &[1; 16]].concat();
    let cases: [(Vec<u8>, Malformed); 9] = [
        (vec![], Malformed::Missing),
        (vec![0xff; 40], Malformed::Protobuf),
        (id[..10].to_vec(), Malformed::Protobuf),
        ([&[0x0a, 2], &[1; 2][..]].concat(), Malformed::CallId),
        ([id, id].concat(), Malformed::Repeated),
        // A call without its fields, and a call and an answer at once.
        ([id, &[0x1a, 0]].concat(), Malformed::Missing),
        ([id, &[0x1a, 6, 0x0a, 0, 0x12, 0, 0x1a, 0], &[0x2a, 0]].concat(), Malformed::Repeated),
        // callId as a number; a group.
        (vec![0x08, 1], Malformed::Protobuf),
        ([id, &[0x3b, 0x3c]].concat(), Malformed::Protobuf),
    ];
    for (body, error) in cases {
        assert_eq!(parse(&body), Err(error), "{}", hex::encode(&body));
    }
}

proptest! {
    #[test]
    fn prost_reads_what_we_write(id: [u8; 16], handler in "[a-zA-Z.:_]{1,80}", data: Vec<u8>, error: String) {
        use p2pd::{call_unary_response::Result as Answer, persistent_connection_request::Message as Kind};
        let peer = PeerId::random();
        let call = encode_call(&id, &peer, &handler, &data);
        let expected = Kind::CallUnary(p2pd::CallUnaryRequest {
            peer: peer.to_bytes(),
            proto: handler,
            data: data.clone(),
        });
        let expected = p2pd::PersistentConnectionRequest { call_id: id.to_vec(), message: Some(expected) };
        prop_assert_eq!(hex::encode(call), hex::encode(expected.encode_length_delimited_to_vec()));
        for (result, content) in [
            (Ok(&data[..]), Answer::Response(data.clone())),
            (Err(&error[..]), Answer::Error(error.clone().into_bytes())),
        ] {
            let answer = encode_answer(&id, result);
            let expected = Kind::UnaryResponse(p2pd::CallUnaryResponse { result: Some(content) });
            let expected = p2pd::PersistentConnectionRequest { call_id: id.to_vec(), message: Some(expected) };
            prop_assert_eq!(hex::encode(answer), hex::encode(expected.encode_length_delimited_to_vec()));
        }
    }

    /// Whatever we understand, prost understands alike.
    #[test]
    fn prost_agrees_on_damaged_messages(id: [u8; 16], data: Vec<u8>, at: prop::sample::Index, byte: u8) {
        let mut body = unframe(&encode_call(&id, &PeerId::random(), "DHTProtocol.rpc_ping", &data));
        let at = at.index(body.len());
        body[at] = byte;
        if let Ok(parsed) = parse(&body) {
            let other = p2pd::PersistentConnectionRequest::decode(&body[..]).unwrap();
            prop_assert_eq!(&other.call_id[..], &parsed.id[..]);
            if let Content::Call { data, .. } = parsed.content {
                let Some(p2pd::persistent_connection_request::Message::CallUnary(call)) = other.message else {
                    panic!("{other:?}");
                };
                prop_assert_eq!(&call.data, &body[data]);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), limit in 0_usize..100) {
        if let Ok(body) = futures::executor::block_on(read(&bytes, limit)) {
            prop_assert!(body.len() <= limit);
            let _ = parse(&body);
        }
    }
}
