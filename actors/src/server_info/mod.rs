//! The server_info actor keeps this true: there is one validated, versioned account of what we serve, and it is on
//! disk.
//!
//! Whoever wants to change it sends [`messages::Update`]; whoever depends on it subscribes, to the latest
//! ([`messages::Subscribe`]) or to every change in order ([`messages::SubscribeEach`]). The table in `account.rs` says
//! which part comes from the config and which from the file. A restart of the actor loses nothing, as long as every
//! incarnation is given the same [`Memory`]. A restart of the process goes back to the config's state, and loses the
//! changes of the last moment if it was killed before they were on disk. Versions go on counting.

mod account;
mod changes;
mod memory;
pub mod messages;
pub(crate) mod page;
mod reload;
mod saving;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, MessageResult, ResponseActFuture, ResponseFuture,
    WrapFuture,
};
use hivemind_proto::records::{BlockUid, DhtPrefix, ModelInfo, ServerInfo};
use serde_json::json;
use tokio::{
    sync::{broadcast, watch},
    task::JoinError,
};

use self::{
    account::Account,
    messages::{Change, Field, SaveError, Source, Subscribe, SubscribeEach, Update, UpdateError, WhenSaved},
    page::{Found, Page},
    saving::Saved,
};
use crate::supervisor::{Birth, Drain, Probe, ProbeReport};

pub use changes::{Changes, News, WAITING_CHANGES};
pub use memory::Memory;

/// What the actor is made of.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is served, as far as the config and the defaults say; `None` for a bootstrap, which announces nothing.
    pub offer: Option<Offer>,
    /// The fields that the operator's config states, and not merely a default. If the state is not among them, it is
    /// the backend's.
    pub stated: Vec<Field>,
    /// Whether others can dial us, as far as it is known before anybody has found out.
    pub dialable: bool,
    /// The same for every incarnation.
    pub memory: Memory,
}

impl Settings {
    /// An offer that is nowhere kept, with nothing stated.
    pub fn volatile(offer: Option<Offer>) -> Self {
        Self { offer, stated: Vec::new(), dialable: true, memory: Memory::volatile() }
    }
}

/// A span of a model's blocks, offered by one server.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// Whose blocks.
    pub prefix: DhtPrefix,
    /// The whole model.
    pub model: ModelInfo,
    /// The server: its span lies within the model.
    pub server: ServerInfo,
}

impl Offer {
    /// The uid of every block that is offered.
    pub fn blocks(&self) -> impl Iterator<Item = BlockUid> {
        self.server.blocks.iter().map(|index| self.prefix.block(index))
    }
}

/// The offer as it stood at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Counts the changes, from 1; a start of the process counts as one.
    pub version: u64,
    /// Whose change this was.
    pub source: Source,
    /// What is offered.
    pub offer: Offer,
}

/// The latest snapshot, whenever it changes; `None` for a bootstrap.
pub type Snapshots = watch::Receiver<Option<Arc<Snapshot>>>;

/// The actor.
pub struct ServerInfoStore {
    settings: Settings,
    birth: Birth,
    /// `None` for a bootstrap, and until the file has been read.
    account: Option<Account>,
    latest: watch::Sender<Option<Arc<Snapshot>>>,
    each: broadcast::Sender<Arc<Snapshot>>,
    saved: watch::Sender<Saved>,
    saving: bool,
    set_aside: Option<String>,
}

impl ServerInfoStore {
    /// An actor that goes on with what its memory holds, or begins with what the config says.
    pub fn new(settings: Settings, birth: Birth) -> Self {
        let mut store = Self {
            settings,
            birth,
            account: None,
            latest: watch::Sender::new(None),
            each: broadcast::Sender::new(WAITING_CHANGES),
            saved: watch::Sender::default(),
            saving: false,
            set_aside: None,
        };
        store.saved = store.saved_until_now();
        store
    }

    fn begin(&mut self, kept: Option<&Page>, ctx: &mut Context<Self>) {
        if let Some(config) = self.settings.offer.clone() {
            let mut account = Account::begin(config, &self.settings.stated, kept);
            let dialable = Change { dialable: Some(self.settings.dialable), ..Change::default() };
            // Only a change of the state can be refused.
            let _ = account.apply(Source::Reachability, dialable, true);
            self.account = Some(account);
            self.publish(ctx);
        }
        self.birth.ready.notify();
    }

    fn page_found(found: Result<Found, JoinError>, this: &mut Self, ctx: &mut Context<Self>) {
        let found = found.unwrap_or_else(|error| Found::Unusable {
            cause: error.to_string(),
            aside: Err("reading it failed".into()),
        });
        let file = this.settings.memory.file().map(|file| file.display().to_string()).unwrap_or_default();
        match found {
            Found::Nothing => this.begin(None, ctx),
            Found::Kept(page) => {
                if !this.settings.offer.as_ref().is_some_and(|offer| page.is_of(offer)) {
                    tracing::info!(file, "figures kept for other blocks are not used");
                }
                this.begin(Some(&page), ctx);
            }
            Found::Unusable { cause, aside } => {
                let aside = match aside {
                    Ok(place) => place.display().to_string(),
                    Err(error) => format!("could not be moved: {error}"),
                };
                tracing::warn!(file, cause, aside, "server info file is unusable, starting from the config");
                this.set_aside = Some(format!("{aside} ({cause})"));
                this.begin(None, ctx);
            }
        }
    }

