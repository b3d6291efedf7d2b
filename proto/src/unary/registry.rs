//! Which handlers this node serves, and where their calls go.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    future::poll_fn,
    sync::{Arc, PoisonError, RwLock},
};

use async_channel::{Receiver, Sender, TrySendError};
use futures::channel::oneshot;
use libp2p::PeerId;

use super::{
    CallError, Counters,
    budget::{Budget, Reservation},
    callers::Callers,
    counters::Cells,
    latency::{Latencies, Latency, Measuring, Stopwatch},
};
use crate::bare_name::HandlerName;

/// The bounded queue of whoever serves a handler. Its places are there from the start, so a call waits behind a pointer.
pub type Mailbox = Receiver<Box<InboundCall>>;

/// A call that waits for an answer. Dropped unanswered, it gives its caller an error text.
pub struct InboundCall {
    /// Who calls: the peer of the connection.
    pub caller: PeerId,
    /// Which handler is called.
    pub handler: HandlerName,
    /// The serialized application message.
    pub data: Vec<u8>,
    reply: oneshot::Sender<Result<Response, Failure>>,
    measuring: Option<Measuring>,
    /// What `data` holds of the budget of all inbound calls; of calls over a connection.
    reservation: Option<Reservation>,
}

impl InboundCall {
    /// Answers with a serialized message, or with the text of an error.
    pub fn answer(self, result: Result<Vec<u8>, String>) {
        if let Some(measuring) = self.measuring {
            measuring.end(result.is_ok());
        }
        drop(self.data);
        let mut reservation = self.reservation;
        // The answer takes the place of the question: answers that their connections do not take may be many.
        let answer = result.map_err(Failure::Handler).and_then(|data| {
            let room = reservation.as_mut().is_none_or(|reservation| reservation.change_to(data.len()));
            if room { Ok(Response { data, reservation }) } else { Err(Failure::NoRoom) }
        });
        // A caller that is gone needs no answer.
        let _ = self.reply.send(answer);
    }

    /// Whether the caller does not wait any more: the work may be dropped.
    pub fn is_cancelled(&self) -> bool {
        self.reply.is_canceled()
    }

    /// Ready when the caller does not wait any more.
    pub async fn cancelled(&mut self) {
        poll_fn(|cx| self.reply.poll_canceled(cx)).await;
    }
}

impl fmt::Debug for InboundCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { caller, handler, data, .. } = self;
        write!(f, "InboundCall({handler} from {caller}, {} bytes)", data.len())
    }
}

/// The answer to a delivered call, or `Canceled` if it was dropped unanswered.
pub(super) type Answer = oneshot::Receiver<Result<Response, Failure>>;

/// A serialized answer.
pub(super) struct Response {
    pub(super) data: Vec<u8>,
    /// What it holds of the budget of all inbound calls, until it is dropped.
    reservation: Option<Reservation>,
}

impl Response {
    /// The place that it holds, without its bytes.
    pub(super) fn into_place(self) -> Option<Reservation> {
        self.reservation
    }
}

/// Why there is no answer.
pub(super) enum Failure {
    /// The words of whoever serves the handler.
    Handler(String),
    /// The caller has too many answers that it has not read.
    NoRoom,
}

/// Why a call was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nobody serves the handler.
    Unknown,
    /// The queue is full.
    Busy,
}

/// One handler, and the queue of whoever serves it.
struct Served {
    name: HandlerName,
    sender: Sender<Box<InboundCall>>,
    mailbox: Mailbox,
}

/// The handlers that are served. Clones share one state; names may be added at any time, and every
/// connection serves them from then on.
#[derive(Clone)]
pub struct Registry {
    /// By the name on the wire.
    served: Arc<RwLock<HashMap<String, Served>>>,
    pub(super) callers: Callers,
    pub(super) cells: Arc<Cells>,
    pub(super) budget: Budget,
    inbound: Latencies,
    pub(super) outbound: Latencies,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        write!(f, "Registry({:?})", served.keys())
    }
}

impl Registry {
    /// Serves nothing yet.
    pub fn new() -> Self {
        Self {
            served: Arc::default(),
            callers: Callers::default(),
            cells: Arc::default(),
            budget: Budget::default(),
            inbound: Latencies::default(),
            outbound: Latencies::default(),
        }
    }

