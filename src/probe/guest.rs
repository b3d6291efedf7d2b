//! A throw-away identity on a network of its own: a client of everything, listed nowhere.
//!
//! A validated ping makes the peer call back before it answers (`hivemind/dht/protocol.py`, `rpc_ping`). The call-back
//! is heard and answered with an error: with a proper answer the peer would take the guest into its routing table, and
//! hand a peer that is gone to others.

use std::collections::HashSet;

use hivemind_proto::bare_name::HandlerName;
use hivemind_proto::dht::PING_HANDLER;
use hivemind_proto::unary;
use libp2p::PeerId;
use libp2p::identity::Keypair;
use petald_actors::network::{Handle, Limits, NetworkError, ReachSettings, Settings, Visitor};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Call-backs that wait: every peer that is visited makes one.
const CALL_BACKS: usize = 64;

/// Why there is no guest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuestError {
    /// Its network does not start.
    #[error("a network of its own could not be started: {0}")]
    Network(#[from] NetworkError),
    /// The name of a handler is wrong.
    #[error("{0}")]
    Name(#[from] hivemind_proto::bare_name::NameError),
}

/// The guest, for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Guest {
    visitor: Visitor,
    callers: watch::Receiver<HashSet<PeerId>>,
    listener: AbortHandle,
}

impl Guest {
    /// Starts a network. Within a multi-threaded runtime only.
    pub(crate) async fn arrive(private_addresses: bool) -> Result<Self, GuestError> {
        let visitor = Visitor::start(Settings {
            keypair: Keypair::generate_ed25519(),
            listen: Vec::new(),
            announce: Vec::new(),
            private_addresses,
            agent_version: concat!("petald/", env!("CARGO_PKG_VERSION")).into(),
            reach: ReachSettings::visitor(),
            limits: Limits { established_incoming: 0, ..Limits::default() },
            unary: unary::Settings::default(),
            pool: tokio::runtime::Handle::current(),
        })
        .await?;
        let mailbox = visitor.handle().serve(&[HandlerName::new(PING_HANDLER)?], CALL_BACKS);
        let (heard, callers) = watch::channel(HashSet::new());
        let listener = tokio::spawn(async move {
            while let Ok(call) = mailbox.recv().await {
                heard.send_if_modified(|callers| callers.insert(call.caller));
                call.answer(Err("a guest, and about to leave: not to be listed".into()));
            }
        });
        Ok(Self { visitor, callers, listener: listener.abort_handle() })
    }

    /// How it calls others.
    pub(crate) fn network(&self) -> &Handle {
        self.visitor.handle()
    }

    /// Whether `peer` has called back.
    pub(crate) fn was_called_by(&self, peer: &PeerId) -> bool {
        self.callers.borrow().contains(peer)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.listener.abort();
    }
}
