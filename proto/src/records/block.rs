//! Names of models and blocks: `<dht_prefix>.<block>` (`petals/data_structures.py`, `parse_uid`; the prefix may hold
//! neither the delimiter of uids nor the one that chains them).

use std::{fmt, str::FromStr, sync::Arc};

use super::RecordError;

/// Separates the prefix from the block in a uid.
const UID_DELIMITER: char = '.';

/// The name under which a model's blocks are announced, such as `StableBeluga2-hf`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DhtPrefix(Arc<str>);

impl DhtPrefix {
    /// The prefix as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the model is private: such a model is announced block by block, but not in the index of models.
    pub fn is_private(&self) -> bool {
        self.0.starts_with('_')
    }

    /// The uid of block `index`.
    pub fn block(&self, index: u32) -> BlockUid {
        BlockUid { prefix: self.clone(), index }
    }
}

impl FromStr for DhtPrefix {
    type Err = RecordError;

    fn from_str(prefix: &str) -> Result<Self, RecordError> {
        let separates = |c: char| c == UID_DELIMITER || c.is_whitespace() || c.is_control();
        if prefix.is_empty() || prefix.contains(separates) {
            return Err(RecordError::Prefix(prefix.to_owned()));
        }
        Ok(Self(prefix.into()))
    }
}

impl fmt::Display for DhtPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One block of one model. Its text is the DHT key of the block's record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlockUid {
    prefix: DhtPrefix,
    index: u32,
}

impl BlockUid {
    /// The model.
    pub fn prefix(&self) -> &DhtPrefix {
        &self.prefix
    }

    /// The block's place in the model, from 0.
    pub fn index(&self) -> u32 {
        self.index
    }
}

impl FromStr for BlockUid {
    type Err = RecordError;

    fn from_str(uid: &str) -> Result<Self, RecordError> {
        let bad = || RecordError::Uid(uid.to_owned());
        let (prefix, index) = uid.split_once(UID_DELIMITER).ok_or_else(bad)?;
        let digits = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
        let canonical = digits && (index == "0" || !index.starts_with('0'));
        if !canonical {
            return Err(bad());
        }
        Ok(Self { prefix: prefix.parse().map_err(|_| bad())?, index: index.parse().map_err(|_| bad())? })
    }
}

impl fmt::Display for BlockUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{UID_DELIMITER}{}", self.prefix, self.index)
    }
}

/// A span of blocks, `start..end`, never empty: a span of no blocks makes the health monitor divide by zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockRange {
    start: u32,
    end: u32,
}

impl BlockRange {
    /// The blocks from `start` up to, not including, `end`.
    pub fn new(start: u32, end: u32) -> Result<Self, RecordError> {
        if start >= end {
            return Err(RecordError::EmptyRange(start, end));
        }
        Ok(Self { start, end })
    }

    /// The first block.
    pub fn start(self) -> u32 {
        self.start
    }

    /// The block after the last.
    pub fn end(self) -> u32 {
        self.end
    }

    /// How many blocks, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a range that exists is not empty")]
    pub fn len(self) -> u32 {
        self.end - self.start
    }

    /// Whether block `index` is among them.
    pub fn contains(self, index: u32) -> bool {
        (self.start..self.end).contains(&index)
    }

    /// Every block, in order.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        self.start..self.end
    }
}

impl FromStr for BlockRange {
    type Err = RecordError;

    fn from_str(range: &str) -> Result<Self, RecordError> {
        let bad = || RecordError::Range(range.to_owned());
        let (start, end) = range.split_once(':').ok_or_else(bad)?;
        Self::new(start.trim().parse().map_err(|_| bad())?, end.trim().parse().map_err(|_| bad())?)
    }
}

impl fmt::Display for BlockRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_hold_no_separator() {
        assert!("StableBeluga2-hf".parse::<DhtPrefix>().is_ok());
        for bad in ["", "a.b", "a b", "a\tb", "a\n"] {
            assert_eq!(bad.parse::<DhtPrefix>(), Err(RecordError::Prefix(bad.into())));
        }
        assert!("_mine".parse::<DhtPrefix>().unwrap().is_private());
    }

    #[test]
    fn uids_are_read_as_they_are_written() {
        let uid: BlockUid = "tiny-llama-hf.12".parse().unwrap();
        assert_eq!(
            (uid.prefix().as_str(), uid.index(), uid.to_string().as_str()),
            ("tiny-llama-hf", 12, "tiny-llama-hf.12")
        );
        for bad in ["", ".", "a", "a.", ".1", "a.-1", "a.+1", "a.01", "a.1.2", "a.1 b.2", "a.4294967296"] {
            assert_eq!(bad.parse::<BlockUid>(), Err(RecordError::Uid(bad.into())));
        }
    }

    #[test]
    fn ranges_are_never_empty() {
        assert_eq!("3:7".parse::<BlockRange>().unwrap().len(), 4);
        assert_eq!("7:7".parse::<BlockRange>(), Err(RecordError::EmptyRange(7, 7)));
        assert!("8:7".parse::<BlockRange>().is_err());
        for bad in ["", "3", "3:", "a:b", "-1:4", "0:8:9"] {
            assert_eq!(bad.parse::<BlockRange>(), Err(RecordError::Range(bad.into())));
        }
    }
}
