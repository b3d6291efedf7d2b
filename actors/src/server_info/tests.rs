//! Changes and their subscribers.

use hivemind_proto::records::{BlockRange, Rps, ServerState};

use super::*;

pub(crate) fn offer() -> Offer {
    Offer {
        prefix: "tiny-llama-hf".parse().unwrap(),
        model: ModelInfo::new(8, None).unwrap(),
        server: ServerInfo::new(ServerState::Joining, Rps::ZERO, BlockRange::new(0, 4).unwrap()),
    }
}

#[actix_rt::test]
async fn a_change_counts_up_the_version_and_reaches_subscribers() {
    let (birth, _) = Birth::detached();
    let store = ServerInfoStore::new(Settings { offer: Some(offer()) }, birth).start();
    let mut snapshots = store.send(Subscribe).await.unwrap();
    assert_eq!(snapshots.borrow_and_update().as_ref().unwrap().version, 1);

    let online = Change { state: Some(ServerState::Online), ..Change::default() };
    assert_eq!(store.send(Update(online.clone())).await.unwrap(), Ok(2));
    assert!(snapshots.has_changed().unwrap());
    let snapshot = snapshots.borrow_and_update().clone().unwrap();
    assert_eq!((snapshot.version, snapshot.offer.server.state), (2, ServerState::Online));

    // The same again is no change.
    assert_eq!(store.send(Update(online)).await.unwrap(), Ok(2));
    assert!(!snapshots.has_changed().unwrap());
}

#[actix_rt::test]
async fn a_bootstrap_offers_nothing() {
    let (birth, _) = Birth::detached();
    let store = ServerInfoStore::new(Settings { offer: None }, birth).start();
    assert_eq!(store.send(Update(Change::default())).await.unwrap(), Err(UpdateError::NothingOffered));
    assert!(store.send(Subscribe).await.unwrap().borrow().is_none());
}
