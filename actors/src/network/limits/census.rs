//! Who is connected, and who has to go for whom. Pure data.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
    time::Duration,
};

use libp2p::{PeerId, swarm::ConnectionId};
use tokio::time::Instant;

use super::{range::Range, refusals::Refusal, stay::Stay};

/// A newcomer has so much time to show what it came for: identify, and its first call.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// A peer with whom nothing was done for so long may have to go. Hivemind peers renew their records after 60 to 120 s.
pub(super) const QUIET: Duration = Duration::from_secs(180);

/// Peers whom we have asked for and who therefore have a place: bootstraps, relays, remembered peers. The latest are
/// kept.
const WANTED: usize = 256;

/// Bounds of the connections.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) all: u32,
    pub(super) incoming: u32,
    pub(super) of_peer: u32,
    pub(super) of_range: u32,
    pub(super) pending: u32,
    /// For so long after something was done together a connection stays although nothing goes over it.
    pub(super) stay: Duration,
}

#[derive(Debug)]
struct Open {
    peer: PeerId,
    range: Option<Range>,
    incoming: bool,
    since: Instant,
    stay: Stay,
}

/// What was done together with a peer.
#[derive(Debug)]
struct Guest {
    connections: u32,
    /// Calls in either direction when it was looked at last.
    calls: u64,
    used: Instant,
}

/// The connections.
#[derive(Debug)]
pub(super) struct Census {
    bounds: Bounds,
    pending: HashMap<ConnectionId, Option<Range>>,
    pending_of_range: HashMap<Range, u32>,
    dialling: HashSet<ConnectionId>,
    /// Those that were admitted and are not open yet.
    admitted: HashMap<ConnectionId, Stay>,
    open: HashMap<ConnectionId, Open>,
    incoming: u32,
    of_range: HashMap<Range, u32>,
    guests: HashMap<PeerId, Guest>,
    wanted: VecDeque<PeerId>,
    /// Connections that are being closed: they count as gone.
    going: HashSet<ConnectionId>,
}

