//! Never two announcers: seen by the stores that the node sends.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use hivemind_proto::{
    dht::{Request, STORE_HANDLER},
    unary::OutboundCall,
};
use libp2p::PeerId;

use crate::simulated::SimulatedNetwork;

/// The node's own stores under way, told apart by their expiration: each announcement has its own.
pub(super) struct Announcers {
    own: PeerId,
    storing: RefCell<BTreeMap<u64, usize>>,
    /// In a calm, no crash leaves the store of a dead announcer behind.
    calm: Cell<bool>,
    announcements: Cell<u64>,
    seen: RefCell<BTreeSet<u64>>,
}

impl Announcers {
    /// Sees every store that `own` sends from now on.
    pub(super) fn watch(network: &SimulatedNetwork, own: PeerId) -> Rc<Self> {
        let (storing, calm, announcements, seen) = Default::default();
        let this = Rc::new(Self { own, storing, calm, announcements, seen });
        let seen = Rc::clone(&this);
        network.watch(Rc::new(move |from, call| seen.saw(from, call)));
        this
    }

    /// How many announcements there have been.
    pub(super) fn announcements(&self) -> u64 {
        self.announcements.get()
    }

    pub(super) fn set_calm(&self, calm: bool) {
        self.calm.set(calm);
    }

    /// A call leaves; the guard that is given back is dropped with it.
    fn saw(self: &Rc<Self>, from: PeerId, call: &OutboundCall) -> Option<Box<dyn Any>> {
        if self.own != from || call.handler.as_str() != STORE_HANDLER {
            return None;
        }
        let Ok(Request::Store { rows, .. }) = Request::decode(STORE_HANDLER, &call.data) else { return None };
        let expiration = rows.iter().map(|row| row.expiration).fold(f64::NAN, f64::max);
        let mut storing = self.storing.borrow_mut();
        let is_new = self.seen.borrow_mut().insert(expiration.to_bits());
        if !is_new && !storing.contains_key(&expiration.to_bits()) {
            // What was announced before is handed to a node that was newly met.
            return None;
        }
        self.announcements.set(self.announcements.get() + u64::from(is_new));
        *storing.entry(expiration.to_bits()).or_default() += 1;
        assert!(!self.calm.get() || storing.len() == 1, "two announcers store at once: {storing:?}");
        Some(Box::new(Storing { announcers: Rc::clone(self), expiration: expiration.to_bits() }))
    }
}

struct Storing {
    announcers: Rc<Announcers>,
    expiration: u64,
}

impl Drop for Storing {
    fn drop(&mut self) {
        let mut storing = self.announcers.storing.borrow_mut();
        if let Some(calls) = storing.get_mut(&self.expiration) {
            *calls -= 1;
            if *calls == 0 {
                storing.remove(&self.expiration);
            }
        }
    }
}
