//! Whoever has a say in a reload: an actor and the settings that every incarnation of it is built from.

use std::{fmt, sync::Arc};

use actix::{Actor, Handler, dev::ToEnvelope};
use futures::future::LocalBoxFuture;
use tokio::sync::watch;

use super::messages::{Apply, Refusal, Validate};
use crate::supervisor::Slot;

/// Settings that may change while the process runs. One cell for all incarnations of an actor: a factory builds each
/// from what it holds then. Cheap to clone, and usable from any thread.
#[derive(Debug)]
pub struct Live<S>(watch::Sender<Arc<S>>);

impl<S> Live<S> {
    /// A cell that holds these.
    pub fn new(settings: S) -> Self {
        Self(watch::Sender::new(Arc::new(settings)))
    }

    /// The settings in force.
    pub fn now(&self) -> Arc<S> {
        self.0.borrow().clone()
    }

    /// Other settings: what a [`Party`] does in `apply`.
    pub fn set(&self, settings: Arc<S>) {
        self.0.send_replace(settings);
    }
}

impl<S> Clone for Live<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// An actor's place in the tree, as far as a reload deals with it: where it is found, and what it is built from.
pub struct Seat<A: Actor, S> {
    /// Its address, while it lives.
    pub slot: Slot<A>,
    /// Its settings.
    pub settings: Live<S>,
}

impl<A: Actor, S> Seat<A, S> {
    /// A seat that nobody has taken yet.
    pub fn new(settings: S) -> Self {
        Self { slot: Slot::new(), settings: Live::new(settings) }
    }
}

impl<A: Actor, S> Clone for Seat<A, S> {
    fn clone(&self) -> Self {
        Self { slot: self.slot.clone(), settings: self.settings.clone() }
    }
}

impl<A: Actor, S: fmt::Debug> fmt::Debug for Seat<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("slot", &self.slot).field("settings", &self.settings).finish()
    }
}

/// One that is to live by new settings, which it holds.
pub trait Party: fmt::Debug + Send {
    /// Its name in messages.
    fn name(&self) -> &str;

    /// Whether it could. Changes nothing.
    fn validate(&self) -> LocalBoxFuture<'static, Result<(), Refusal>>;

    /// The new settings are in force. At once and without fail: what may fail belongs into `validate`. What is given
    /// back ends when the party has taken notice; it has been told by then.
    fn apply(&self) -> LocalBoxFuture<'static, ()>;
}

/// An actor as a party.
pub struct ActorParty<A: Actor, S> {
    name: &'static str,
    seat: Seat<A, S>,
    settings: Arc<S>,
}

impl<A: Actor, S> ActorParty<A, S> {
    /// The actor of this seat, which is to live by `settings`.
    pub fn new(name: &'static str, seat: &Seat<A, S>, settings: S) -> Self {
        Self { name, seat: seat.clone(), settings: Arc::new(settings) }
    }
}

impl<A: Actor, S> fmt::Debug for ActorParty<A, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ActorParty").field(&self.name).finish()
    }
}

impl<A, S> Party for ActorParty<A, S>
where
    A: Actor + Handler<Validate<S>> + Handler<Apply<S>>,
    A::Context: ToEnvelope<A, Validate<S>> + ToEnvelope<A, Apply<S>>,
    S: Send + Sync + 'static,
{
    fn name(&self) -> &str {
        self.name
    }

    fn validate(&self) -> LocalBoxFuture<'static, Result<(), Refusal>> {
        let asked = self.seat.slot.get().map(|actor| actor.send(Validate(Arc::clone(&self.settings))));
        Box::pin(async move {
            match asked {
                Some(asked) => asked.await.unwrap_or(Ok(())),
                None => Ok(()),
            }
            // One that is gone, or goes, is built from the new settings or from the old, whichever hold then.
        })
    }

    fn apply(&self) -> LocalBoxFuture<'static, ()> {
        self.seat.settings.set(Arc::clone(&self.settings));
        let told = self.seat.slot.get().map(|actor| actor.send(Apply(Arc::clone(&self.settings))));
        Box::pin(async move {
            if let Some(told) = told {
                // One that is gone is built from them.
                let _ = told.await;
            }
        })
    }
}
