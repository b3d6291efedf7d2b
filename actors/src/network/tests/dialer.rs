//! The attempts as data.

use std::time::Duration;

use futures::channel::oneshot;
use hivemind_proto::unary::{CallError, OutboundCall};
use libp2p::PeerId;

use super::{
    super::{
        ConnectError,
        dialer::{Dialer, DialerLimits, Next, Waiter},
    },
    node::name,
};

const LIMITS: DialerLimits = DialerLimits { attempts: 2, waiters: 3, lookups: 1 };

type CallReply = oneshot::Receiver<Result<Vec<u8>, CallError>>;

fn call() -> (Waiter, CallReply) {
    let (reply, receiver) = oneshot::channel();
    let call = OutboundCall { handler: name("x"), data: vec![], deadline: Duration::from_secs(1), reply };
    (Waiter::Call(call), receiver)
}

fn failure(mut reply: CallReply) -> CallError {
    reply.try_recv().unwrap().expect("an outcome").unwrap_err()
}

#[test]
fn all_who_wait_share_one_attempt() {
    let mut dialer = Dialer::new(LIMITS);
    let peer = PeerId::random();
    let (first, _a) = call();
    let (second, _b) = call();
    assert_eq!(dialer.wait(peer, first), Next::Dial);
    assert_eq!(dialer.wait(peer, second), Next::Nothing);
    assert_eq!(dialer.connected(&peer).0.len(), 2);
    assert_eq!((dialer.attempts(), dialer.waiting()), (0, 0));
    assert!(dialer.connected(&peer).0.is_empty());
}

#[test]
fn a_failed_dial_makes_one_lookup_due() {
    let mut dialer = Dialer::new(LIMITS);
    let peer = PeerId::random();
    let (waiter, reply) = call();
    dialer.wait(peer, waiter);
    dialer.dial_failed(&peer, "refused".to_owned());
    assert!(!dialer.has_looked_up(&peer));
    assert_eq!(dialer.next_lookup(), Some(peer));
    assert_eq!(dialer.next_lookup(), None, "it is due once");
    dialer.fail(&peer, "");
    assert_eq!(failure(reply), CallError::Unreachable("refused".to_owned()));
}

#[test]
fn who_is_over_the_limits_is_told_busy() {
    let mut dialer = Dialer::new(LIMITS);
    let peers = [PeerId::random(), PeerId::random(), PeerId::random()];
    let (first, _a) = call();
    let (second, _b) = call();
    let (third, reply) = call();
    dialer.wait(peers[0], first);
    dialer.wait(peers[1], second);
    assert_eq!(dialer.wait(peers[2], third), Next::Nothing);
    assert_eq!(failure(reply), CallError::Busy, "no third attempt");
    let (third, _c) = call();
    dialer.wait(peers[0], third);
    let (sender, mut reply) = oneshot::channel();
    dialer.wait(peers[0], Waiter::Connect(sender));
    assert_eq!(reply.try_recv(), Ok(Some(Err(ConnectError::Busy))), "no fourth who waits");
    assert_eq!((dialer.attempts(), dialer.waiting()), (2, 3));
}

#[test]
fn those_who_have_gone_are_forgotten() {
    let mut dialer = Dialer::new(LIMITS);
    let (gone, waiting) = (PeerId::random(), PeerId::random());
    let (first, reply) = call();
    let (second, _b) = call();
    dialer.wait(gone, first);
    dialer.wait(waiting, second);
    dialer.dial_failed(&gone, String::new());
    drop(reply);
    assert!(dialer.forget_cancelled().is_empty());
    assert_eq!((dialer.attempts(), dialer.waiting()), (1, 1));
    assert_eq!(dialer.next_lookup(), None);
    // A late outcome of a forgotten attempt changes nothing.
    dialer.dial_failed(&gone, String::new());
    dialer.fail(&gone, "late");
    assert_eq!(dialer.attempts(), 1);
}
