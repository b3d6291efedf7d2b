//! The models of a swarm: those that the config names, and those of the index.
//!
//! Protocol facts: `health.petals.dev/health.py` (`fetch_health_state`): configured models come first, the others in the
//! order of their size and name. Unlike there, a model without a repository on a known site is shown as well.

use std::cmp::Reverse;

use hivemind_proto::{
    dht::DhtId,
    records::{DhtPrefix, ModelInfo},
};

use super::{harvest::Harvest, record::MOST_TEXT_BYTES, state::Model};

/// Blocks of one model; the largest has 126. Of one that claims more, none is looked for.
pub(super) const MOST_BLOCKS: u32 = 1024;

/// Blocks of all models together: each is a key that is searched for at several nodes.
pub(super) const MOST_KEYS: u32 = 32 * 1024;

/// Models that are shown.
pub(super) const MOST_MODELS: usize = 1024;

/// Entries of the index that cannot be used and are told of; more are counted.
const MOST_NOTES: usize = 32;

/// The models to be looked at.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) models: Vec<(DhtPrefix, Model)>,
    /// Entries that cannot be used.
    pub(super) notes: Vec<String>,
}

/// The models of the config and of the index, which stands under `key`.
pub(super) fn models(harvest: &Harvest, key: &DhtId, configured: &[(DhtPrefix, ModelInfo)]) -> Listed {
    let mut listed = Listed::default();
    for (prefix, info) in configured {
        listed.models.push((prefix.clone(), model(prefix, info, true)));
    }
    let (mut others, mut bad) = (Vec::new(), Vec::new());
    for (subkey, found) in harvest.under(key) {
        let name = subkey.as_text().unwrap_or_else(|| format!("{subkey:?}"));
        let (prefix, info) = match (name.parse::<DhtPrefix>(), ModelInfo::decode(&found.value)) {
            (Ok(prefix), Ok(info)) if prefix.as_str().len() <= MOST_TEXT_BYTES => (prefix, info),
            (Err(error), _) => {
                bad.push(format!("{}: {error}", shortened(&name)));
                continue;
            }
            (_, Err(error)) => {
                bad.push(format!("{}: {error}", shortened(&name)));
                continue;
            }
            (Ok(_), Ok(_)) => {
                bad.push(format!("{}: the name is too long", shortened(&name)));
                continue;
            }
        };
        match listed.models.iter_mut().find(|(known, _)| *known == prefix) {
            Some((_, known)) => {
                known.listed = true;
                if known.num_blocks != info.num_blocks() {
                    known
                        .notes
                        .push(format!("the swarm's index says that it has {} blocks", info.num_blocks()));
                }
            }
            None => others.push((prefix.clone(), model(&prefix, &info, false))),
        }
    }
    others.sort_by_key(|(prefix, model)| (Reverse(model.num_blocks), prefix.clone()));
    listed.models.extend(others);
    if listed.models.len() > MOST_MODELS {
        bad.push(format!("{} models are left out: there are too many", listed.models.len() - MOST_MODELS));
        listed.models.truncate(MOST_MODELS);
    }
    bound(&mut listed.models);
    if bad.len() > MOST_NOTES {
        let more = bad.len() - MOST_NOTES;
        bad.truncate(MOST_NOTES);
        bad.push(format!("{more} more"));
    }
    listed.notes = bad.into_iter().map(|note| format!("the index of models: {note}")).collect();
    listed
}

fn model(prefix: &DhtPrefix, info: &ModelInfo, configured: bool) -> Model {
    Model {
        dht_prefix: prefix.to_string(),
        repository: info.repository().map(shortened),
        num_blocks: info.num_blocks(),
        configured,
        listed: !configured,
        servers: Vec::new(),
        bad_records: Vec::new(),
        notes: Vec::new(),
    }
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(MOST_TEXT_BYTES)].to_owned()
}

/// Models beyond the bounds stay, with a note and without blocks that are looked for. The smaller come first: one that
/// claims much takes nobody's place.
fn bound(models: &mut [(DhtPrefix, Model)]) {
    let mut all: Vec<&mut Model> = models.iter_mut().map(|(_, model)| model).collect();
    all.sort_by_key(|model| (!model.configured, model.num_blocks));
    let mut left = MOST_KEYS;
    for model in all {
        if model.num_blocks > MOST_BLOCKS || model.num_blocks > left {
            model.notes.push(format!("its {} blocks are too many to be looked for", model.num_blocks));
            model.num_blocks = 0;
        }
        left -= model.num_blocks;
    }
}
