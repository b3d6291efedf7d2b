//! The account of what we serve as data: what the config says, what was said since, and by whom.
//!
//! | what | comes from |
//! | --- | --- |
//! | model, blocks, names, types, adapters | the config alone |
//! | a figure that the config states | the config at every start of the process, and whenever it is read again and says something new; from then on the latest word |
//! | a figure that it leaves open | the latest word, whose ever and in whichever process, kept in the file |
//! | the state | as a figure that the config states, but kept in no file, since a state of last week is no news |
//! | ONLINE | nobody, while no address is known at which others can dial us: JOINING is announced in its place |
//! | who says the state | the operator, where the config or a later word of his does; the backend otherwise |
//!
//! Figures that were kept for another model or other blocks are not used.

use std::{collections::BTreeMap, sync::Arc};

use hivemind_proto::records::ServerState;
use serde::Serialize;

use super::{
    Offer, Snapshot,
    messages::{Change, Field, Source, UpdateError},
    page::Page,
};

/// Who said what a field holds, and in which version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Author {
    pub(super) source: Source,
    pub(super) version: u64,
}

/// What we serve, and who said so.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Account {
    /// What the config says.
    config: Offer,
    snapshot: Arc<Snapshot>,
    /// What the state is as soon as others can dial us.
    meant: ServerState,
    /// Whether they can.
    dialable: bool,
    /// Whether the operator has said, since the process started, that the state is his word, or the backend's.
    held: Option<bool>,
    /// What the backend last said, heeded or not.
    backend_state: Option<ServerState>,
    /// A field that is not here is as the config has it.
    authors: BTreeMap<Field, Author>,
}

impl Account {
    /// What is known when the process starts: the config, and what was kept of an earlier process.
    pub(super) fn begin(config: Offer, stated: &[Field], kept: Option<&Page>) -> Self {
        let version = kept.map_or(0, |page| page.version).saturating_add(1);
        let mut authors = BTreeMap::new();
        let mut offer = config.clone();
        let kept = kept.filter(|page| page.is_of(&config)).map(|page| page.said()).unwrap_or_default();
        for (field, author, change) in kept {
            if field != Field::State && !stated.contains(&field) {
                change.apply(&mut offer.server);
                authors.insert(field, author);
            }
        }
        let source = Source::Config;
        Self {
            meant: offer.server.state,
            dialable: true,
            config,
            snapshot: Arc::new(Snapshot { version, source, offer }),
            held: None,
            backend_state: None,
            authors,
        }
    }

    /// Goes on with another config of the same model. What it says anew wins over what was said since; what it says as
    /// before does not. `stated` tells which fields it states, as before and now. False if nothing changes.
    pub(super) fn begin_again(&mut self, config: Offer, before: &[Field], now: &[Field]) -> bool {
        let said_anew: Vec<Field> = Field::differing(&config.server, &self.config.server)
            .chain(before.iter().copied().filter(|field| !now.contains(field)))
            .chain(now.iter().copied().filter(|field| !before.contains(field)))
            .collect();
        let of_these_blocks = config.server.blocks == self.config.server.blocks;
        let stays = |field: &Field| {
            let of_any_blocks = matches!(field, Field::State | Field::UsingRelay | Field::PublicName);
            (of_these_blocks || of_any_blocks) && !said_anew.contains(field)
        };
        if said_anew.contains(&Field::State) {
            self.held = None;
        }
        let mut offer = config.clone();
        self.authors.retain(|field, _| stays(field));
        let mut said = self.snapshot.offer.server.clone();
        said.state = self.meant;
        self.authors.keys().for_each(|field| field.copy(&said, &mut offer.server));
        self.config = config;
        self.meant = offer.server.state;
        offer.server.state = self.announced_state();
        if offer == self.snapshot.offer {
            return false;
        }
        let version = self.version().saturating_add(1);
        self.snapshot = Arc::new(Snapshot { version, source: Source::Config, offer });
        true
    }

    /// Whether it began with this config.
    pub(super) fn began_with(&self, config: &Offer) -> bool {
        self.config == *config
    }

    pub(super) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    pub(super) fn version(&self) -> u64 {
        self.snapshot.version
    }

    pub(super) fn authors(&self) -> &BTreeMap<Field, Author> {
        &self.authors
    }

    /// Whether the state is the operator's word. `state_stated`: the config says it in words.
    pub(super) fn is_held(&self, state_stated: bool) -> bool {
        self.held.unwrap_or(state_stated)
    }

    /// Whether others can dial us, as far as we were told.
    pub(super) fn is_dialable(&self) -> bool {
        self.dialable
    }

    /// A server that nobody can dial is of use to nobody, and the health monitor remembers for minutes that it failed.
    fn announced_state(&self) -> ServerState {
        match self.meant {
            ServerState::Online if !self.dialable => ServerState::Joining,
            meant => meant,
        }
    }

    /// Takes a change in. False if it changes nothing. `state_stated`: the config says the state in words.
    pub(super) fn apply(
        &mut self,
        source: Source,
        mut change: Change,
        state_stated: bool,
    ) -> Result<bool, UpdateError> {
        match source {
            // A backend may say how much, not whether, where the operator has said that.
            Source::Backend => {
                self.backend_state = change.state.or(self.backend_state);
                if self.is_held(state_stated) {
                    change.state = None;
                }
            }
            Source::Admin if change.follow_backend => {
                self.held = Some(false);
                change.state = Some(self.backend_state.unwrap_or(ServerState::Joining));
            }
            Source::Admin if change.state.is_some() => self.held = Some(true),
            // Nothing is announced ONLINE unless the operator says so in words, or a healthy backend does.
            Source::Reachability if !self.is_held(state_stated) && change.state.is_some() => {
                return Err(UpdateError::StateFollowsBackend);
            }
            _ => {}
        }
        let mut offer = self.snapshot.offer.clone();
        offer.server.state = self.meant;
        change.apply(&mut offer.server);
        self.meant = offer.server.state;
        self.dialable = change.dialable.unwrap_or(self.dialable);
        offer.server.state = self.announced_state();
        let mut changed = Field::differing(&offer.server, &self.snapshot.offer.server).peekable();
        if changed.peek().is_none() {
            return Ok(false);
        }
        let version = self.version().saturating_add(1);
        self.authors.extend(changed.map(|field| (field, Author { source, version })));
        self.snapshot = Arc::new(Snapshot { version, source, offer });
        Ok(true)
    }
}
