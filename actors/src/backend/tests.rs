//! A model server that comes and goes: scripted in virtual time, and a real one over loopback.

mod loopback;
mod reload;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
};

use futures::future::LocalBoxFuture;
use tokio::time::sleep;
use tracing::Level;

use super::*;
use crate::{
    clock::SystemClock,
    logged::Logged,
    server_info::{self, messages::Field, tests::offer},
};

const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(3);

/// What the scripted model server does at a look.
#[derive(Debug, Clone, Default)]
enum Script {
    Says(&'static str),
    #[default]
    Fails,
    Hangs,
}

/// A model server that does what the test says, and counts who looks at it.
#[derive(Clone, Default)]
struct Scripted {
    script: Rc<RefCell<Script>>,
    looks: Rc<Cell<usize>>,
    looking: Rc<Cell<usize>>,
    most_at_once: Rc<Cell<usize>>,
}

impl Scripted {
    fn now(&self, script: Script) {
        *self.script.borrow_mut() = script;
    }
}

/// One look under way, until it is dropped.
struct Looking(Rc<Cell<usize>>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl Check for Scripted {
    fn check(&self) -> LocalBoxFuture<'static, Result<Statement, CheckError>> {
        self.looks.set(self.looks.get() + 1);
        self.looking.set(self.looking.get() + 1);
        self.most_at_once.set(self.most_at_once.get().max(self.looking.get()));
        let looking = Looking(self.looking.clone());
        let script = self.script.borrow().clone();
        Box::pin(async move {
            let _looking = looking;
            match script {
                Script::Says(text) => Ok(Statement::Whole(text.into())),
                Script::Fails => Err(CheckError::Status(500)),
                Script::Hangs => std::future::pending().await,
            }
        })
    }
}

fn settings() -> Settings {
    Settings {
        source: HealthSource::Url("http://127.0.0.1:1/health".parse().unwrap()),
        interval: INTERVAL,
        timeout: TIMEOUT,
        healthy_after: 2.try_into().unwrap(),
        unhealthy_after: 3.try_into().unwrap(),
    }
}

fn store(stated: Vec<Field>) -> Addr<ServerInfoStore> {
    let settings = server_info::Settings { stated, ..server_info::Settings::volatile(Some(offer())) };
    ServerInfoStore::new(settings, Birth::detached().0).start()
}

fn start(store: &Addr<ServerInfoStore>, backend: &Scripted, generation: u64) -> Addr<Backend> {
    let birth = Birth { generation, ..Birth::detached().0 };
    let check: Option<Box<dyn Check>> = Some(Box::new(backend.clone()));
    Backend { check, ..Backend::new(settings(), store.clone(), Arc::new(SystemClock), birth) }.start()
}

async fn snapshots(store: &Addr<ServerInfoStore>) -> Snapshots {
    store.send(Subscribe).await.unwrap()
}

fn now(snapshots: &Snapshots) -> (u64, ServerState, Option<u64>) {
    let now = snapshots.borrow().clone().unwrap();
    (now.version, now.offer.server.state, now.offer.server.cache_tokens_left)
}

async fn report(actor: &Addr<Backend>) -> serde_json::Value {
    actor.send(Probe).await.unwrap().0
}

/// To between two looks.
async fn looks(count: u32) {
    sleep(INTERVAL * count).await;
}

#[actix_rt::test]
async fn the_state_follows_several_looks_in_a_row() {
    tokio::time::pause();
    let (store, backend) = (store(Vec::new()), Scripted::default());
    let actor = start(&store, &backend, 1);
    let state = snapshots(&store).await;
    sleep(INTERVAL / 2).await;
    assert_eq!(now(&state), (1, ServerState::Joining, None));
    backend.now(Script::Says(r#"{"cache_tokens_left": 5}"#));
    looks(1).await;
    assert_eq!(now(&state), (2, ServerState::Joining, Some(5)));
    looks(1).await;
    assert_eq!(now(&state), (3, ServerState::Online, Some(5)));
    looks(100).await;
    assert_eq!(now(&state).0, 3, "what is no change is none");

    // Two failures are forgiven, as often as they come.
    for _ in 0..5 {
        backend.now(Script::Fails);
        looks(2).await;
        assert_eq!(now(&state), (3, ServerState::Online, Some(5)));
        backend.now(Script::Says(""));
        looks(1).await;
    }
    backend.now(Script::Fails);
    looks(3).await;
    assert_eq!(now(&state), (4, ServerState::Joining, Some(5)));
    let told = report(&actor).await;
    assert_eq!((&told["healthy"], &told["state"]), (&false.into(), &"joining".into()));
    assert_eq!((&told["failures_in_a_row"], &told["last_error"]), (&3.into(), &"it answered 500".into()));
    assert!((30.0..40.0).contains(&told["seconds_since_success"].as_f64().unwrap()), "{told}");

    // State and figures that change together are one version.
    backend.now(Script::Says("ok"));
    looks(1).await;
    backend.now(Script::Says(r#"{"cache_tokens_left": 6}"#));
    looks(1).await;
    assert_eq!(now(&state), (5, ServerState::Online, Some(6)));
}

#[actix_rt::test]
async fn a_model_server_that_hangs_is_not_well_and_is_asked_once_at_a_time() {
    tokio::time::pause();
    let (store, backend) = (store(Vec::new()), Scripted::default());
    backend.now(Script::Says(""));
    let actor = start(&store, &backend, 1);
    let state = snapshots(&store).await;
    looks(2).await;
    assert_eq!(now(&state).1, ServerState::Online);
    backend.now(Script::Hangs);
    looks(4).await;
    assert_eq!(now(&state).1, ServerState::Joining);
    assert_eq!(report(&actor).await["last_error"], "no answer within 3s");
    looks(1000).await;
    assert_eq!((backend.most_at_once.get(), backend.looking.get()), (1, 0));
    assert!((1000..1010).contains(&backend.looks.get()), "{}", backend.looks.get());
}

#[actix_rt::test]
async fn a_restart_keeps_online_until_one_look_fails() {
    tokio::time::pause();
    for (script, expected) in [(Script::Says(""), ServerState::Online), (Script::Fails, ServerState::Joining)]
    {
        let (store, backend) = (store(Vec::new()), Scripted::default());
        let change = Change { state: Some(ServerState::Online), ..Change::default() };
        store.send(Update { source: Source::Backend, change }).await.unwrap().unwrap();
        backend.now(script.clone());
        start(&store, &backend, 2);
        sleep(Duration::from_millis(1)).await;
        assert_eq!((backend.looks.get(), now(&snapshots(&store).await).1), (1, expected), "{script:?}");
    }
    // What nobody has claimed is not claimed after a restart either.
    let (store, backend) = (store(Vec::new()), Scripted::default());
    backend.now(Script::Says(""));
    start(&store, &backend, 2);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(now(&snapshots(&store).await).1, ServerState::Joining);
}

#[actix_rt::test]
async fn where_the_config_says_the_state_only_figures_are_taken() {
    tokio::time::pause();
    let (store, backend) = (store(vec![Field::State]), Scripted::default());
    backend.now(Script::Says(r#"{"cache_tokens_left": 5}"#));
    start(&store, &backend, 1);
    looks(10).await;
    assert_eq!(now(&snapshots(&store).await), (2, ServerState::Joining, Some(5)));
}

#[actix_rt::test]
async fn nothing_is_said_after_a_drain() {
    tokio::time::pause();
    let (store, backend) = (store(Vec::new()), Scripted::default());
    backend.now(Script::Says(r#"{"cache_tokens_left": 5}"#));
    let actor = start(&store, &backend, 1);
    actor.send(Drain).await.unwrap();
    let looked = backend.looks.get();
    looks(10).await;
    assert_eq!(backend.looks.get(), looked);
    assert_eq!(now(&snapshots(&store).await), (1, ServerState::Joining, None));
}

/// How many infos and how many warnings there are since the last time.
fn told(logged: &Logged) -> (usize, usize) {
    let lines = logged.take();
    let warnings = lines.iter().filter(|line| line.level == Level::WARN).count();
    (lines.len() - warnings, warnings)
}

#[actix_rt::test]
async fn each_change_is_one_line_and_each_refusal_one_warning() {
    tokio::time::pause();
    let (logged, _logging) = Logged::of("petald_actors::backend");
    let (store, backend) = (store(Vec::new()), Scripted::default());
    let actor = start(&store, &backend, 1);
    looks(20).await;
    assert_eq!(told(&logged), (1, 0), "not healthy yet");
    backend.now(Script::Says(r#"{"cache_tokens_left": 5}"#));
    looks(20).await;
    assert_eq!(told(&logged), (1, 0), "healthy");
    backend.now(Script::Says(r#"{"throughput": -1, "cache_tokens_left": 6}"#));
    looks(5).await;
    backend.now(Script::Says(r#"{"throughput": -2, "network_rps": "fast"}"#));
    looks(20).await;
    backend.now(Script::Says(""));
    looks(1).await;
    assert_eq!(report(&actor).await["refused"], serde_json::json!({}));
    backend.now(Script::Says(r#"{"throughput": "x"}"#));
    looks(5).await;
    assert_eq!(told(&logged), (0, 2), "throughput, network_rps");
    assert_eq!(report(&actor).await["refused"], serde_json::json!({ "throughput": "is not a number" }));
    let server = snapshots(&store).await.borrow().clone().unwrap().offer.server.clone();
    assert_eq!(
        (server.cache_tokens_left, server.throughput, server.network_rps),
        (Some(6), offer().server.throughput, None)
    );

    backend.now(Script::Fails);
    looks(20).await;
    assert_eq!(told(&logged), (0, 1), "unhealthy");
    backend.now(Script::Says("{"));
    looks(20).await;
    assert_eq!(told(&logged), (1, 1), "healthy, and what it says is refused again");
}
