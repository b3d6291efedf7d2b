//! What must hold of the one message of a stream, whatever comes: see [`crate::fuzzing`].

use std::future::poll_fn;

use prost::Message;

use super::{
    budget::{Budget, InboundBytes},
    codec::{CALL_ID_BYTES, Content, keep, parse, peek_id},
    frame_reader::FrameReader,
};
use crate::{
    fuzzing::remote::{Remote, finish},
    messages::p2pd::{
        self, call_unary_response::Result as Answer, persistent_connection_request::Message as Kind,
    },
};

/// The largest message, in bytes, and what all of them may hold.
const LIMIT: usize = 16 << 10;

/// A message that we accept is one for prost, too, and says the same there.
pub fn unary_message(body: &[u8]) {
    let Ok(parsed) = parse(body) else { return };
    let Ok(message) = p2pd::PersistentConnectionRequest::decode(body) else {
        panic!("prost refuses what we accept: {parsed:?}")
    };
    assert_eq!(message.call_id, parsed.id);
    assert!(peek_id(body).is_none_or(|id| id.len() == CALL_ID_BYTES));
    let text = |part| keep(body.to_vec(), part);
    match (parsed.content, message.message) {
        (Content::Call { peer, handler, data }, Some(Kind::CallUnary(call))) => {
            assert_eq!(text(peer), call.peer);
            assert_eq!(text(handler), call.proto.as_bytes());
            assert_eq!(text(data), call.data);
        }
        (Content::Response(part), Some(Kind::UnaryResponse(answer))) => {
            assert_eq!(answer.result, Some(Answer::Response(text(part))));
        }
        (Content::Error(part), Some(Kind::UnaryResponse(answer))) => {
            assert_eq!(answer.result, Some(Answer::Error(text(part))));
        }
        (Content::Cancel, Some(Kind::Cancel(_))) | (Content::None, None) => {}
        (ours, theirs) => panic!("{ours:?} is {theirs:?} for prost"),
    }
}

/// A message is read off a stream whole or not at all, and within the budget, however its bytes are split. What was
/// read goes on to [`unary_message`].
pub fn unary_stream(bytes: &[u8]) {
    let (budget, share) = (Budget::default(), Budget::default());
    let bounds = InboundBytes { all: LIMIT, of_peer: LIMIT };
    let mut bodies = [usize::MAX, 1].map(|chunk| {
        let mut remote = Remote { sent: bytes, chunk, told: None };
        let mut reader = FrameReader::new(LIMIT, Some(budget.reserve(&share, bounds)));
        finish(poll_fn(|cx| reader.poll_read(&mut remote, cx))).ok()
    });
    // Bytes after a message are seen only if they come with it.
    if let [Some(whole), Some(split)] = &bodies {
        assert_eq!(whole, split);
    }
    for body in bodies.iter_mut().filter_map(Option::take) {
        assert!(body.len() <= LIMIT && body.len() < bytes.len());
        unary_message(&body);
    }
    assert!(budget.reserve(&share, bounds).grow_to(LIMIT), "a reader kept a part of the budget");
}
