//! Whether we live, whether we are visible, and how we are in figures.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde_json::{Value, json};

use super::{node::tree_status, refusal::Refusal};
use crate::{
    admin::{Settings, metrics},
    monitor::health::exposition,
    observer::messages::Opinion,
    supervisor::ActorStatus,
};

/// With `?verbose`, how long each actor has been silent.
pub(super) async fn livez(settings: web::Data<Settings>, request: HttpRequest) -> HttpResponse {
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

/// With `?verbose`, all that the observer saw.
pub(super) async fn readyz(settings: web::Data<Settings>, request: HttpRequest) -> HttpResponse {
    let opinion = settings.visibility.borrow().clone();
    let status = if opinion.is_visible() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    HttpResponse::build(status).json(visibility(&opinion, is_verbose(&request)))
}

pub(super) fn visibility(opinion: &Opinion, verbose: bool) -> Value {
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

fn is_verbose(request: &HttpRequest) -> bool {
    request.query_string().split('&').any(|part| part == "verbose" || part == "verbose=true")
}

/// Also while the supervisor does not answer: what is known without it is told.
pub(super) async fn metrics(settings: web::Data<Settings>) -> HttpResponse {
    let tree = tree_status(&settings).await.ok();
    let sources = metrics::Sources::new(
        settings.version.clone(),
        settings.started.as_unix(),
        settings.visibility.borrow().clone(),
        tree,
        settings.log.as_ref().map(|log| log.dropped_lines()),
    );
    match metrics::exposition(sources).map(|page| with_swarm(&settings, page)) {
        Ok(page) => HttpResponse::Ok().content_type(metrics::CONTENT_TYPE).body(page),
        Err(error) => Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).answer(),
    }
}

/// The page with the figures of the swarm before its end mark, once there are any.
fn with_swarm(settings: &Settings, page: String) -> String {
    const END: &str = "# EOF\n";
    let state = settings.swarm.as_ref().and_then(|states| states.borrow().clone());
    match (state, page.strip_suffix(END)) {
        (Some(state), Some(page)) => format!("{page}{}{END}", exposition(&state)),
        _ => page,
    }
}
