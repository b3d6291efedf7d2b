//! What all connections of one peer share: how many calls are under way, and whether there was one lately.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed},
        },
    },
};

use libp2p::PeerId;

use super::budget::Budget;

/// The peers that have a connection. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Callers(Arc<Mutex<HashMap<PeerId, Weak<Caller>>>>);

/// One of them.
pub(super) struct Caller {
    pub(super) peer: PeerId,
    calls: AtomicU64,
    under_way: AtomicUsize,
    refusals: AtomicUsize,
    /// What its calls hold.
    pub(super) share: Budget,
    callers: Callers,
}

impl Callers {
    /// What the connections of `peer` share; forgotten with the last of them.
    pub(super) fn get(&self, peer: PeerId) -> Arc<Caller> {
        let mut callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(caller) = callers.get(&peer).and_then(Weak::upgrade) {
            return caller;
        }
        let caller = Arc::new(Caller {
            peer,
            calls: AtomicU64::new(0),
            under_way: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            share: Budget::default(),
            callers: self.clone(),
        });
        callers.insert(peer, Arc::downgrade(&caller));
        caller
    }

    /// Calls in either direction with `peer`, since it is connected.
    pub(super) fn calls(&self, peer: &PeerId) -> u64 {
        let callers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let caller = callers.get(peer).and_then(Weak::upgrade);
        // Ours may be the last hold on it, whose end takes the lock.
        drop(callers);
        caller.map_or(0, |caller| caller.calls())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let mut callers = self.callers.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Another connection may have come in between.
        if callers.get(&self.peer).is_some_and(|caller| caller.strong_count() == 0) {
            callers.remove(&self.peer);
        }
    }
}

impl Caller {
    /// Calls in either direction so far. A change means that the peer's connections are of use.
    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// A call to the peer begins.
    pub(super) fn note_outbound(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    /// A call of the peer begins, unless `limit` are under way.
    pub(super) fn begin(self: &Arc<Self>, limit: usize) -> Option<UnderWay> {
        self.calls.fetch_add(1, Relaxed);
        UnderWay::begin(self, |caller| &caller.under_way, limit)
    }

    /// A call of the peer is being refused, unless `limit` are.
    pub(super) fn begin_refusal(self: &Arc<Self>, limit: usize) -> Option<UnderWay> {
        UnderWay::begin(self, |caller| &caller.refusals, limit)
    }
}

/// Counts until it is dropped.
pub(super) struct UnderWay {
    caller: Arc<Caller>,
    cell: fn(&Caller) -> &AtomicUsize,
}

impl UnderWay {
    fn begin(caller: &Arc<Caller>, cell: fn(&Caller) -> &AtomicUsize, limit: usize) -> Option<Self> {
        let room = |count: usize| (count < limit).then_some(count + 1);
        cell(caller).fetch_update(AcqRel, Acquire, room).ok()?;
        Some(Self { caller: caller.clone(), cell })
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        (self.cell)(&self.caller).fetch_sub(1, AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_for_all_connections_of_a_peer_together() {
        let callers = Callers::default();
        let peer = PeerId::random();
        let (one, other) = (callers.get(peer), callers.get(peer));
        let first = one.begin(2);
        let second = other.begin(2);
        assert!(first.is_some() && second.is_some() && one.begin(2).is_none());
        drop(first);
        assert!(other.begin(2).is_some());
        assert_eq!(one.calls(), 4);
    }

    #[test]
    fn a_peer_is_forgotten_with_its_last_connection() {
        let callers = Callers::default();
        let peer = PeerId::random();
        let (one, other) = (callers.get(peer), callers.get(peer));
        drop(one);
        assert_eq!(callers.len(), 1);
        let call = other.begin(1);
        drop(other);
        assert_eq!(callers.len(), 1, "a call is still under way");
        drop(call);
        assert_eq!(callers.len(), 0);
        assert_eq!(callers.get(peer).calls(), 0);
    }
}
