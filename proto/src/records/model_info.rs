//! The entry of a model in the swarm's index: key `_petals.models`, subkey the dht_prefix
//! (`petals/server/server.py`, `petals/data_structures.py` `ModelInfo`).

use serde::Serialize;

use super::RecordError;
use crate::msgpack::{self, Value};

/// The DHT key of the index of models.
pub const MODEL_INDEX_KEY: &str = "_petals.models";

/// A model as the index shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelInfo {
    num_blocks: u32,
    repository: Option<String>,
}

impl ModelInfo {
    /// A model of `num_blocks` blocks. The health monitor lists it only if `repository` begins with
    /// `https://huggingface.co/`.
    pub fn new(num_blocks: u32, repository: Option<String>) -> Result<Self, RecordError> {
        if num_blocks == 0 {
            return Err(RecordError::NoBlocks);
        }
        Ok(Self { num_blocks, repository })
    }

    /// How many blocks the whole model has.
    pub fn num_blocks(&self) -> u32 {
        self.num_blocks
    }

    /// Where the model's weights are published.
    pub fn repository(&self) -> Option<&str> {
        self.repository.as_deref()
    }

    /// The record's bytes: a msgpack map, since a reader takes an array for a hidden model.
    pub fn encode(&self) -> Vec<u8> {
        #[expect(clippy::expect_used, reason = "a number and a string always have a msgpack form")]
        rmp_serde::to_vec_named(self).expect("both fields can be written")
    }

    /// Reads a record. petals' `ModelInfo.from_dict` knows two fields and raises on a third.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let Value::Map(fields) = msgpack::decode(bytes)? else { return Err(RecordError::Field("a map")) };
        let (mut num_blocks, mut repository) = (None, None);
        for (name, value) in &fields {
            match name.as_str() {
                Some("num_blocks") => num_blocks = value.as_u64().and_then(|n| u32::try_from(n).ok()),
                Some("repository") if value.is_nil() => {}
                Some("repository") => {
                    repository = Some(value.as_str().ok_or(RecordError::Field("repository"))?.to_owned());
                }
                _ => return Err(RecordError::Field("num_blocks and repository only")),
            }
        }
        Self::new(num_blocks.ok_or(RecordError::Field("num_blocks"))?, repository)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_of_two_fields() {
        let info = ModelInfo::new(8, None).unwrap();
        assert_eq!(ModelInfo::decode(&info.encode()), Ok(info));
        assert_eq!(ModelInfo::new(0, None), Err(RecordError::NoBlocks));
        let array = msgpack::encode(&Value::Array(vec![8.into(), Value::Nil]));
        assert_eq!(ModelInfo::decode(&array), Err(RecordError::Field("a map")));
    }
}
