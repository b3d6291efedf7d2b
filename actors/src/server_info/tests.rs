//! Changes, who may make them, and their subscribers.

mod kept;
mod reload;

use actix::Addr;
use hivemind_proto::records::{BlockRange, Rps, ServerState};
use serde_json::json;

use super::{messages::Change, *};

pub(crate) fn offer() -> Offer {
    Offer {
        prefix: "tiny-llama-hf".parse().unwrap(),
        model: ModelInfo::new(8, None).unwrap(),
        server: ServerInfo::new(ServerState::Joining, Rps::ZERO, BlockRange::new(0, 4).unwrap()),
    }
}

fn start(settings: Settings) -> Addr<ServerInfoStore> {
    ServerInfoStore::new(settings, Birth::detached().0).start()
}

fn online() -> Change {
    Change { state: Some(ServerState::Online), ..Change::default() }
}

fn tokens(left: u64) -> Change {
    Change { cache_tokens_left: Some(left), ..Change::default() }
}

async fn say(store: &Addr<ServerInfoStore>, source: Source, change: Change) -> Result<u64, UpdateError> {
    store.send(Update { source, change }).await.unwrap()
}

async fn report(store: &Addr<ServerInfoStore>) -> serde_json::Value {
    store.send(Probe).await.unwrap().0
}

#[actix_rt::test]
async fn a_change_counts_up_the_version_and_reaches_subscribers() {
    let store = start(Settings::volatile(Some(offer())));
    let mut snapshots = store.send(Subscribe).await.unwrap();
    assert_eq!(snapshots.borrow_and_update().as_ref().unwrap().version, 1);

    assert_eq!(say(&store, Source::Backend, online()).await, Ok(2));
    assert!(snapshots.has_changed().unwrap());
    let snapshot = snapshots.borrow_and_update().clone().unwrap();
    assert_eq!((snapshot.version, snapshot.offer.server.state), (2, ServerState::Online));
    assert_eq!(snapshot.source, Source::Backend);

    // The same again is no change.
    assert_eq!(say(&store, Source::Admin, Change::default()).await, Ok(2));
    assert_eq!(say(&store, Source::Backend, online()).await, Ok(2));
    assert!(!snapshots.has_changed().unwrap());
}

fn dialable(dialable: bool) -> Change {
    Change { dialable: Some(dialable), ..Change::default() }
}

#[actix_rt::test]
async fn nothing_is_online_while_nobody_can_dial_it() {
    let settings = Settings { dialable: false, ..Settings::volatile(Some(offer())) };
    let store = start(settings);
    let state = async || report(&store).await["state"].clone();
    say(&store, Source::Backend, online()).await.unwrap();
    assert_eq!(state().await, json!("joining"));
    let version = say(&store, Source::Reachability, dialable(true)).await.unwrap();
    assert_eq!(state().await, json!("online"), "what the backend said then still holds");
    assert_eq!(say(&store, Source::Reachability, dialable(true)).await, Ok(version), "no change");
    say(&store, Source::Reachability, dialable(false)).await.unwrap();
    say(&store, Source::Admin, online()).await.unwrap();
    assert_eq!(state().await, json!("joining"), "whoever says what");
    // What is told of the state meanwhile is not lost.
    let offline = Change { state: Some(ServerState::Offline), ..Change::default() };
    say(&store, Source::Admin, offline).await.unwrap();
    assert_eq!(state().await, json!("offline"));
    say(&store, Source::Reachability, dialable(true)).await.unwrap();
    assert_eq!(state().await, json!("offline"));
}

#[actix_rt::test]
async fn a_bootstrap_offers_nothing() {
    let store = start(Settings::volatile(None));
    assert_eq!(say(&store, Source::Admin, Change::default()).await, Err(UpdateError::NothingOffered));
    assert!(store.send(Subscribe).await.unwrap().borrow().is_none());
    assert_eq!(store.send(WhenSaved { version: 1 }).await.unwrap(), Ok(()));
    assert_eq!(report(&store).await, json!({ "offered": false }));
}

#[actix_rt::test]
async fn each_field_tells_who_said_it_last() {
    let store = start(Settings::volatile(Some(offer())));
    assert_eq!(report(&store).await["sources"], json!({}));
    let both = Change { throughput: Some(Rps::try_from(2.5).unwrap()), ..tokens(7) };
    say(&store, Source::Backend, both).await.unwrap();
    say(&store, Source::Admin, tokens(8)).await.unwrap();
    let report = report(&store).await;
    let expected = json!({
        "throughput": { "source": "backend", "version": 2 },
        "cache_tokens_left": { "source": "admin", "version": 3 },
    });
    assert_eq!((&report["sources"], &report["last_source"]), (&expected, &json!("admin")));
}

