//! The records of one announcement: the model's entry in the index, and one for each block.

use std::{collections::HashMap, fmt};

use hivemind_proto::{
    dht::{DhtId, Found, FreshValue, Item, Record, Subkey, Tag},
    records::MODEL_INDEX_KEY,
    time::DhtTime,
};
use libp2p::PeerId;
use serde::Serialize;

use crate::server_info::Offer;

/// Which record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub(super) enum RecordName {
    /// The model's entry under `_petals.models`.
    Model,
    /// A block's, by its uid.
    Block(u32, String),
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model => f.write_str(MODEL_INDEX_KEY),
            Self::Block(_, uid) => f.write_str(uid),
        }
    }
}

impl From<RecordName> for String {
    fn from(name: RecordName) -> Self {
        name.to_string()
    }
}

/// A record and what it is.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) name: RecordName,
    pub(super) record: Record,
}

/// All records of `offer`. A private model is not put into the index.
pub(super) fn of(offer: &Offer, own_peer: PeerId, expiration: DhtTime) -> Vec<Named> {
    let model = (!offer.prefix.is_private()).then(|| Named {
        name: RecordName::Model,
        record: Record {
            key: DhtId::of_text(MODEL_INDEX_KEY),
            tag: Tag::Subkey(Subkey::text(offer.prefix.as_str())),
            value: offer.model.encode().into(),
            expiration,
        },
    });
    let subkey = Subkey::text(&own_peer.to_base58());
    let value: std::sync::Arc<[u8]> = offer.server.encode().into();
    let blocks = offer.blocks().map(|uid| Named {
        name: RecordName::Block(uid.index(), uid.to_string()),
        record: Record {
            key: DhtId::of_text(&uid.to_string()),
            tag: Tag::Subkey(subkey.clone()),
            value: value.clone(),
            expiration,
        },
    });
    model.into_iter().chain(blocks).collect()
}

/// What others hold where `record` belongs.
pub(super) fn held<'a>(found: &'a HashMap<DhtId, Found>, record: &Record) -> Option<&'a Item> {
    let found = found.get(&record.key)?;
    match (&record.tag, &found.value) {
        // A plain value in place of the dictionary keeps every subkey out until it expires.
        (_, Some(FreshValue::Plain(item))) => Some(item),
        (Tag::Subkey(subkey), _) => found.subkey(subkey),
        _ => None,
    }
}