impl Census {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            pending: HashMap::new(),
            pending_of_range: HashMap::new(),
            dialling: HashSet::new(),
            admitted: HashMap::new(),
            open: HashMap::new(),
            incoming: 0,
            of_range: HashMap::new(),
            guests: HashMap::new(),
            wanted: VecDeque::new(),
            going: HashSet::new(),
        }
    }

    /// We have asked to be connected to `peer`: its connections are the last to go.
    pub(super) fn want(&mut self, peer: PeerId) {
        if !self.wanted.contains(&peer) {
            if self.wanted.len() >= WANTED {
                self.wanted.pop_front();
            }
            self.wanted.push_back(peer);
        }
    }

    /// Somebody connects, from `range`.
    pub(super) fn begin_incoming(&mut self, id: ConnectionId, range: Option<Range>) -> Result<(), Refusal> {
        if self.pending.len() as u32 >= self.bounds.pending {
            return Err(Refusal::Pending);
        }
        if let Some(range) = range {
            let count = self.pending_of_range.entry(range).or_default();
            // Whoever holds one range keeps nobody else out.
            if *count >= self.bounds.pending.div_ceil(2) {
                return Err(Refusal::PendingOfRange);
            }
            *count += 1;
        }
        self.pending.insert(id, range);
        Ok(())
    }

    /// We connect to somebody.
    pub(super) fn begin_outgoing(&mut self, id: ConnectionId) -> Result<(), Refusal> {
        if self.dialling.len() as u32 >= self.bounds.pending {
            return Err(Refusal::Pending);
        }
        self.dialling.insert(id);
        Ok(())
    }

    /// It is no longer being made, whatever came of it.
    pub(super) fn end_pending(&mut self, id: &ConnectionId) {
        self.dialling.remove(id);
        self.admitted.remove(id);
        if let Some(Some(range)) = self.pending.remove(id) {
            give_back(&mut self.pending_of_range, &range);
        }
    }

    /// Whether a connection of `peer` has a place, and which one has to go for it.
    pub(super) fn admit(
        &self,
        peer: &PeerId,
        range: Option<Range>,
        incoming: bool,
        now: Instant,
    ) -> Result<Option<ConnectionId>, Refusal> {
        if self.guests.get(peer).is_some_and(|guest| guest.connections >= self.bounds.of_peer) {
            return Err(Refusal::OfPeer);
        }
        let wanted = !incoming || self.wanted.contains(peer);
        let crowded = |range: Range| {
            range.is_public && self.of_range.get(&range).is_some_and(|count| *count >= self.bounds.of_range)
        };
        if !wanted && range.is_some_and(crowded) {
            return Err(Refusal::OfRange);
        }
        let all = (self.open.len() - self.going.len()) as u32;
        if !wanted && self.incoming >= self.bounds.incoming {
            return self.victim(true, now).map(Some).ok_or(Refusal::Incoming);
        }
        if all >= self.bounds.all {
            return self.victim(false, now).map(Some).ok_or(Refusal::All);
        }
        Ok(None)
    }

    /// What keeps the connection that was admitted.
    pub(super) fn stay(&mut self, id: ConnectionId) -> Stay {
        self.admitted.entry(id).or_default().clone()
    }

    /// Who has to go: first those with whom nothing was ever done, then those with whom nothing was done for long;
    /// among them those from where most others come, too.
    fn victim(&self, only_incoming: bool, now: Instant) -> Option<ConnectionId> {
        let may_go = |(id, open): &(&ConnectionId, &Open)| {
            let old = now.saturating_duration_since(open.since) >= GRACE;
            let counted = open.incoming || !only_incoming;
            old && counted && !self.going.contains(id) && !self.wanted.contains(&open.peer)
        };
        let rank = |id: &ConnectionId, open: &Open| {
            let guest = self.guests.get(&open.peer)?;
            let stranger = guest.calls == 0;
            let quiet = now.saturating_duration_since(guest.used) >= QUIET;
            let neighbours = open.range.and_then(|range| self.of_range.get(&range)).copied().unwrap_or(1);
            (stranger || quiet).then_some((Reverse(stranger), Reverse(neighbours), guest.used, *id))
        };
        let ranked = self.open.iter().filter(may_go).filter_map(|(id, open)| rank(id, open));
        ranked.min().map(|(.., id)| id)
    }

    /// A connection is there.
    pub(super) fn opened(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        range: Option<Range>,
        incoming: bool,
        now: Instant,
    ) {
        let fresh = Guest { connections: 0, calls: 0, used: now };
        self.guests.entry(peer).or_insert(fresh).connections += 1;
        if let Some(range) = range {
            *self.of_range.entry(range).or_default() += 1;
        }
        self.incoming += u32::from(incoming);
        let stay = self.admitted.remove(&id).unwrap_or_default();
        self.open.insert(id, Open { peer, range, incoming, since: now, stay });
    }

    /// A connection is being closed to make room; it counts no longer as one of others.
    pub(super) fn close(&mut self, id: ConnectionId) -> Option<PeerId> {
        let open = self.open.get(&id)?;
        if self.going.insert(id) {
            self.incoming -= u32::from(open.incoming);
        }
        Some(open.peer)
    }

    /// A connection is gone.
    pub(super) fn closed(&mut self, id: &ConnectionId) {
        let Some(open) = self.open.remove(id) else { return };
        if !self.going.remove(id) {
            self.incoming -= u32::from(open.incoming);
        }
        if let Some(range) = &open.range {
            give_back(&mut self.of_range, range);
        }
        if let Some(guest) = self.guests.get_mut(&open.peer) {
            guest.connections -= 1;
            if guest.connections == 0 {
                self.guests.remove(&open.peer);
            }
        }
    }

    /// Notes who was of use since the last time, by the calls with each so far.
    pub(super) fn look(&mut self, calls: impl Fn(&PeerId) -> u64, now: Instant) {
        for (peer, guest) in &mut self.guests {
            let calls = calls(peer);
            if calls != guest.calls {
                (guest.calls, guest.used) = (calls, now);
            }
        }
        for open in self.open.values() {
            let Some(guest) = self.guests.get(&open.peer) else { continue };
            let known = guest.calls > 0 || self.wanted.contains(&open.peer);
            open.stay.set(known && now.saturating_duration_since(guest.used) < self.bounds.stay);
        }
    }

    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, u32, usize, usize, usize) {
        let pending = self.pending.len() + self.dialling.len() + self.admitted.len();
        (self.open.len() - self.going.len(), self.incoming, self.guests.len(), self.of_range.len(), pending)
    }
}

fn give_back<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}
