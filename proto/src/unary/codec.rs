//! The bytes of a unary message. Source: `schema/p2pd.proto` and go-libp2p-daemon
//! `persistent_stream.go`; held against bytes of running peers in the tests.
//!
//! Written and read by hand, so that the application message, up to 4 MiB, is copied once when it is
//! written, and is read out of the buffer in which it came.

use std::ops::Range;

use libp2p::PeerId;
use prost::encoding::{WireType, decode_varint, encode_varint, encoded_len_varint};

/// A UUID, with which p2pd tells the calls of its own clients apart.
pub(super) const CALL_ID_BYTES: usize = 16;

pub(super) type CallId = [u8; CALL_ID_BYTES];

/// Field numbers of `PersistentConnectionRequest` and of the messages within.
mod tag {
    pub(super) const CALL_ID: u32 = 1;
    pub(super) const CALL: u32 = 3;
    pub(super) const CALL_PEER: u32 = 1;
    pub(super) const CALL_PROTO: u32 = 2;
    pub(super) const CALL_DATA: u32 = 3;
    pub(super) const ANSWER: u32 = 4;
    pub(super) const ANSWER_RESPONSE: u32 = 1;
    pub(super) const ANSWER_ERROR: u32 = 2;
    pub(super) const CANCEL: u32 = 5;
}

/// All fields in use have numbers below 16, so a key has one byte.
fn put_field(out: &mut Vec<u8>, tag: u32, content: &[u8]) {
    put_head(out, tag, content.len());
    out.extend_from_slice(content);
}

fn put_head(out: &mut Vec<u8>, tag: u32, length: usize) {
    out.push((tag << 3) as u8 | WireType::LengthDelimited as u8);
    encode_varint(length as u64, out);
}

fn field_bytes(length: usize) -> usize {
    1 + encoded_len_varint(length as u64) + length
}

/// The size of a call's message, its length prefix not counted.
pub(super) fn call_bytes(peer: &[u8], handler: &str, data: usize) -> usize {
    let call = field_bytes(peer.len()) + field_bytes(handler.len()) + field_bytes(data);
    field_bytes(CALL_ID_BYTES) + field_bytes(call)
}

/// A call, ready for the stream. Every field is written, since Go refuses a message that lacks one.
pub(super) fn encode_call(id: &CallId, peer: &PeerId, handler: &str, data: &[u8]) -> Vec<u8> {
    let peer = peer.to_bytes();
    let call = field_bytes(peer.len()) + field_bytes(handler.len()) + field_bytes(data.len());
    let mut out = framed(call_bytes(&peer, handler, data.len()));
    put_field(&mut out, tag::CALL_ID, id);
    put_head(&mut out, tag::CALL, call);
    put_field(&mut out, tag::CALL_PEER, &peer);
    put_field(&mut out, tag::CALL_PROTO, handler.as_bytes());
    put_field(&mut out, tag::CALL_DATA, data);
    out
}

/// The size of an answer's message, its length prefix not counted.
pub(super) fn answer_bytes(content: usize) -> usize {
    field_bytes(CALL_ID_BYTES) + field_bytes(field_bytes(content))
}

/// An answer, ready for the stream.
pub(super) fn encode_answer(id: &CallId, result: Result<&[u8], &str>) -> Vec<u8> {
    let (tag, content) = match result {
        Ok(response) => (tag::ANSWER_RESPONSE, response),
        Err(error) => (tag::ANSWER_ERROR, error.as_bytes()),
    };
    let mut out = framed(answer_bytes(content.len()));
    put_field(&mut out, tag::CALL_ID, id);
    put_head(&mut out, tag::ANSWER, field_bytes(content.len()));
    put_field(&mut out, tag, content);
    out
}

fn framed(body: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded_len_varint(body as u64) + body);
    encode_varint(body as u64, &mut out);
    out
}

/// Why a message was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("not a protobuf message")]
    Protobuf,
    #[error("a field is there twice")]
    Repeated,
    #[error("callId is not 16 bytes")]
    CallId,
    #[error("a required field is missing")]
    Missing,
}

