//! The API as its users meet it: over real sockets, in front of a real tree.

mod changes;
mod map;
mod openapi;
mod strangers;

use std::sync::{Arc, Mutex};

use actix::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;

use super::*;
use crate::history::messages::{Chronicle, Crawl, Limits, Seen, Sighting};
use crate::observer::messages::{Layer, Look, Opinion, Through, Verdict};
use crate::supervisor::{
    ActorState, Backoff, ChildSettings, Intensity, Outcome, Slot, Strategy, Tree, actor, supervisor,
};

/// The name of one that never becomes ready.
const MUTE: &str = "mute";

/// An actor that does nothing but report.
struct Speaker(Value);

impl Actor for Speaker {
    type Context = Context<Self>;
}

impl Handler<Probe> for Speaker {
    type Result = ProbeReport;

    fn handle(&mut self, _: Probe, _: &mut Self::Context) -> ProbeReport {
        ProbeReport(self.0.clone())
    }
}

impl Handler<Drain> for Speaker {
    type Result = ();

    fn handle(&mut self, _: Drain, _: &mut Self::Context) {}
}

struct Node {
    tree: supervisor::Handle,
    outcome: LocalBoxFuture,
    bound: watch::Receiver<Option<Bound>>,
    peer_id: PeerId,
    opinion: watch::Sender<Arc<Opinion>>,
    log: Arc<Log>,
    doors: Doors,
    token: Option<Token>,
}

/// A log that takes every level but `wrong`.
struct Log(Mutex<LogLevels>);

impl LogControl for Log {
    fn levels(&self) -> LogLevels {
        self.0.lock().unwrap().clone()
    }

    fn set(&self, levels: &LogLevels) -> Result<(), Vec<(&'static str, String)>> {
        let texts = [("files", Some(&levels.files)), ("console", levels.console.as_ref())];
        let wrong = texts.into_iter().filter(|(_, text)| text.is_some_and(|text| text == "wrong"));
        let wrong: Vec<_> = wrong.map(|(field, _)| (field, "is no level".to_owned())).collect();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        *self.0.lock().unwrap() = levels.clone();
        Ok(())
    }

    fn dropped_lines(&self) -> u64 {
        3
    }
}

type LocalBoxFuture = std::pin::Pin<Box<dyn Future<Output = Outcome>>>;