#[actix_rt::test]
async fn the_state_is_the_backends_unless_the_config_states_it() {
    let auto = start(Settings::volatile(Some(offer())));
    assert_eq!(say(&auto, Source::Reachability, online()).await, Err(UpdateError::StateFollowsBackend));
    assert_eq!(say(&auto, Source::Backend, online()).await, Ok(2));
    // Figures may come from anyone.
    assert_eq!(say(&auto, Source::Admin, tokens(1)).await, Ok(3));

    let stated = Settings { stated: vec![Field::State], ..Settings::volatile(Some(offer())) };
    let stated = start(stated);
    assert_eq!(say(&stated, Source::Backend, Change { cache_tokens_left: Some(7), ..online() }).await, Ok(2));
    let told = report(&stated).await;
    assert_eq!((&told["state"], &told["cache_tokens_left"]), (&json!("joining"), &json!(7)));
    assert_eq!(say(&stated, Source::Admin, online()).await, Ok(3));
    assert_eq!(report(&stated).await["state"], "online");
}

#[actix_rt::test]
async fn the_operator_takes_the_state_and_gives_it_back() {
    let settings = Settings::volatile(Some(offer()));
    let store = start(settings.clone());
    let state = |state| Change { state: Some(state), ..Change::default() };
    let auto = || Change { follow_backend: true, ..Change::default() };
    assert_eq!(say(&store, Source::Admin, online()).await, Ok(2));
    assert_eq!(report(&store).await["state_held"], true);
    // The backend is heard and not heeded, also by the next incarnation.
    assert_eq!(say(&store, Source::Backend, state(ServerState::Joining)).await, Ok(2));
    let store = start(settings.clone());
    assert_eq!(say(&store, Source::Backend, Change::default()).await, Ok(2));
    assert_eq!(report(&store).await["state"], "online");
    assert_eq!(say(&store, Source::Admin, auto()).await, Ok(3));
    let told = report(&store).await;
    assert_eq!((&told["state"], &told["state_held"]), (&json!("joining"), &json!(false)));
    assert_eq!(say(&store, Source::Backend, online()).await, Ok(4));
    // Given back where the config has stated it, and no backend has said anything: we claim nothing.
    let stated = Settings { stated: vec![Field::State], ..Settings::volatile(Some(offer())) };
    let stated = start(stated);
    assert_eq!(say(&stated, Source::Admin, online()).await, Ok(2));
    assert_eq!(say(&stated, Source::Admin, auto()).await, Ok(3));
    assert_eq!(report(&stated).await["state"], "joining");
    assert_eq!(say(&stated, Source::Backend, online()).await, Ok(4));
    let named = Change { public_name: Some("another".to_owned()), ..Change::default() };
    assert_eq!(say(&stated, Source::Admin, named).await, Ok(5));
    assert_eq!(report(&stated).await["public_name"], "another");
}

#[actix_rt::test]
async fn a_subscriber_to_each_change_misses_none_and_hears_them_in_order() {
    let store = start(Settings::volatile(Some(offer())));
    say(&store, Source::Backend, tokens(0)).await.unwrap();
    let mut changes = store.send(SubscribeEach).await.unwrap();
    for left in 1..=WAITING_CHANGES as u64 {
        say(&store, Source::Backend, tokens(left)).await.unwrap();
    }
    for left in 0..=WAITING_CHANGES as u64 {
        let Some(News::Changed(snapshot)) = changes.next().await else { panic!("lagged") };
        assert_eq!((snapshot.version, snapshot.offer.server.cache_tokens_left), (left + 2, Some(left)));
    }
    let mut late = store.send(SubscribeEach).await.unwrap();
    say(&store, Source::Backend, tokens(1000)).await.unwrap();
    let Some(News::Changed(first)) = late.next().await else { panic!("lagged") };
    assert_eq!(first.offer.server.cache_tokens_left, Some(WAITING_CHANGES as u64));
    assert_eq!(late.next().await, changes.next().await);
    drop(store);
    assert_eq!(late.next().await, None);
}

#[actix_rt::test]
async fn a_subscriber_that_lags_is_told_so_and_gets_the_latest() {
    let store = start(Settings::volatile(Some(offer())));
    let mut changes = store.send(SubscribeEach).await.unwrap();
    assert!(matches!(changes.next().await, Some(News::Changed(first)) if first.version == 1));
    let last = 2 * WAITING_CHANGES as u64 + 1;
    for left in 2..=last {
        say(&store, Source::Backend, tokens(left)).await.unwrap();
    }
    let Some(News::Lagged { missed, latest }) = changes.next().await else { panic!("it did not lag") };
    assert_eq!((missed, latest.version), (last - 2, last));
    // From there on nothing is missed or told twice.
    say(&store, Source::Backend, tokens(0)).await.unwrap();
    assert!(matches!(changes.next().await, Some(News::Changed(next)) if next.version == last + 1));
}