    /// Tells the account to everyone, and has it saved.
    fn publish(&mut self, ctx: &mut Context<Self>) {
        let Some(account) = &self.account else { return };
        self.settings.memory.remember(account);
        // The latest first: whoever lags skips what waits, and looks at the latest instead.
        self.latest.send_replace(Some(account.snapshot().clone()));
        // Nobody may be listening.
        let _ = self.each.send(account.snapshot().clone());
        self.save(ctx);
    }
}

impl Actor for ServerInfoStore {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let Some(config) = &self.settings.offer else { return self.begin(None, ctx) };
        if let Some(account) = self.settings.memory.recall() {
            if account.began_with(config) {
                self.account = Some(account);
                self.publish(ctx);
                return self.birth.ready.notify();
            }
            return self.begin(Some(&Page::of(&account)), ctx);
        }
        let Some(file) = self.settings.memory.file().map(ToOwned::to_owned) else {
            return self.begin(None, ctx);
        };
        // Nobody is answered before it is read: there is nothing to say yet.
        let find = actix_rt::task::spawn_blocking(move || Page::find(&file));
        ctx.wait(find.into_actor(self).map(Self::page_found));
    }
}

impl Handler<Update> for ServerInfoStore {
    type Result = Result<u64, UpdateError>;

    fn handle(&mut self, Update { source, change }: Update, ctx: &mut Self::Context) -> Self::Result {
        let state_stated = self.settings.stated.contains(&Field::State);
        let account = self.account.as_mut().ok_or(UpdateError::NothingOffered)?;
        let from = account.snapshot().offer.server.state;
        let changed = account.apply(source, change, state_stated)?;
        let (version, to) = (account.version(), account.snapshot().offer.server.state);
        if from != to {
            tracing::info!(?from, ?to, ?source, "server state changed");
        }
        // What changes nothing now may still count later: who says the state, and what the backend said.
        self.settings.memory.remember(account);
        if changed {
            self.publish(ctx);
        }
        Ok(version)
    }
}

impl Handler<Subscribe> for ServerInfoStore {
    type Result = MessageResult<Subscribe>;

    fn handle(&mut self, _: Subscribe, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.latest.subscribe())
    }
}

impl Handler<SubscribeEach> for ServerInfoStore {
    type Result = MessageResult<SubscribeEach>;

    fn handle(&mut self, _: SubscribeEach, _: &mut Self::Context) -> Self::Result {
        MessageResult(Changes::new(self.latest.subscribe(), self.each.subscribe()))
    }
}

impl Handler<WhenSaved> for ServerInfoStore {
    type Result = ResponseFuture<Result<(), SaveError>>;

    fn handle(&mut self, WhenSaved { version }: WhenSaved, _: &mut Self::Context) -> Self::Result {
        Box::pin(self.when_saved(version))
    }
}

impl Handler<Probe> for ServerInfoStore {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        let Some(account) = &self.account else {
            return ProbeReport(json!({ "offered": false }));
        };
        let snapshot = account.snapshot();
        let Offer { prefix, model, server } = &snapshot.offer;
        ProbeReport(json!({
            "offered": true,
            "version": snapshot.version,
            "last_source": snapshot.source,
            "sources": account.authors(),
            "dialable": account.is_dialable(),
            "state_held": account.is_held(self.settings.stated.contains(&Field::State)),
            "file": self.file_report(),
            "dht_prefix": prefix.as_str(),
            "num_blocks": model.num_blocks(),
            "repository": model.repository(),
            "blocks": server.blocks.to_string(),
            "state": server.state,
            "throughput": server.throughput,
            "public_name": server.public_name,
            "software": server.version,
            "torch_dtype": server.torch_dtype,
            "quant_type": server.quant_type,
            "adapters": server.adapters,
            "using_relay": server.using_relay,
            "cache_tokens_left": server.cache_tokens_left,
            "network_rps": server.network_rps,
            "forward_rps": server.forward_rps,
            "inference_rps": server.inference_rps,
            // +inf has no JSON form: null is one that does not answer.
            "next_pings": server.next_pings.as_ref().map(|pings| {
                pings.iter().map(|(peer, seconds)| (peer.to_base58(), json!(seconds))).collect::<serde_json::Map<_, _>>()
            }),
        }))
    }
}

impl Handler<Drain> for ServerInfoStore {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        let version = self.account.as_ref().map_or(0, Account::version);
        let saved = self.when_saved(version);
        Box::pin(saved.into_actor(self).map(|result, _, _| {
            if let Err(error) = result {
                tracing::warn!(%error, "the last changes of server info are lost");
            }
        }))
    }
}
