//! The whole node, and what the other routes ask of the supervisor.

use std::time::Duration;

use actix_web::{HttpResponse, http::StatusCode, web};
use serde_json::{Map, Value, json};

use super::{
    health::visibility,
    refusal::{Refusal, answer},
};
use crate::{
    admin::{Settings, process::Process},
    supervisor::{CrashError, Handle, TreeStatus},
};

/// For the supervisor to answer; it does so within microseconds, unless something blocks the arbiter.
const SUPERVISOR_DEADLINE: Duration = Duration::from_secs(2);

/// The actor whose report says where the node listens: multiaddresses under the key `listening`.
const NETWORK: &str = "network";

/// The actor whose report is what we serve.
pub(super) const SERVER_INFO: &str = "server_info";

pub(super) async fn node(settings: web::Data<Settings>) -> HttpResponse {
    answer(tree_status(&settings).await.map(|tree| (StatusCode::OK, describe(&settings, tree))))
}

/// An actor's report stands apart from its state, since each has a form of its own.
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
    // What was said of it while the node runs counts, as on the map.
    let said = reports.get(SERVER_INFO).and_then(|report| report.get("public_name"));
    let name =
        said.and_then(Value::as_str).map(str::to_owned).or_else(|| settings.name.now().as_ref().clone());
    json!({
        "name": name,
        "version": settings.version,
        "peer_id": peer_id,
        "listen": listen,
        "started": settings.started.as_unix(),
        "process": Process::look(),
        "visibility": visibility(&settings.visibility.borrow(), false),
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

/// Makes an actor panic.
pub(super) async fn crash(settings: web::Data<Settings>, actor: web::Path<String>) -> HttpResponse {
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

pub(super) async fn tree_status(settings: &Settings) -> Result<TreeStatus, Refusal> {
    within_deadline(handle(settings)?.status()).await
}

fn handle(settings: &Settings) -> Result<&Handle, Refusal> {
    settings.tree.get().ok_or_else(|| Refusal::unavailable("the node is starting"))
}

async fn within_deadline<T>(answer: impl Future<Output = T>) -> Result<T, Refusal> {
    let answer = tokio::time::timeout(SUPERVISOR_DEADLINE, answer).await;
    answer.map_err(|_| Refusal::unavailable("the supervisor does not answer"))
}
