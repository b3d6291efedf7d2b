//! Another model server, and more patience with it, while the node runs.

use super::*;
use crate::config_keeper::messages::{Apply, Validate};

async fn apply(actor: &Addr<Backend>, settings: Settings) {
    actor.send(Validate(Arc::new(settings.clone()))).await.unwrap().unwrap();
    actor.send(Apply(Arc::new(settings))).await.unwrap();
}

/// A file that nobody touches.
fn nobody(folder: &tempfile::TempDir) -> Settings {
    let source = HealthSource::File { path: folder.path().join("alive"), max_age: INTERVAL };
    Settings { source, ..settings() }
}

#[actix_rt::test]
async fn another_model_server_has_to_succeed_at_once() {
    tokio::time::pause();
    let folder = tempfile::tempdir().unwrap();
    let (store, backend) = (store(Vec::new()), Scripted::default());
    backend.now(Script::Says(""));
    let actor = start(&store, &backend, 1);
    let state = snapshots(&store).await;
    looks(3).await;
    assert_eq!(now(&state).1, ServerState::Online);
    let looked = backend.looks.get();
    apply(&actor, nobody(&folder)).await;
    sleep(TIMEOUT).await;
    assert_eq!(now(&state).1, ServerState::Joining, "one failed look is enough");
    assert!(report(&actor).await["follows"].as_str().unwrap().ends_with("/alive"));

    // Whoever is there by then counts as any other from the second look on.
    std::fs::write(folder.path().join("alive"), "").unwrap();
    looks(2).await;
    assert_eq!(backend.looks.get(), looked, "nobody looks at the old one any more");
    actor.send(Drain).await.unwrap();
}

#[actix_rt::test]
async fn looks_go_on_at_the_new_pace() {
    tokio::time::pause();
    let folder = tempfile::tempdir().unwrap();
    let (store, backend) = (store(Vec::new()), Scripted::default());
    let actor = start(&store, &backend, 1);
    apply(&actor, nobody(&folder)).await;
    looks(10).await;
    let before = report(&actor).await["looks"].as_u64().unwrap();
    let slow = Settings { interval: INTERVAL * 10, ..nobody(&folder) };
    apply(&actor, slow).await;
    looks(99).await;
    let looks = report(&actor).await["looks"].as_u64().unwrap() - before;
    assert!((9..=11).contains(&looks), "{looks} looks");
    let hasty = Settings { timeout: INTERVAL, ..nobody(&folder) };
    assert!(actor.send(Validate(Arc::new(hasty))).await.unwrap().is_err());
}
