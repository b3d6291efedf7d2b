//! The whole swarm, as `health.petals.dev` tells it: its clients work unchanged.
//!
//! Protocol facts: `health.petals.dev/app.py`; `petals/server/reachability.py` (`validate_reachability`) reads `success`,
//! `message` and `your_ip`, and takes an error for a monitor that is down.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{ContentType, RETRY_AFTER},
    },
    web,
};
use libp2p::PeerId;
use serde_json::json;
use tokio::time::timeout;

use super::refusal::{Answer, Refusal, answer};
use crate::{
    admin::Settings,
    monitor::{
        Monitor, health,
        messages::{IsReachable, Look, SwarmStates},
        state::{Reach, SwarmState},
    },
    supervisor::Slot,
};

/// For a crawl to end when nobody has looked for long. One of a small swarm takes a second.
const CRAWL_DEADLINE: Duration = Duration::from_secs(20);

/// For the monitor to take notice that somebody looks.
const LOOK_DEADLINE: Duration = Duration::from_secs(2);

/// For a peer to be tried: the monitor's own deadline is shorter.
const TRIAL_DEADLINE: Duration = Duration::from_secs(12);

/// When whoever comes too early may come again, in seconds.
const COME_AGAIN: &str = "5";

/// What was rendered last, since several may ask for one and the same: a large swarm has megabytes.
#[derive(Debug, Default)]
pub(in crate::admin) struct Rendered(Mutex<Option<(Arc<SwarmState>, web::Bytes)>>);

impl Rendered {
    fn of(&self, state: &Arc<SwarmState>) -> web::Bytes {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, bytes)) = last.as_ref().filter(|(of, _)| Arc::ptr_eq(of, state)) {
            return bytes.clone();
        }
        let bytes = web::Bytes::from(health::state(state).to_string());
        *last = Some((Arc::clone(state), bytes.clone()));
        bytes
    }
}

pub(super) async fn state(settings: web::Data<Settings>, rendered: web::Data<Rendered>) -> HttpResponse {
    match latest(&settings).await {
        Ok(state) => HttpResponse::Ok().content_type(ContentType::json()).body(rendered.of(&state)),
        Err(refusal) => early(refusal),
    }
}

pub(super) async fn metrics(settings: web::Data<Settings>) -> HttpResponse {
    match latest(&settings).await {
        Ok(state) => {
            HttpResponse::Ok().content_type(ContentType::plaintext()).body(health::exposition(&state))
        }
        Err(refusal) => early(refusal),
    }
}

fn early(refusal: Refusal) -> HttpResponse {
    let is_early = refusal.status == StatusCode::SERVICE_UNAVAILABLE;
    let mut response = refusal.answer();
    if is_early {
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, actix_web::http::header::HeaderValue::from_static(COME_AGAIN));
    }
    response
}

/// What the monitor saw last. It is told that somebody looks; if nobody has for long, its crawl is
/// waited for.
async fn latest(settings: &Settings) -> Result<Arc<SwarmState>, Refusal> {
    let (states, monitor) = door(settings)?;
    // One that is busy or being restarted is asked again by whoever comes next.
    let mut states = states.clone();
    states.mark_unchanged();
    let looked = async { monitor.get()?.send(Look).await.ok() };
    if let Ok(Some(true)) = timeout(LOOK_DEADLINE, looked).await {
        // What is old is better than nothing.
        let _ = timeout(CRAWL_DEADLINE, states.changed()).await;
    }
    let state = states.borrow().clone();
    state.ok_or_else(|| Refusal::unavailable("the swarm has not been crawled yet: ask again later"))
}

fn door(settings: &Settings) -> Result<(&SwarmStates, &Slot<Monitor>), Refusal> {
    let off = || Refusal::new(StatusCode::NOT_FOUND, "off: set monitor.enabled = true to have it");
    Ok((settings.swarm.as_ref().ok_or_else(off)?, &settings.doors.monitor))
}

pub(super) async fn is_reachable(
    settings: web::Data<Settings>,
    peer: web::Path<String>,
    request: HttpRequest,
) -> HttpResponse {
    answer(tried(&settings, &peer, &request).await)
}

async fn tried(settings: &Settings, peer: &str, request: &HttpRequest) -> Answer {
    let (_, monitor) = door(settings)?;
    let no_peer = |_| Refusal::new(StatusCode::BAD_REQUEST, "expected a peer id in base58");
    let peer: PeerId = peer.parse().map_err(no_peer)?;
    let gone = || Refusal::unavailable("the monitor is being restarted");
    let monitor = monitor.get().ok_or_else(gone)?;
    let trial = timeout(TRIAL_DEADLINE, monitor.send(IsReachable { peer })).await;
    let reach = match trial.map_err(|_| gone())?.map_err(|_| gone())? {
        Ok(reach) => reach,
        Err(error) => return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())),
    };
    let ip = request.peer_addr().map(|address| address.ip().to_string());
    let success = matches!(reach, Reach::Answered { .. });
    Ok((StatusCode::OK, json!({ "success": success, "message": reach.error(), "your_ip": ip })))
}
