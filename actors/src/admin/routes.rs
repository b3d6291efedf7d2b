//! The routes. No request has a body that is read, and every wait has a deadline.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, Resource, Route, web};
use serde_json::{Map, Value, json};

use super::Settings;
use crate::observer::messages::Opinion;
use crate::supervisor::{ActorStatus, CrashError, Handle, TreeStatus};

/// For the supervisor to answer; it does so within microseconds, unless something blocks the arbiter.
const SUPERVISOR_DEADLINE: Duration = Duration::from_secs(2);

/// The actor whose report says where the node listens: multiaddresses under the key `listening`.
const NETWORK: &str = "network";
/// The actor whose report is what we serve.
const SERVER_INFO: &str = "server_info";

pub(super) fn routes(app: &mut web::ServiceConfig) {
    app.service(resource("/livez", web::get().to(livez)))
        .service(resource("/readyz", web::get().to(readyz)))
        .service(resource("/api/v1/node", web::get().to(node)))
        .service(resource("/api/v1/server-info", web::get().to(server_info)))
        .service(resource("/debug/crash/{actor}", web::post().to(crash)))
        .default_service(web::to(|| async {
            Refusal::new(StatusCode::NOT_FOUND, "there is nothing here").answer()
        }));
}

fn resource(path: &str, route: Route) -> Resource {
    let other =
        || async { Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not known here").answer() };
    web::resource(path).route(route).default_service(web::to(other))
}

/// Why there is no answer: a status, and a text for the one who asked.
struct Refusal {
    status: StatusCode,
    error: String,
}

impl Refusal {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into() }
    }

    fn unavailable(error: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }

    fn answer(self) -> HttpResponse {
        HttpResponse::build(self.status).json(json!({ "error": self.error }))
    }
}

fn answer(answer: Result<(StatusCode, Value), Refusal>) -> HttpResponse {
    match answer {
        Ok((status, value)) => HttpResponse::build(status).json(value),
        Err(refusal) => refusal.answer(),
    }
}

/// With `?verbose`, how long each actor has been silent.
async fn livez(settings: web::Data<Settings>, request: HttpRequest) -> HttpResponse {
    let tree = match tree_status(&settings).await {
        Ok(tree) => tree,
        Err(refusal) => {
            return HttpResponse::build(refusal.status)
                .json(json!({ "live": false, "error": refusal.error }));
        }
    };
    let silent: Vec<&str> = tree.silent().map(|actor| actor.name.as_str()).collect();
    let status = if silent.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut answer = json!({ "live": silent.is_empty(), "tree": tree.state, "silent": silent });
    if is_verbose(&request) {
        let actor = |actor: &ActorStatus| {
            json!({
                "name": actor.name,
                "state": actor.state,
                "silent_seconds": actor.silent_seconds,
                "tolerated_silence_seconds": actor.tolerated_silence_seconds,
                "last_error": actor.last_error,
            })
        };
        answer["actors"] = tree.actors.iter().map(actor).collect();
    }
    HttpResponse::build(status).json(answer)
}

fn is_verbose(request: &HttpRequest) -> bool {
    request.query_string().split('&').any(|part| part == "verbose" || part == "verbose=true")
}

/// With `?verbose`, all that the observer saw.
async fn readyz(settings: web::Data<Settings>, request: HttpRequest) -> HttpResponse {
    let opinion = settings.visibility.borrow().clone();
    let status = if opinion.is_visible() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    HttpResponse::build(status).json(visibility(&opinion, is_verbose(&request)))
}

fn visibility(opinion: &Opinion, verbose: bool) -> Value {
    let seconds_since_look = opinion.look.as_ref().map(|_| opinion.at.elapsed().as_secs_f64());
    let mut answer = json!({
        "ready": opinion.is_visible(),
        "verdict": opinion.verdict,
        "layer": opinion.layer,
        "cause": opinion.cause,
        "stale": opinion.is_stale(),
        "seconds_since_look": seconds_since_look,
    });
    if verbose {
        answer["look"] = json!(opinion.look);
    }
    answer
}

async fn node(settings: web::Data<Settings>) -> HttpResponse {
    answer(tree_status(&settings).await.map(|tree| (StatusCode::OK, describe(&settings, tree))))
}

async fn server_info(settings: web::Data<Settings>) -> HttpResponse {
    let found = tree_status(&settings).await.and_then(|tree| {
        let actor = tree.actors.into_iter().find(|actor| actor.name == SERVER_INFO);
        let actor = actor.ok_or_else(|| {
            Refusal::new(StatusCode::NOT_FOUND, "this node serves no blocks: its config has no [server]")
        })?;
        actor.report.ok_or_else(|| Refusal::unavailable("not known yet"))
    });
    answer(found.map(|report| (StatusCode::OK, report)))
}

async fn crash(settings: web::Data<Settings>, actor: web::Path<String>) -> HttpResponse {
    let crash = async {
        if !settings.crash_endpoint {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "off: set debug.crash_endpoint = true to have it",
            ));
        }
        let crashed = within_deadline(handle(&settings)?.crash(&actor)).await?;
        crashed.map_err(|error| {
            let status = match error {
                CrashError::Unknown(_) => StatusCode::NOT_FOUND,
                CrashError::NotRunning(_) => StatusCode::CONFLICT,
                CrashError::Ended => StatusCode::SERVICE_UNAVAILABLE,
            };
            Refusal::new(status, error.to_string())
        })?;
        Ok((StatusCode::ACCEPTED, json!({ "crashed": *actor })))
    };
    answer(crash.await)
}

/// The whole node. An actor's report stands apart from its state, since each has a form of its own.
fn describe(settings: &Settings, tree: TreeStatus) -> Value {
    let mut reports = Map::new();
    let mut actors = Vec::with_capacity(tree.actors.len());
    for mut actor in tree.actors {
        if let Some(report) = actor.report.take() {
            reports.insert(actor.name.clone(), report);
        }
        actors.push(actor);
    }
    let peer_id = settings.peer_id.to_string();
    let listen = reports.get(NETWORK).and_then(|report| report.get("listening")).and_then(Value::as_array);
    let listen: Vec<String> = listen
        .into_iter()
        .flatten()
        .filter_map(|address| full_address(address.as_str()?, &peer_id))
        .collect();
    json!({
        "name": *settings.name.now(),
        "version": settings.version,
        "peer_id": peer_id,
        "listen": listen,
        "tree": tree.state,
        "actors": actors,
        "supervisors": tree.supervisors,
        "stray_panics": tree.stray_panics,
        "reports": reports,
    })
}

/// An address that another node can join through: it ends in the peer id.
fn full_address(address: &str, peer_id: &str) -> Option<String> {
    let end = format!("/p2p/{peer_id}");
    (!address.is_empty())
        .then(|| if address.ends_with(&end) { address.to_owned() } else { address.to_owned() + &end })
}

async fn tree_status(settings: &Settings) -> Result<TreeStatus, Refusal> {
    within_deadline(handle(settings)?.status()).await
}

fn handle(settings: &Settings) -> Result<&Handle, Refusal> {
    settings.tree.get().ok_or_else(|| Refusal::unavailable("the node is starting"))
}

async fn within_deadline<T>(answer: impl Future<Output = T>) -> Result<T, Refusal> {
    let answer = tokio::time::timeout(SUPERVISOR_DEADLINE, answer).await;
    answer.map_err(|_| Refusal::unavailable("the supervisor does not answer"))
}
