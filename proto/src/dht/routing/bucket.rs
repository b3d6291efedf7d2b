//! One bucket: up to k nodes whose ids share a prefix, least recently heard of first.

use std::collections::VecDeque;

use libp2p::PeerId;

use super::{BUCKET_SIZE, Contact, DhtId};
use crate::time::DhtTime;

/// Replacements kept for a full bucket. The original keeps all that it ever heard of.
const MAX_REPLACEMENTS: usize = BUCKET_SIZE;

/// What became of a contact that was offered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    Added,
    Refreshed,
    /// There is no place, and nothing was changed.
    Full,
}

#[derive(Debug)]
struct Member {
    contact: Contact,
    /// When it last called us or answered.
    heard: DhtTime,
    /// A ping is under way that decides whether it stays.
    checking: bool,
}

#[derive(Debug)]
struct Replacement {
    contact: Contact,
    heard: DhtTime,
}

#[derive(Debug)]
pub(super) struct Bucket {
    lower: DhtId,
    /// How many leading bits the ids in it share with `lower`.
    depth: usize,
    /// Least recently heard of first.
    members: VecDeque<Member>,
    /// Least recently heard of first.
    replacements: VecDeque<Replacement>,
    last_heard: DhtTime,
}

impl Bucket {
    /// The bucket that covers everything.
    pub(super) fn root(now: DhtTime) -> Self {
        Self::covering(DhtId::MIN, 0, now)
    }

    fn covering(lower: DhtId, depth: usize, now: DhtTime) -> Self {
        Self { lower, depth, members: VecDeque::new(), replacements: VecDeque::new(), last_heard: now }
    }

    pub(super) fn lower(&self) -> DhtId {
        self.lower
    }

    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn last_heard(&self) -> DhtTime {
        self.last_heard
    }

    pub(super) fn members(&self) -> impl ExactSizeIterator<Item = Contact> {
        self.members.iter().map(|member| member.contact)
    }

    /// The peer that is a member under `id`.
    pub(super) fn member_under(&self, id: &DhtId) -> Option<PeerId> {
        self.members().find(|contact| contact.id == *id).map(|contact| contact.peer)
    }

    /// The peer that waits under `id`.
    pub(super) fn replacement_under(&self, id: &DhtId) -> Option<PeerId> {
        let mut waiting = self.replacements.iter().map(|replacement| replacement.contact);
        waiting.find(|contact| contact.id == *id).map(|contact| contact.peer)
    }

    pub(super) fn insert(&mut self, contact: Contact, now: DhtTime) -> Inserted {
        self.last_heard = now;
        if let Some(position) = self.members.iter().position(|member| member.contact.id == contact.id) {
            self.members.remove(position);
            self.members.push_back(Member { contact, heard: now, checking: false });
            return Inserted::Refreshed;
        }
        if self.members.len() == BUCKET_SIZE {
            return Inserted::Full;
        }
        self.replacements.retain(|replacement| replacement.contact.id != contact.id);
        self.members.push_back(Member { contact, heard: now, checking: false });
        Inserted::Added
    }

    /// Keeps `contact` for when a member fails; gives back the one that had to make room.
    pub(super) fn add_replacement(&mut self, contact: Contact, now: DhtTime) -> Option<Contact> {
        self.replacements.retain(|replacement| replacement.contact.id != contact.id);
        self.replacements.push_back(Replacement { contact, heard: now });
        let displaced =
            if self.replacements.len() > MAX_REPLACEMENTS { self.replacements.pop_front() } else { None };
        displaced.map(|replacement| replacement.contact)
    }

    /// The member that was heard of least recently and is not being checked; it counts as being checked from now on.
    pub(super) fn check_oldest(&mut self) -> Option<Contact> {
        let member = self.members.iter_mut().find(|member| !member.checking)?;
        member.checking = true;
        Some(member.contact)
    }

    /// The member with this id, unless it is being checked already.
    pub(super) fn check_one(&mut self, id: &DhtId) -> Option<Contact> {
        let member = self.members.iter_mut().find(|member| member.contact.id == *id && !member.checking)?;
        member.checking = true;
        Some(member.contact)
    }

    pub(super) fn leave_unchecked(&mut self, id: &DhtId) {
        let member = self.members.iter_mut().find(|member| member.contact.id == *id);
        member.into_iter().for_each(|member| member.checking = false);
    }

    pub(super) fn time_leapt(&mut self, now: DhtTime) {
        self.last_heard = self.last_heard.min(now);
        self.members.iter_mut().for_each(|member| member.heard = member.heard.min(now));
        self.replacements.iter_mut().for_each(|replacement| replacement.heard = replacement.heard.min(now));
    }

    /// When the member was heard of that is the least recent of those that are not being checked.
    pub(super) fn oldest(&self) -> Option<DhtTime> {
        self.members.iter().find(|member| !member.checking).map(|member| member.heard)
    }

    /// Removes `id`; the most recent replacement takes a member's place, where it stands by when it was heard of.
    pub(super) fn remove(&mut self, id: &DhtId) {
        self.replacements.retain(|replacement| replacement.contact.id != *id);
        if let Some(position) = self.members.iter().position(|member| member.contact.id == *id) {
            self.members.remove(position);
            if let Some(replacement) = self.replacements.pop_back() {
                self.promote(replacement);
            }
        }
    }

    fn promote(&mut self, Replacement { contact, heard }: Replacement) {
        let place = self.members.iter().rposition(|member| member.heard <= heard).map_or(0, |last| last + 1);
        self.members.insert(place, Member { contact, heard, checking: false });
    }

    /// Halves the bucket: this one keeps the lower half, the upper half is given back.
    pub(super) fn split(&mut self, now: DhtTime) -> Bucket {
        let mut upper = Self::covering(self.lower.with_bit(self.depth), self.depth + 1, now);
        upper.last_heard = self.last_heard;
        let bit = self.depth;
        self.depth += 1;
        for member in std::mem::take(&mut self.members) {
            let half = if member.contact.id.bit(bit) { &mut upper } else { &mut *self };
            half.members.push_back(member);
        }
        // The most recent ones come first into the places that are free now.
        for replacement in std::mem::take(&mut self.replacements).into_iter().rev() {
            let half = if replacement.contact.id.bit(bit) { &mut upper } else { &mut *self };
            match half.members.len() < BUCKET_SIZE {
                true => half.promote(replacement),
                false => half.replacements.push_front(replacement),
            }
        }
        upper
    }
}
