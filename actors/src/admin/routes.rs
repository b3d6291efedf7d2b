//! The routes, in one table. Bodies are bounded, every wait has a deadline, and every answer but the metrics is JSON.

mod announce;
mod health;
mod history;
mod log_level;
mod node;
mod page;
mod refusal;
pub(crate) mod server_info;
mod swarm;

use actix_web::{
    HttpResponse, Route,
    http::{Method, StatusCode, header::ContentType},
    web,
};

use self::refusal::Refusal;
pub(super) use self::swarm::Rendered;
use super::Settings;

/// Describes all of them, and their answers.
pub(super) const OPENAPI: &str = include_str!("routes/openapi.json");

/// What stands for the program's version in it.
const VERSION: &str = "0.0.0";

/// Every route; those of one path stand together.
pub(super) fn table() -> Vec<(&'static str, Method, Route)> {
    let mut table = vec![
        ("/livez", Method::GET, web::get().to(health::livez)),
        ("/readyz", Method::GET, web::get().to(health::readyz)),
        ("/metrics", Method::GET, web::get().to(health::metrics)),
        ("/openapi.json", Method::GET, web::get().to(openapi)),
        ("/api/prometheus", Method::GET, web::get().to(swarm::metrics)),
        ("/api/v1/state", Method::GET, web::get().to(swarm::state)),
        ("/api/v1/is_reachable/{peer_id}", Method::GET, web::get().to(swarm::is_reachable)),
        ("/api/v1/node", Method::GET, web::get().to(node::node)),
        ("/api/v1/server-info", Method::GET, web::get().to(server_info::show)),
        ("/api/v1/server-info", Method::PATCH, web::patch().to(server_info::change)),
        ("/api/v1/announce", Method::POST, web::post().to(announce::announce)),
        ("/api/v1/log-level", Method::GET, web::get().to(log_level::show)),
        ("/api/v1/log-level", Method::PUT, web::put().to(log_level::change)),
        ("/api/v1/history", Method::GET, web::get().to(history::page)),
        ("/api/v1/history/{peer_id}", Method::GET, web::get().to(history::account)),
        ("/api/v1/map", Method::GET, web::get().to(page::map)),
        ("/debug/crash/{actor}", Method::POST, web::post().to(node::crash)),
    ];
    table.extend(page::FILES.map(|(path, _, _)| (path, Method::GET, web::get().to(page::file))));
    table
}

pub(super) use self::page::is_file;

pub(super) fn routes(app: &mut web::ServiceConfig) {
    let mut table = table().into_iter().peekable();
    while let Some((path, _, route)) = table.next() {
        let mut resource = web::resource(path).route(route);
        while let Some((_, _, route)) = table.next_if(|(next, _, _)| *next == path) {
            resource = resource.route(route);
        }
        app.service(resource.default_service(web::to(other_method)));
    }
    app.default_service(web::to(nothing));
}

async fn other_method() -> HttpResponse {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this method is not known here").answer()
}

async fn nothing() -> HttpResponse {
    Refusal::new(StatusCode::NOT_FOUND, "there is nothing here").answer()
}

async fn openapi(settings: web::Data<Settings>) -> HttpResponse {
    let text = OPENAPI.replacen(VERSION, &settings.version, 1);
    HttpResponse::Ok().content_type(ContentType::json()).body(text)
}