    /// One that measures how long calls take.
    pub fn timed(stopwatch: &Stopwatch) -> Self {
        let latencies = || Latencies::timed(Stopwatch::clone(stopwatch));
        Self { inbound: latencies(), outbound: latencies(), ..Self::new() }
    }

    /// Serves `names` with one queue of `capacity` calls, at least one. If one of them is served
    /// already, all go to its queue: calls wait there while whoever serves it is being restarted.
    pub fn serve(&self, names: &[HandlerName], capacity: usize) -> Mailbox {
        // The state is whole between any two statements below, so a panic elsewhere does not spoil it.
        let mut served = self.served.write().unwrap_or_else(PoisonError::into_inner);
        let known = names.iter().find_map(|name| served.get(name.as_str()));
        let (sender, mailbox) = match known {
            Some(known) => (known.sender.clone(), known.mailbox.clone()),
            None => async_channel::bounded(capacity.max(1)),
        };
        for name in names {
            let (name, sender, mailbox) = (name.clone(), sender.clone(), mailbox.clone());
            served.insert(name.as_str().to_owned(), Served { name, sender, mailbox });
        }
        mailbox
    }

    /// The handler whose name is `name` on the wire, if it is served.
    pub(super) fn served(&self, name: &str) -> Option<HandlerName> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        served.get(name).map(|served| served.name.clone())
    }

    /// How many calls there were with `peer` in either direction since it is connected; 0 for whoever is not.
    pub fn calls_with(&self, peer: &PeerId) -> u64 {
        self.callers.calls(peer)
    }

    /// What happened to the calls of this node so far.
    pub fn counters(&self) -> Counters {
        self.cells.snapshot()
    }

    /// How long calls of others took so far, by method: from the whole request to the answer of whoever serves it, the
    /// wait in its queue included.
    pub fn inbound_latencies(&self) -> BTreeMap<String, Latency> {
        self.inbound.snapshot()
    }

    /// How long our calls over a connection took so far, by method, those that failed included.
    pub fn outbound_latencies(&self) -> BTreeMap<String, Latency> {
        self.outbound.snapshot()
    }

    /// Gives a call to whoever serves `handler`, as if it had come over a connection: for simulated
    /// networks. The answer is awaited in the returned future; dropping it cancels the call.
    pub fn deliver(
        &self,
        caller: PeerId,
        handler: &HandlerName,
        data: Vec<u8>,
    ) -> impl Future<Output = Result<Vec<u8>, CallError>> + Send + use<> {
        let queued = self.queue(caller, handler.clone(), data, None);
        async move {
            match queued {
                Err(Refusal::Unknown) => Err(CallError::UnknownHandler),
                Err(Refusal::Busy) => Err(CallError::Handler(BUSY.to_owned())),
                Ok(answer) => match answer.await {
                    Ok(Ok(response)) => Ok(response.data),
                    Ok(Err(Failure::Handler(text))) => Err(CallError::Handler(text)),
                    Ok(Err(Failure::NoRoom)) => Err(CallError::Handler(BUSY.to_owned())),
                    Err(oneshot::Canceled) => Err(CallError::Handler(DROPPED.to_owned())),
                },
            }
        }
    }

    pub(super) fn queue(
        &self,
        caller: PeerId,
        handler: HandlerName,
        data: Vec<u8>,
        reservation: Option<Reservation>,
    ) -> Result<Answer, Refusal> {
        let (reply, answer) = oneshot::channel();
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        let sender = &served.get(handler.as_str()).ok_or(Refusal::Unknown)?.sender;
        let measuring = self.inbound.begin(&handler);
        let call = Box::new(InboundCall { caller, handler, data, reply, measuring, reservation });
        match sender.try_send(call) {
            Ok(()) => Ok(answer),
            Err(TrySendError::Full(_)) => Err(Refusal::Busy),
            Err(TrySendError::Closed(_)) => Err(Refusal::Unknown),
        }
    }
}

/// What a caller is told when too much is under way here.
pub(super) const BUSY: &str = "busy: too many calls are under way, try again later";

/// What a caller is told when its call was dropped, as by a handler that panicked.
pub(super) const DROPPED: &str = "the handler failed without an answer";
