//! Ports of a router that lead to us, because it was asked to forward them (UPnP's Internet gateway device).
//!
//! A router forgets what it was asked when it starts anew, and its own address changes when the provider wants it so.
//! So it is asked again and again, as go-libp2p does (`p2p/net/nat`), and looked for again when it does not answer.
//! libp2p's own behaviour looks for it once, believes the address that it had then, and asks again after half an hour.
//!
//! Sources: `igd-next`, which speaks to it; UPnP's `WANIPConnection:1`, whose AddPortMapping renews a mapping of the one who
//! asks; UPnP Device Architecture 1.3.2, by which a search is repeated, since it goes over UDP.

mod router;

use std::{collections::BTreeSet, time::Duration};

use libp2p::Multiaddr;
use tokio::{
    runtime::Handle,
    sync::watch,
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::standing::Fact;
use crate::network::addresses::Scope;
use router::{Failure, Router, parts};

/// Between two times that the router is asked, as go-libp2p has it.
const ASK_AGAIN: Duration = Duration::from_secs(20);

/// The same after it was asked in vain so often. There may be none.
const ASK_LATER: Duration = Duration::from_secs(60);
const IN_VAIN: u32 = 20;

/// How long all its answers may take: `igd-next` sets no limit to most of them.
const PATIENCE: Duration = Duration::from_secs(20);

/// Addresses on which we listen that are kept: those of all devices of the machine, of which one is of use.
const ADDRESSES: usize = 64;

/// What the router forwards to us.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Mapped {
    /// The addresses that others can dial.
    addresses: BTreeSet<Multiaddr>,
    /// Another number when it may be another router, or the same after a new start.
    router: u64,
}

/// Keeps a router at it until it is dropped.
#[derive(Debug)]
pub(super) struct PortMapping {
    listening: watch::Sender<BTreeSet<Multiaddr>>,
    mapped: watch::Receiver<Mapped>,
    /// As it was told last.
    known: Mapped,
    task: AbortHandle,
}

impl PortMapping {
    /// Looks for a router, and asks it for what is listened on. Addresses out of scope are not taken from it.
    pub(super) fn start(scope: Scope, on: &Handle) -> Self {
        let (listening, wanted) = watch::channel(BTreeSet::new());
        let (told, mapped) = watch::channel(Mapped::default());
        let task = on.spawn(keep_asking(scope, wanted, told)).abort_handle();
        Self { listening, mapped, known: Mapped::default(), task }
    }

    /// We listen there.
    pub(super) fn listens(&self, at: &Multiaddr) {
        if parts(at).is_some() {
            self.listening.send_if_modified(|all| all.len() < ADDRESSES && all.insert(at.clone()));
        }
    }

    /// Not any more.
    pub(super) fn listens_no_more(&self, at: &Multiaddr) {
        self.listening.send_if_modified(|all| all.remove(at));
    }

    /// What has changed since the last time.
    pub(super) fn news(&mut self) -> Vec<Fact> {
        let now = match self.mapped.has_changed() {
            Ok(true) => self.mapped.borrow_and_update().clone(),
            Ok(false) => return Vec::new(),
            // Its task has panicked: nobody renews anything.
            Err(_) => Mapped::default(),
        };
        let before = std::mem::replace(&mut self.known, now.clone());
        for address in before.addresses.difference(&now.addresses) {
            tracing::info!(%address, "the router forwards a port no more");
        }
        for address in now.addresses.difference(&before.addresses) {
            tracing::info!(%address, "the router forwards a port to us");
        }
        now.since(&before)
    }
}

impl Mapped {
    /// What is told of a router that had forwarded `before`.
    fn since(&self, before: &Self) -> Vec<Fact> {
        let other = self.router != before.router;
        let gone = before.addresses.iter().filter(|at| other || !self.addresses.contains(*at));
        let come = self.addresses.iter().filter(|at| other || !before.addresses.contains(*at));
        gone.cloned().map(Fact::Unmapped).chain(come.cloned().map(Fact::Mapped)).collect()
    }
}

impl Drop for PortMapping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep_asking(
    scope: Scope,
    mut listening: watch::Receiver<BTreeSet<Multiaddr>>,
    told: watch::Sender<Mapped>,
) {
    let mut router = Router::new(scope);
    let mut said = String::new();
    let mut failures = 0;
    loop {
        let wanted = listening.borrow_and_update().clone();
        let mut pause = ASK_AGAIN;
        if !wanted.is_empty() {
            let answer = timeout(PATIENCE, router.ask(&wanted)).await.unwrap_or(Err(Failure::Slow));
            let addresses = answer.unwrap_or_else(|failure| {
                router.forget();
                failures += 1;
                pause = if failures < IN_VAIN { ASK_AGAIN } else { ASK_LATER };
                let failure = failure.to_string();
                // It is the same for months where there is no such router.
                if failure != said {
                    tracing::info!(cause = failure, "no router forwards a port to us");
                    said = failure;
                }
                BTreeSet::new()
            });
            if !addresses.is_empty() {
                said.clear();
                failures = 0;
            }
            let mapped = Mapped { addresses, router: router.times() };
            told.send_if_modified(|before| {
                let changed = *before != mapped;
                *before = mapped;
                changed
            });
        }
        tokio::select! {
            () = sleep(pause) => {}
            changed = listening.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(addresses: &[&str], router: u64) -> Mapped {
        Mapped { addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(), router }
    }

    #[test]
    fn a_router_that_is_asked_again_is_no_news_and_one_that_was_found_anew_is() {
        let at: Multiaddr = "/ip4/11.0.0.9/tcp/31330".parse().unwrap();
        let (here, there) =
            (mapped(&["/ip4/11.0.0.9/tcp/31330"], 1), mapped(&["/ip4/11.0.0.10/tcp/31330"], 1));
        assert_eq!(here.since(&Mapped::default()), [Fact::Mapped(at.clone())]);
        assert_eq!(here.since(&here), []);
        let again = Mapped { router: 2, ..here.clone() };
        assert_eq!(again.since(&here), [Fact::Unmapped(at.clone()), Fact::Mapped(at.clone())]);
        let moved = there.since(&here);
        assert_eq!(moved, [Fact::Unmapped(at), Fact::Mapped("/ip4/11.0.0.10/tcp/31330".parse().unwrap())]);
        assert_eq!(Mapped::default().since(&there).len(), 1);
    }
}
