//! What servers announce, as petald writes it.

use std::time::Duration;

use hivemind_proto::{
    dht::{DhtId, Record, Subkey, Tag},
    records::{BlockRange, Rps, ServerInfo, ServerState},
    time::DhtTime,
};
use libp2p::PeerId;

/// The records of a server: one for each of its blocks.
pub(crate) fn of_server(
    peer: &PeerId,
    prefix: &str,
    blocks: std::ops::Range<u32>,
    lives: Duration,
    now: DhtTime,
) -> Vec<Record> {
    let range = BlockRange::new(blocks.start, blocks.end).expect("some blocks");
    let mut info = ServerInfo::new(ServerState::Online, Rps::try_from(123.4).expect("finite"), range);
    info.public_name = Some("a server of the simulation".into());
    info.version = Some("2.2.0.post1".into());
    let value: std::sync::Arc<[u8]> = info.encode().into();
    blocks
        .map(|block| Record {
            key: block_key(prefix, block),
            tag: Tag::Subkey(subkey(peer)),
            value: value.clone(),
            expiration: now + lives,
        })
        .collect()
}

pub(crate) fn block_key(prefix: &str, block: u32) -> DhtId {
    DhtId::of_text(&format!("{prefix}.{block}"))
}

pub(crate) fn subkey(peer: &PeerId) -> Subkey {
    Subkey::text(&peer.to_base58())
}
