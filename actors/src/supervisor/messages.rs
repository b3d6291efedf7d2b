//! The two messages that every supervised actor handles, and what its factory is given at each birth.

use actix::{Actor, Context, Handler, Message, dev::MessageResponse};
use serde::Serialize;
use tokio::sync::watch;

/// Are you there, and how are you? The answer is the actor's serializable status. An actor that does not answer
/// within its probe deadline is aborted and restarted. Answer at once: an answer that waits for something says that
/// the actor hangs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Probe;

impl Message for Probe {
    type Result = ProbeReport;
}

/// An actor's status, as the admin API, the metrics and the tests read it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, MessageResponse)]
#[serde(transparent)]
pub struct ProbeReport(pub serde_json::Value);

impl ProbeReport {
    /// The report of a status type. A status that cannot be serialized becomes an object with an `error`, so that a
    /// probe never fails because of it.
    pub fn of(status: &impl Serialize) -> Self {
        Self(
            serde_json::to_value(status)
                .unwrap_or_else(|error| serde_json::json!({ "error": error.to_string() })),
        )
    }
}

/// The whole tree is being stopped: finish what must be finished, then answer. The supervisor stops the actor
/// when it has answered, or at its stop deadline. Not sent when an actor is merely rebuilt, since the node goes on.
/// Prefer a `ResponseActFuture`: a `ResponseFuture` runs in a task of its own, which outlives an actor that is aborted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Drain;

impl Message for Drain {
    type Result = ();
}

/// What an actor must be to live in the tree. There is nothing to implement beyond its parts.
pub trait Supervised: Actor<Context = Context<Self>> + Handler<Probe> + Handler<Drain> {}

impl<A: Actor<Context = Context<A>> + Handler<Probe> + Handler<Drain>> Supervised for A {}

/// What a factory is given each time it builds an actor.
#[derive(Debug, Clone)]
pub struct Birth {
    /// To be notified once the actor serves; whoever stands below it is started then.
    pub ready: Ready,
    /// 1 for the first actor of this name, and one more for each that followed.
    pub generation: u64,
}

impl Birth {
    /// A birth outside of any tree, for an actor's own tests, and the other end of its readiness.
    pub fn detached() -> (Self, watch::Receiver<bool>) {
        let (ready, seen) = Ready::new();
        (Self { ready, generation: 1 }, seen)
    }
}

/// Says once that an actor serves. Saying it again changes nothing.
#[derive(Debug, Clone)]
pub struct Ready(watch::Sender<bool>);

impl Ready {
    pub(super) fn new() -> (Self, watch::Receiver<bool>) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), receiver)
    }

    /// The actor serves from now on.
    pub fn notify(&self) {
        self.0.send_replace(true);
    }
}