/// Where the parts of a message lie in its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) id: CallId,
    pub(super) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Content {
    Call {
        peer: Range<usize>,
        handler: Range<usize>,
        data: Range<usize>,
    },
    Response(Range<usize>),
    Error(Range<usize>),
    Cancel,
    /// A message of a later version.
    None,
}

/// Finds the parts of the message `body`. Unknown fields are skipped.
pub(super) fn parse(body: &[u8]) -> Result<Parsed, Malformed> {
    let [id, call, answer, cancel] =
        fields(body, 0..body.len(), [tag::CALL_ID, tag::CALL, tag::ANSWER, tag::CANCEL])?;
    let id = id.ok_or(Malformed::Missing)?;
    let id = body[id].try_into().map_err(|_| Malformed::CallId)?;
    let content = match (call, answer, cancel) {
        (Some(call), None, None) => {
            let [peer, handler, data] =
                fields(body, call, [tag::CALL_PEER, tag::CALL_PROTO, tag::CALL_DATA])?;
            let (Some(peer), Some(handler), Some(data)) = (peer, handler, data) else {
                return Err(Malformed::Missing);
            };
            std::str::from_utf8(&body[handler.clone()]).map_err(|_| Malformed::Protobuf)?;
            Content::Call { peer, handler, data }
        }
        (None, Some(answer), None) => {
            match fields(body, answer, [tag::ANSWER_RESPONSE, tag::ANSWER_ERROR])? {
                [Some(response), None] => Content::Response(response),
                [None, Some(error)] => Content::Error(error),
                [None, None] => return Err(Malformed::Missing),
                [Some(_), Some(_)] => return Err(Malformed::Repeated),
            }
        }
        (None, None, Some(cancel)) => {
            fields(body, cancel, [])?;
            Content::Cancel
        }
        (None, None, None) => Content::None,
        _ => return Err(Malformed::Repeated),
    };
    Ok(Parsed { id, content })
}

/// The call id of a message of which perhaps only the beginning is there. All peers write it first.
pub(super) fn peek_id(beginning: &[u8]) -> Option<CallId> {
    let rest = beginning.strip_prefix(&[(tag::CALL_ID << 3) as u8 | 2, CALL_ID_BYTES as u8])?;
    rest.first_chunk().copied()
}

/// Where the length-delimited fields of the numbers `wanted` lie within `range` of `body`.
fn fields<const N: usize>(
    body: &[u8],
    range: Range<usize>,
    wanted: [u32; N],
) -> Result<[Option<Range<usize>>; N], Malformed> {
    let mut found = [const { None }; N];
    let end = range.end;
    let mut rest = &body[range];
    while !rest.is_empty() {
        let key = decode_varint(&mut rest).map_err(|_| Malformed::Protobuf)?;
        let number = u32::try_from(key >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or(Malformed::Protobuf)?;
        let slot = wanted.iter().position(|tag| *tag == number);
        let length = match (key & 7, slot) {
            (2, _) => decode_varint(&mut rest).map_err(|_| Malformed::Protobuf)?,
            // A known field of another type than its own.
            (_, Some(_)) => return Err(Malformed::Protobuf),
            (0, None) => {
                decode_varint(&mut rest).map_err(|_| Malformed::Protobuf)?;
                0
            }
            (1, None) => 8,
            (5, None) => 4,
            // Groups are not in use, and would nest.
            _ => return Err(Malformed::Protobuf),
        };
        let length = usize::try_from(length).map_err(|_| Malformed::Protobuf)?;
        let start = end - rest.len();
        rest = rest.get(length..).ok_or(Malformed::Protobuf)?;
        if let Some(slot) = slot
            && found[slot].replace(start..start + length).is_some()
        {
            return Err(Malformed::Repeated);
        }
    }
    Ok(found)
}

/// Cuts `body` down to `part`, within the same allocation.
pub(super) fn keep(mut body: Vec<u8>, part: Range<usize>) -> Vec<u8> {
    body.truncate(part.end);
    body.drain(..part.start);
    body
}
