//! Every function here over bytes at random, and over recorded messages that were spoilt.

use std::sync::LazyLock;

use proptest::{collection::vec, prelude::*, sample::Index};

/// Everything that was recorded in hex (`tests/vectors`), and some text.
static RECORDED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let mut recorded = vec![b"model.12".to_vec(), b"0:8".to_vec()];
    for file in [
        include_str!("../../tests/vectors/vectors.json"),
        include_str!("../../tests/vectors/vectors_server_lifecycle.json"),
        include_str!("../../tests/vectors/stream_bytes.json"),
        include_str!("../../tests/vectors/rpc_info.json"),
    ] {
        let texts = file.split('"').filter(|text| text.len() >= 2);
        recorded.extend(texts.filter_map(|text| hex::decode(text).ok()));
    }
    assert!(recorded.len() > 200, "only {} messages", recorded.len());
    recorded
});

fn all(bytes: &[u8]) {
    super::handshake(bytes);
    super::arrival(bytes);
    super::unary_message(bytes);
    super::unary_stream(bytes);
    super::stream_frames(bytes);
    super::requests(bytes);
    super::answers(bytes);
    super::values(bytes);
    super::records(bytes);
    super::node(bytes);
}

#[test]
fn what_was_recorded_is_judged() {
    for bytes in RECORDED.iter() {
        all(bytes);
        for count in [0, 1, 2, 3] {
            super::answers(&[&[count], &bytes[..]].concat());
        }
    }
}

#[test]
fn a_node_answers_what_was_recorded() {
    let mut steps = Vec::new();
    for (number, bytes) in RECORDED.iter().enumerate() {
        let [high, low] = (bytes.len() as u16).to_be_bytes();
        steps.extend([(number % 8) as u8, (number % 5) as u8, high, low]);
        steps.extend(bytes);
    }
    super::node(&steps);
}

proptest! {
    #[test]
    fn whatever_comes(bytes in vec(any::<u8>(), 0..400)) {
        all(&bytes);
    }

    #[test]
    fn what_was_spoilt(
        which: Index,
        prefix in vec(any::<u8>(), 0..2),
        changes in vec((any::<Index>(), any::<u8>()), 0..8),
        end: Index,
    ) {
        let mut bytes = [prefix, which.get(&RECORDED).clone()].concat();
        for (place, byte) in changes {
            if !bytes.is_empty() {
                *place.get_mut(&mut bytes) = byte;
            }
        }
        all(&bytes);
        all(&bytes[..end.index(bytes.len() + 1)]);
    }

    #[test]
    fn a_handshake_with_frames(role: u8, frames in vec(0..8usize, 0..6), data in vec(any::<u8>(), 0..40)) {
        let known: [&[u8]; 8] = [
            b"\x13/multistream/1.0.0\n", b"\x03na\n", b"\x03ls\n", b"\x16DHTProtocol.rpc_ping\n", b"\x02a\n",
            b"\x0f/ipfs/id/1.0.0\n", b"\x82\x00a\n", b"\x0c/bare/other\n",
        ];
        let frames: Vec<u8> = frames.into_iter().flat_map(|index| known[index]).copied().collect();
        super::handshake(&[&[role][..], &frames, &data].concat());
        super::arrival(&[&frames, &data[..]].concat());
    }
}
