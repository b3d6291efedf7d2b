//! What must hold of each parser, whatever comes. A fuzz target runs one of these functions on bytes that it chooses
//! (`fuzz/`), and a property test runs the same one on random bytes and on recorded messages that were spoilt. Each
//! panics when its parser is wrong.

mod arrival;
mod calls;
mod handshake;
mod node;
pub(crate) mod remote;
#[cfg(test)]
mod tests;

pub use crate::unary::fuzzing::{unary_message, unary_stream};
pub use arrival::arrival;
pub use calls::{answers, requests};
pub use handshake::handshake;
pub use node::node;

use crate::{
    dht::{Subkey, Tag, dictionary},
    msgpack::{self, skip_value},
    records::{BlockRange, BlockUid, DhtPrefix, ModelInfo, RpcInfo, ServerInfo},
    stream_frame::Frame,
};

/// The largest message that a reader of streams here lets through, in bytes.
const LARGEST_FRAME: usize = 1 << 16;

/// Entries that a reader of dictionaries here lets through.
const ENTRIES: usize = 64;

/// Frames of a streaming call: none is longer than what came or than the bound, and each is read again as it is
/// written.
pub fn stream_frames(mut bytes: &[u8]) {
    while let Ok(Some((frame, taken))) = Frame::decode(bytes, LARGEST_FRAME) {
        assert!(taken <= bytes.len());
        let again = frame.encode();
        assert_eq!(Frame::decode(&again, 2 * LARGEST_FRAME), Ok(Some((frame, again.len()))));
        bytes = &bytes[taken..];
    }
}

/// msgpack: the walk and the reader agree where a value ends, and what was read is written in a form that is read
/// alike. So do the readers of subkeys, tags and dictionaries, which accept less.
pub fn values(bytes: &[u8]) {
    let whole = skip_value(bytes).map(|rest| &bytes[..bytes.len() - rest.len()]);
    if let Ok(whole) = whole {
        assert!(!whole.is_empty() && skip_value(whole) == Ok(&[]));
    }
    if let Ok(value) = msgpack::decode(bytes) {
        assert_eq!(whole, Ok(bytes));
        let shortest = msgpack::encode(&value);
        assert!(shortest.len() <= bytes.len());
        assert_eq!(msgpack::decode(&shortest).map(|value| msgpack::encode(&value)), Ok(shortest));
        let _ = msgpack::sequence(&value);
    }
    if let Ok(subkey) = Subkey::decode(bytes) {
        assert_eq!(Subkey::decode(subkey.as_bytes()), Ok(subkey));
    }
    if let Ok(tag) = Tag::decode(bytes) {
        assert_eq!(Tag::decode(&tag.encode()), Ok(tag));
    }
    if let Ok(items) = dictionary::decode(bytes, ENTRIES) {
        assert!(items.len() <= ENTRIES);
        let written = items.iter().map(|item| (&item.subkey, item.value, item.expiration));
        let again = dictionary::encode(0.0, written);
        assert_eq!(dictionary::decode(&again, ENTRIES).map(|items| items.len()), Ok(items.len()));
    }
}

/// Records of servers and models, and the names in them: what is accepted can be written, and is read alike.
pub fn records(bytes: &[u8]) {
    if let Ok(server) = ServerInfo::decode(bytes) {
        let again = server.encode();
        assert_eq!(ServerInfo::decode(&again).map(|server| server.encode()), Ok(again));
        assert!(server.blocks.len() > 0 && server.throughput.get().is_finite());
    }
    if let Ok(model) = ModelInfo::decode(bytes) {
        assert!(model.num_blocks() > 0);
        assert_eq!(ModelInfo::decode(&model.encode()), Ok(model));
    }
    let _ = RpcInfo::decode_common(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(uid) = text.parse::<BlockUid>() {
        assert_eq!(uid.to_string(), text);
        assert_eq!(uid.prefix().as_str().parse::<DhtPrefix>().as_ref(), Ok(uid.prefix()));
    }
    if let Ok(range) = text.parse::<BlockRange>() {
        assert!(range.start() < range.end());
        assert_eq!(range.to_string().parse(), Ok(range));
    }
}
