//! Frames of streaming calls (`rpc_inference`, `rpc_forward_stream`, …).
//!
//! Source: hivemind/p2p/p2p_daemon.py, `send_protobuf` and `receive_protobuf`. A frame is a marker of
//! one byte, the length of what follows as 8 bytes, big-endian, then a protobuf. The marker comes
//! first. The caller ends its side with an [`RpcError`] frame whose message is empty.

use crate::messages::p2pd::RpcError;
use prost::Message;

const MESSAGE: u8 = 0;
const ERROR: u8 = 1;

/// Bytes before the protobuf: the marker and the length.
const HEAD_BYTES: usize = 1 + size_of::<u64>();

/// What one frame carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A serialized application message.
    Message(Vec<u8>),
    /// The end of the caller's side if the text is empty, a failure otherwise.
    Error(String),
}

/// Why bytes are no frame. After one of these the stream cannot be read on: close it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Neither a message nor an error.
    #[error("unknown frame marker {0:#04x}")]
    Marker(u8),
    /// Longer than the reader allows.
    #[error("frame of {bytes} bytes, more than {limit}")]
    TooLarge {
        /// What the sender announced.
        bytes: u64,
        /// What the reader allows.
        limit: usize,
    },
    /// An error frame without a valid `RPCError`.
    #[error("malformed RPCError: {0}")]
    Protobuf(String),
}

impl Frame {
    /// The frame's bytes as they lie on the stream.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Frame::Message(message) => with_head(MESSAGE, message),
            Frame::Error(text) => {
                // The field is written even when empty, as Python writes a field that was set.
                with_head(ERROR, &RpcError { message: Some(text.clone()) }.encode_to_vec())
            }
        }
    }

    /// Takes one frame from the beginning of `bytes`: the frame, and how many bytes it had. `None` as
    /// long as it is incomplete. A frame over `limit` bytes is refused by its length alone, so a
    /// reader never needs to hold more than `limit` bytes and a head.
    pub fn decode(bytes: &[u8], limit: usize) -> Result<Option<(Frame, usize)>, FrameError> {
        let Some((&marker, rest)) = bytes.split_first() else { return Ok(None) };
        if marker != MESSAGE && marker != ERROR {
            return Err(FrameError::Marker(marker));
        }
        let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let length = u64::from_be_bytes(*length);
        let body = usize::try_from(length).ok().filter(|body| *body <= limit);
        let body = body.ok_or(FrameError::TooLarge { bytes: length, limit })?;
        let Some(content) = rest.get(..body) else { return Ok(None) };
        let frame = match marker {
            MESSAGE => Frame::Message(content.to_vec()),
            _ => {
                let error = RpcError::decode(content).map_err(|e| FrameError::Protobuf(e.to_string()))?;
                Frame::Error(error.message.unwrap_or_default())
            }
        };
        Ok(Some((frame, HEAD_BYTES + body)))
    }
}

fn with_head(marker: u8, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD_BYTES + body.len());
    out.push(marker);
    out.extend_from_slice(&(body.len() as u64).to_be_bytes());
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: usize = 1000;

    /// Written out from `send_protobuf` and `send_raw_data` of hivemind 1.1.12.
    #[test]
    fn frames_have_the_bytes_of_python() {
        let message = hex::decode("00000000000000000a0a0f74696e792d6c6c61").unwrap();
        let content = hex::decode("0a0f74696e792d6c6c61").unwrap();
        assert_eq!(Frame::Message(content.clone()).encode(), message);
        assert_eq!(Frame::decode(&message, LIMIT), Ok(Some((Frame::Message(content), message.len()))));

        let end = hex::decode("0100000000000000020a00").unwrap();
        assert_eq!(Frame::Error(String::new()).encode(), end);
        let bare_end = hex::decode("010000000000000000").unwrap();
        for end in [end, bare_end] {
            assert_eq!(Frame::decode(&end, LIMIT), Ok(Some((Frame::Error(String::new()), end.len()))));
        }
    }

    #[test]
    fn an_incomplete_frame_waits() {
        let bytes = Frame::Error("no such block".into()).encode();
        for end in 0..bytes.len() {
            assert_eq!(Frame::decode(&bytes[..end], LIMIT), Ok(None), "{end} bytes");
        }
        let two = [bytes.clone(), bytes.clone()].concat();
        assert_eq!(Frame::decode(&two, LIMIT).unwrap().unwrap().1, bytes.len());
    }

    #[test]
    fn bad_frames_are_refused_early() {
        assert_eq!(Frame::decode(&[2], LIMIT), Err(FrameError::Marker(2)));
        let head = [&[MESSAGE][..], &1001_u64.to_be_bytes()].concat();
        assert_eq!(Frame::decode(&head, LIMIT), Err(FrameError::TooLarge { bytes: 1001, limit: LIMIT }));
        let head = [&[MESSAGE][..], &u64::MAX.to_be_bytes()].concat();
        assert_eq!(Frame::decode(&head, LIMIT), Err(FrameError::TooLarge { bytes: u64::MAX, limit: LIMIT }));
        let body = [&[ERROR][..], &2_u64.to_be_bytes(), &[0xff, 0xff]].concat();
        assert!(matches!(Frame::decode(&body, LIMIT), Err(FrameError::Protobuf(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(Some((_, taken))) = Frame::decode(&bytes, LIMIT) {
                prop_assert!(taken <= bytes.len());
            }
        }
    }
}