/// A tree of the named speakers and the API, which is up.
async fn start(listen: Listen, crash_endpoint: bool, speakers: &[(&'static str, Value)]) -> Node {
    start_with(listen, crash_endpoint, speakers, None).await
}

/// The same, opened by a token.
async fn start_with(
    listen: Listen,
    crash_endpoint: bool,
    speakers: &[(&'static str, Value)],
    token: Option<Token>,
) -> Node {
    let (bound, seen) = watch::channel(None);
    let peer_id = PeerId::random();
    let tree = TreeCell::default();
    let (opinion, visibility) = watch::channel(Arc::new(Opinion::none()));
    let log = Arc::new(Log(Mutex::new(LogLevels { files: "info".into(), console: Some("warn".into()) })));
    let doors = Doors::default();
    let settings = Settings {
        listen,
        token: token.clone(),
        started: DhtTime::from_unix(1e9).unwrap(),
        log: Some(log.clone()),
        doors: doors.clone(),
        swarm: Some(watch::channel(Some(Arc::new(crate::monitor::tests::small()))).1),
        crash_endpoint,
        name: Live::new(Some("a node".into())),
        version: "1.2.3".into(),
        peer_id,
        visibility,
        history: Some(watch::channel(Arc::new(history(peer_id))).1),
        clock: Arc::new(crate::clock::SystemClock),
        tree: Arc::clone(&tree),
        bound,
    };
    let quick = ChildSettings { probe_period: Duration::from_millis(10), ..ChildSettings::default() };
    let soon = Duration::from_millis(200);
    let backoff = Backoff { first: soon, cap: soon, ..Backoff::default() };
    let hasty = ChildSettings { backoff, start_deadline: soon * 3, probe_deadline: soon, ..quick };
    let mut children = Vec::new();
    for (name, report) in speakers.iter().cloned() {
        let settings = if name == MUTE { hasty } else { quick };
        children.push(actor(name, &Slot::new(), settings, move |birth: Birth| {
            if name != MUTE {
                birth.ready.notify();
            }
            Speaker(report.clone())
        }));
    }
    children.push(actor("admin", &Slot::new(), quick, move |birth| Admin::new(settings.clone(), birth)));
    let root = supervisor("root", Strategy::OneForOne, Intensity::default(), children);
    let (handle, outcome) = Tree::new(root).unwrap().start();
    tree.set(handle.clone()).unwrap();
    let node =
        Node { tree: handle, outcome: Box::pin(outcome), bound: seen, peer_id, opinion, log, doors, token };
    let all_report = |tree: &supervisor::TreeStatus| {
        tree.actors.iter().all(|actor| actor.report.is_some() || actor.name == MUTE)
    };
    until(&node, all_report).await;
    node
}

/// A history in which one server was seen.
fn history(peer: PeerId) -> Chronicle {
    let mut chronicle = Chronicle::new(Limits { keep: 1 << 40, gap: 60, weight: 1 << 20 });
    let seen = Seen { sighting: Sighting::Online, name: Some("a node".into()), model: Some("m".into()) };
    chronicle.observe(&Crawl { at: 1_000_000_000, servers: [(peer, seen)].into() });
    chronicle
}

/// Waits for the tree to become so.
async fn until(node: &Node, so: impl Fn(&supervisor::TreeStatus) -> bool) {
    let waiting = async {
        while !so(&node.tree.status().await) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it never became so");
}

fn any_port() -> Listen {
    Listen::Tcp("127.0.0.1:0".parse().unwrap())
}

impl Node {
    fn bound(&self) -> Bound {
        self.bound.borrow().clone().expect("it is bound")
    }

    /// Sends a request, and gives back the status and the JSON of the answer.
    async fn ask(&self, method: &str, path: &str) -> (u16, Value) {
        self.send(method, path, "", "").await
    }

    /// The same with lines of a head, each with its end, and a body.
    async fn send(&self, method: &str, path: &str, head: &str, body: &str) -> (u16, Value) {
        let (status, head, body) = self.raw(method, path, head, body).await;
        assert!(head.contains("content-type: application/json"), "{head}");
        (status, serde_json::from_str(&body).unwrap())
    }

    /// The same, whatever the answer is.
    async fn raw(&self, method: &str, path: &str, head: &str, body: &str) -> (u16, String, String) {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: petald\r\nconnection: close\r\ncontent-length: {length}\r\n{head}\r\n{body}"
        );
        let answer = match self.bound() {
            Bound::Tcp(address) => exchange(TcpStream::connect(address).await.unwrap(), &request).await,
            Bound::Unix(socket) => exchange(UnixStream::connect(socket).await.unwrap(), &request).await,
        };
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        (head[9..12].parse().unwrap(), head.to_owned(), body.to_owned())
    }

    async fn end(self) {
        self.tree.stop();
        assert_eq!(self.outcome.await, Outcome::Drained);
        assert_eq!(*self.bound.borrow(), None);
    }
}

async fn exchange(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    request: &str,
) -> String {
    let mut answer = String::new();
    let exchange = async {
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_to_string(&mut answer).await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(10), exchange).await.expect("no answer");
    answer
}

#[actix_rt::test]
async fn it_tells_of_the_node_and_its_actors() {
    let network = json!({ "listening": ["/ip4/127.0.0.1/tcp/31337"], "peers": 3 });
    let node =
        start(any_port(), false, &[("network", network.clone()), ("server_info", json!({ "state": 2 }))])
            .await;
    let (status, live) = node.ask("GET", "/livez").await;
    assert_eq!((status, &live["live"]), (200, &json!(true)));
    let (status, described) = node.ask("GET", "/api/v1/node").await;
    assert_eq!(status, 200);
    assert_eq!(described["name"], "a node");
    assert_eq!(described["version"], "1.2.3");
    assert_eq!(described["peer_id"], node.peer_id.to_string());
    assert_eq!(described["listen"], json!([format!("/ip4/127.0.0.1/tcp/31337/p2p/{}", node.peer_id)]));
    assert_eq!(described["reports"]["network"], network);
    assert_eq!(described["reports"]["admin"]["listen"], node.bound().to_string());
    let names: Vec<_> = described["actors"].as_array().unwrap().iter().map(|actor| &actor["name"]).collect();
    assert_eq!(names, ["network", "server_info", "admin"]);
    let actor = &described["actors"][0];
    assert_eq!((&actor["state"], &actor["restarts"]), (&json!("running"), &json!(0)));
    assert_eq!((&actor["last_error"], &actor["generation"]), (&Value::Null, &json!(1)));
    assert_eq!(node.ask("GET", "/api/v1/server-info").await, (200, json!({ "state": 2 })));
    node.end().await;
}

#[actix_rt::test]
async fn live_is_who_has_answered_lately() {
    let node = start(any_port(), false, &[("speaker", json!(1)), (MUTE, json!(1))]).await;
    let (status, live) = node.ask("GET", "/livez").await;
    let expected = json!({ "live": true, "tree": "starting", "silent": [] });
    assert_eq!((status, live), (200, expected), "it is given the time to be restarted");
    until(&node, |tree| tree.silent().next().is_some()).await;
    let (status, live) = node.ask("GET", "/livez?verbose").await;
    assert_eq!((status, &live["live"], &live["silent"]), (503, &json!(false), &json!([MUTE])));
    let named: Vec<_> = live["actors"].as_array().unwrap().iter().map(|actor| &actor["name"]).collect();
    assert_eq!(named, ["speaker", MUTE, "admin"]);
    let mute = &live["actors"][1];
    assert!(mute["silent_seconds"].as_f64() > mute["tolerated_silence_seconds"].as_f64(), "{mute}");
    assert!(mute["last_error"].as_str().unwrap().starts_with("not ready within"), "{mute}");
    node.end().await;
}

#[actix_rt::test]
async fn ready_is_what_a_stranger_sees() {
    let node = start(any_port(), false, &[]).await;
    let (status, word) = node.ask("GET", "/readyz").await;
    assert_eq!((status, &word["verdict"], &word["layer"]), (503, &json!("unknown"), &Value::Null));
    assert_eq!(word["cause"], "not looked yet");

    let look = Look {
        through: Through::Others,
        doors: vec![],
        claimed: None,
        blocks: vec![],
        listed: Some(true),
        answer_seconds: Some(0.1),
        clock_offset_seconds: None,
        peers_met: 3,
        seconds: 0.2,
    };
    let visible = Opinion {
        verdict: Verdict::Visible,
        look: Some(look),
        valid_for: Duration::from_secs(60),
        ..Opinion::none()
    };
    node.opinion.send_replace(Arc::new(visible.clone()));
    let (status, word) = node.ask("GET", "/readyz").await;
    assert_eq!((status, &word["ready"], word.get("look")), (200, &json!(true), None));
    let (status, word) = node.ask("GET", "/readyz?verbose").await;
    assert_eq!((status, &word["look"]["through"]), (200, &json!("others")));

    // A word that nobody has renewed for too long counts for nothing.
    let old = Opinion { valid_for: Duration::ZERO, ..visible };
    node.opinion.send_replace(Arc::new(old));
    let (status, word) = node.ask("GET", "/readyz").await;
    assert_eq!((status, &word["ready"], &word["stale"]), (503, &json!(false), &json!(true)));

    let lost = Opinion {
        verdict: Verdict::Invisible,
        layer: Some(Layer::OurAddress),
        cause: "refused".into(),
        ..Opinion::none()
    };
    node.opinion.send_replace(Arc::new(lost));
    let (status, word) = node.ask("GET", "/readyz").await;
    assert_eq!((status, &word["verdict"], &word["layer"]), (503, &json!("invisible"), &json!("our_address")));
    assert_eq!(word["cause"], "refused");
    node.end().await;
}

#[actix_rt::test]
async fn errors_are_json() {
    let node = start(any_port(), false, &[]).await;
    for (method, path, status) in [
        ("POST", "/", 405),
        ("GET", "/page/", 404),
        ("GET", "/api/v1/nodes", 404),
        ("POST", "/livez", 405),
        ("DELETE", "/api/v1/server-info", 405),
        ("GET", "/debug/crash/admin", 405),
        ("POST", "/debug/crash/admin", 404),
        ("GET", "/api/v1/server-info", 404),
    ] {
        let (answered, body) = node.ask(method, path).await;
        assert_eq!(answered, status, "{method} {path}");
        assert!(body["error"].is_string(), "{body}");
    }
    assert_eq!(node.tree.status().await.actors[0].panics, 0);
    node.end().await;
}

#[actix_rt::test]
async fn it_crashes_whom_it_is_told_to() {
    let node = start(any_port(), true, &[("speaker", json!(1))]).await;
    assert_eq!(node.ask("POST", "/debug/crash/nobody").await.0, 404);
    assert_eq!(node.ask("POST", "/debug/crash/speaker").await, (202, json!({ "crashed": "speaker" })));
    until(&node, |tree| tree.actors[0].generation == 2 && tree.actors[0].state == ActorState::Running).await;
    let (_, described) = node.ask("GET", "/api/v1/node").await;
    assert_eq!(described["actors"][0]["restarts"], 1);
    assert!(described["actors"][0]["last_error"].is_string());
    node.end().await;
}

#[actix_rt::test]
async fn crashed_itself_it_comes_back_at_the_same_port() {
    let mut node = start(any_port(), true, &[]).await;
    let before = node.bound();
    node.bound.mark_unchanged();
    assert_eq!(node.ask("POST", "/debug/crash/admin").await.0, 202);
    tokio::time::timeout(Duration::from_secs(10), node.bound.changed()).await.unwrap().unwrap();
    assert_eq!(node.bound(), before);
    assert_eq!(node.ask("GET", "/livez").await.0, 200);
    node.end().await;
}

#[actix_rt::test]
async fn a_taken_port_is_weather() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut node = start(Listen::Tcp(address), false, &[]).await;
    let report = node.tree.status().await.actors[0].report.clone().unwrap();
    assert_eq!((&report["listen"], report["last_error"].is_string()), (&Value::Null, true), "{report}");
    drop(taken);
    tokio::time::timeout(Duration::from_secs(10), node.bound.changed()).await.unwrap().unwrap();
    assert_eq!(node.bound(), Bound::Tcp(address));
    assert_eq!(node.ask("GET", "/livez").await.0, 200);
    assert_eq!(node.tree.status().await.actors[0].restarts, 0);
    node.end().await;
}

#[actix_rt::test]
async fn a_unix_socket_comes_and_goes() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let node = start(Listen::Unix(socket.clone()), false, &[]).await;
    assert_eq!(node.bound().to_string(), format!("unix:{}", socket.display()));
    assert_eq!(node.ask("GET", "/livez").await.0, 200);
    node.end().await;
    assert!(!socket.exists());
}

#[actix_rt::test]
async fn nobody_can_make_it_wait_or_grow() {
    let node = start(any_port(), false, &[]).await;
    let Bound::Tcp(address) = node.bound() else { panic!() };
    let endless = format!("GET /livez HTTP/1.1\r\nx: {}", "x".repeat(1 << 20));
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may close before all of it is written.
    let _ = stream.write_all(endless.as_bytes()).await;
    let mut answer = Vec::new();
    let _ =
        tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect("no end");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    let idle: Vec<_> =
        futures::future::join_all((0..MOST_CONNECTIONS / 2).map(|_| TcpStream::connect(address))).await;
    assert_eq!(node.ask("GET", "/livez").await.0, 200);
    drop(idle);
    node.end().await;
}
