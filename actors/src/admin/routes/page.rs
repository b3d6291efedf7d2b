//! The map page at `/`, and what it asks for. All of it is in the program: `../page`.
//!
//! What peers say goes to the page as JSON, and from there into texts, never into markup; and a browser that is told
//! otherwise refuses (`Content-Security-Policy`: nothing but these files runs, nobody but this node is asked, nobody may
//! frame it, and no text can become markup).

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
            X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
    web,
};
use serde::Serialize;

use super::refusal::Refusal;
use crate::{
    admin::Settings,
    monitor::{messages::Look, state::SwarmState},
};

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The files: path, type, content.
pub(super) const FILES: [(&str, &str, &str); 8] = [
    ("/", HTML, include_str!("../page/index.html")),
    ("/page/style.css", "text/css; charset=utf-8", include_str!("../page/style.css")),
    ("/page/map.js", SCRIPT, include_str!("../page/map.js")),
    ("/page/ask.js", SCRIPT, include_str!("../page/ask.js")),
    ("/page/marks.js", SCRIPT, include_str!("../page/marks.js")),
    ("/page/models.js", SCRIPT, include_str!("../page/models.js")),
    ("/page/details.js", SCRIPT, include_str!("../page/details.js")),
    ("/page/icon.svg", "image/svg+xml", include_str!("../page/icon.svg")),
];
const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Whether a path is that of a file of the page: these hold no secrets, and ask for the token where there is one.
pub(in crate::admin) fn is_file(path: &str) -> bool {
    FILES.iter().any(|(known, _, _)| *known == path)
}

/// One of the files.
pub(super) async fn file(request: HttpRequest) -> HttpResponse {
    let Some((_, kind, content)) = FILES.iter().find(|(path, _, _)| *path == request.path()) else {
        return super::nothing().await;
    };
    HttpResponse::Ok()
        .content_type(*kind)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((X_FRAME_OPTIONS, "DENY"))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .insert_header(("Cross-Origin-Opener-Policy", "same-origin"))
        .insert_header(("Cross-Origin-Resource-Policy", "same-origin"))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(*content)
}

/// What the page shows.
#[derive(Debug, Serialize)]
struct Map<'a> {
    peer_id: String,
    version: &'a str,
    /// How old the crawl is.
    age_seconds: Option<f64>,
    /// The last crawl; `None` before the first.
    swarm: Option<&'a SwarmState>,
}

/// The last crawl as it is, with its age. Whoever has it already is told no more than that.
pub(super) async fn map(settings: web::Data<Settings>, request: HttpRequest) -> HttpResponse {
    let Some(states) = &settings.swarm else {
        return Refusal::new(StatusCode::NOT_FOUND, "off: set monitor.enabled = true to have it").answer();
    };
    // While somebody looks at the page, the swarm is crawled. One that is busy will be told again.
    if let Some(monitor) = settings.doors.monitor.get() {
        let _ = monitor.try_send(Look);
    }
    let swarm = states.borrow().clone();
    // Another process has other crawls.
    let crawl = swarm.as_ref().map_or(0.0, |swarm| swarm.crawled_at);
    let tag = format!("\"{}-{crawl}\"", settings.started.as_unix());
    let has_it = request.headers().get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut answer = if has_it { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    answer.insert_header((ETAG, tag)).insert_header((CACHE_CONTROL, "no-store"));
    if has_it {
        return answer.finish();
    }
    let age = |swarm: &SwarmState| (settings.clock.now().as_unix() - swarm.crawled_at).max(0.0);
    answer.json(Map {
        peer_id: settings.peer_id.to_string(),
        version: &settings.version,
        age_seconds: swarm.as_deref().map(age),
        swarm: swarm.as_deref(),
    })
}
