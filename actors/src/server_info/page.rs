//! The file in which what was said since is kept: a sealed JSON object.

use std::{
    io,
    path::{Path, PathBuf},
};

use hivemind_proto::records::{RecordError, Rps};
use serde::{Deserialize, Serialize};

use super::{
    Offer,
    account::{Account, Author},
    messages::{Change, Field, Source},
};
use crate::durable::{self, SealError};

/// What the file says it is.
const KIND: &str = "server_info";
/// Counts the formats that cannot read each other.
const FORMAT: u32 = 1;
/// The file has under 2 KiB; what is much larger is not read.
const LARGEST_BYTES: u64 = 64 << 10;

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) version: u64,
    dht_prefix: String,
    blocks: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    throughput: Option<Said<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_rps: Option<Said<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forward_rps: Option<Said<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inference_rps: Option<Said<f64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_tokens_left: Option<Said<u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    using_relay: Option<Said<bool>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Said<T> {
    value: T,
    source: Source,
    version: u64,
}

/// What was found where the file should be.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing: the node starts for the first time.
    Nothing,
    /// What was kept.
    Kept(Page),
    /// Something else, or something that cannot be read.
    Unusable {
        /// Why.
        cause: String,
        /// Where it is now, unless it could not be moved.
        aside: Result<PathBuf, String>,
    },
}

/// Why a file is no page.
#[derive(Debug, thiserror::Error)]
enum PageError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Page {
    /// What is to be kept of an account: what others than the config have said, and never the state.
    pub(super) fn of(account: &Account) -> Self {
        let snapshot = account.snapshot();
        let server = &snapshot.offer.server;
        let authors = account.authors();
        let rps = |field, value: Option<Rps>| said(authors.get(&field), value.map(Rps::get));
        Self {
            version: snapshot.version,
            dht_prefix: snapshot.offer.prefix.to_string(),
            blocks: server.blocks.to_string(),
            throughput: rps(Field::Throughput, Some(server.throughput)),
            network_rps: rps(Field::NetworkRps, server.network_rps),
            forward_rps: rps(Field::ForwardRps, server.forward_rps),
            inference_rps: rps(Field::InferenceRps, server.inference_rps),
            cache_tokens_left: said(authors.get(&Field::CacheTokensLeft), server.cache_tokens_left),
            using_relay: said(authors.get(&Field::UsingRelay), server.using_relay),
        }
    }

    /// Whether it was kept for these blocks of this model.
    pub(super) fn is_of(&self, offer: &Offer) -> bool {
        self.dht_prefix == offer.prefix.as_str() && self.blocks == offer.server.blocks.to_string()
    }

    /// What was said, field by field. A page that was read has no value that is refused.
    pub(super) fn said(&self) -> Vec<(Field, Author, Change)> {
        self.checked().unwrap_or_default()
    }

    fn checked(&self) -> Result<Vec<(Field, Author, Change)>, RecordError> {
        let mut all = Vec::new();
        type Place = fn(&mut Change) -> &mut Option<Rps>;
        let rates: [(Field, _, Place); 4] = [
            (Field::Throughput, self.throughput, |change| &mut change.throughput),
            (Field::NetworkRps, self.network_rps, |change| &mut change.network_rps),
            (Field::ForwardRps, self.forward_rps, |change| &mut change.forward_rps),
            (Field::InferenceRps, self.inference_rps, |change| &mut change.inference_rps),
        ];
        for (field, said, place) in rates {
            let Some(said) = said else { continue };
            let mut change = Change::default();
            *place(&mut change) = Some(Rps::try_from(said.value)?);
            all.push((field, said.author(), change));
        }
        if let Some(said) = self.cache_tokens_left {
            let change = Change { cache_tokens_left: Some(said.value), ..Change::default() };
            all.push((Field::CacheTokensLeft, said.author(), change));
        }
        if let Some(said) = self.using_relay {
            let change = Change { using_relay: Some(said.value), ..Change::default() };
            all.push((Field::UsingRelay, said.author(), change));
        }
        Ok(all)
    }

    /// Waits for the disk.
    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        let json = serde_json::to_vec_pretty(self)?;
        durable::replace(file, &durable::seal(KIND, FORMAT, &json))
    }

    /// Waits for the disk. What cannot be used is moved aside.
    pub(super) fn find(file: &Path) -> Found {
        // Drafts that stay take a little room and are never read.
        let _ = durable::sweep(file);
        match Self::read(file) {
            Ok(page) => Found::Kept(page),
            Err(PageError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
            Err(error) => {
                let aside = durable::set_aside(file).map_err(|error| error.to_string());
                Found::Unusable { cause: error.to_string(), aside }
            }
        }
    }

    fn read(file: &Path) -> Result<Self, PageError> {
        let sealed = durable::read(file, LARGEST_BYTES)?;
        let page: Self = serde_json::from_slice(durable::unseal(KIND, FORMAT, &sealed)?)?;
        page.checked()?;
        Ok(page)
    }
}

impl<T> Said<T> {
    fn author(&self) -> Author {
        Author { source: self.source, version: self.version }
    }
}

fn said<T>(author: Option<&Author>, value: Option<T>) -> Option<Said<T>> {
    let Author { source, version } = *author?;
    Some(Said { value: value?, source, version })
}

/// What a file says can be written, and is read alike: see [`crate::fuzzing`].
#[cfg(any(test, fuzzing))]
pub(crate) fn judge(content: &[u8]) {
    let Ok(page) = serde_json::from_slice::<Page>(content) else { return };
    let said = page.said();
    let json = serde_json::to_vec(&page).unwrap_or_default();
    let again: Result<Page, _> = serde_json::from_slice(&json);
    assert!(again.is_ok_and(|again| again.said() == said && again.version == page.version));
}
