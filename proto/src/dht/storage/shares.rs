//! Who stored how much: an account for each peer of which something is held.

use std::collections::HashMap;

use libp2p::PeerId;

/// Names an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storer(u32);

/// What we store ourselves is charged to nobody.
const OURSELVES: Storer = Storer(u32::MAX);

#[derive(Debug)]
struct Account {
    peer: PeerId,
    bytes: usize,
    entries: usize,
}

/// As many accounts as there are peers of which something is held.
#[derive(Debug, Default)]
pub(super) struct Shares {
    by_peer: HashMap<PeerId, Storer>,
    accounts: Vec<Account>,
    unused: Vec<Storer>,
}

impl Shares {
    /// Bytes that are held of `peer`, and its account if there are any.
    pub(super) fn of(&self, peer: &PeerId) -> (Option<Storer>, usize) {
        let storer = self.by_peer.get(peer).copied();
        (storer, storer.and_then(|storer| self.accounts.get(storer.0 as usize)).map_or(0, |a| a.bytes))
    }

    /// Notes that an entry of `bytes` came from `peer`, or from ourselves.
    pub(super) fn charge(&mut self, peer: Option<&PeerId>, bytes: usize) -> Storer {
        let Some(peer) = peer else { return OURSELVES };
        let storer = match self.by_peer.get(peer) {
            Some(storer) => *storer,
            None => self.open(*peer),
        };
        let account = &mut self.accounts[storer.0 as usize];
        account.bytes += bytes;
        account.entries += 1;
        storer
    }

    /// Notes that an entry of `bytes` is held no longer.
    pub(super) fn discharge(&mut self, storer: Storer, bytes: usize) {
        if storer == OURSELVES {
            return;
        }
        let account = &mut self.accounts[storer.0 as usize];
        account.bytes -= bytes;
        account.entries -= 1;
        if account.entries == 0 {
            self.by_peer.remove(&account.peer);
            self.unused.push(storer);
        }
    }

    pub(super) fn peers(&self) -> usize {
        self.by_peer.len()
    }

    fn open(&mut self, peer: PeerId) -> Storer {
        let account = Account { peer, bytes: 0, entries: 0 };
        let storer = match self.unused.pop() {
            Some(storer) => {
                self.accounts[storer.0 as usize] = account;
                storer
            }
            None => {
                self.accounts.push(account);
                Storer(self.accounts.len() as u32 - 1)
            }
        };
        self.by_peer.insert(peer, storer);
        storer
    }
}
