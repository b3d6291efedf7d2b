//! How servers were seen over time: all of them in short, and one in full. As JSON, or as CSV with `format=csv`.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header::CONTENT_DISPOSITION},
    web,
};
use libp2p::PeerId;
use serde::{Deserialize, de::DeserializeOwned};

use super::refusal::{Refusal, Wrong};
use crate::{
    admin::Settings,
    history::{
        Choice,
        messages::{Chronicle, UnixSeconds},
    },
};

const CSV: &str = "text/csv; charset=utf-8";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Csv,
}

/// What may be asked of all.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OfAll {
    after: Option<String>,
    model: Option<String>,
    limit: Option<usize>,
    format: Format,
}

/// What may be asked of one.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OfOne {
    since: UnixSeconds,
    format: Format,
}

/// Servers in short, a page of them.
pub(super) async fn page(settings: web::Data<Settings>, request: HttpRequest) -> HttpResponse {
    let answer = || {
        let OfAll { after, model, limit, format } = query(&request)?;
        let after = after.as_deref().map(|id| peer(id, "after")).transpose()?;
        let page = chronicle(&settings)?.page(&Choice { after, model, limit }, now(&settings));
        Ok(match format {
            Format::Json => HttpResponse::Ok().json(page),
            Format::Csv => csv(page.to_csv(), "history"),
        })
    };
    answer().unwrap_or_else(Refusal::answer)
}

/// One server in full.
pub(super) async fn account(
    settings: web::Data<Settings>,
    request: HttpRequest,
    id: web::Path<String>,
) -> HttpResponse {
    let answer = || {
        let OfOne { since, format } = query(&request)?;
        let peer = peer(&id, "the peer id")?;
        let account = chronicle(&settings)?.account(&peer, since, now(&settings));
        let account = account
            .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "this peer was never seen to serve"))?;
        Ok(match format {
            Format::Json => HttpResponse::Ok().json(account),
            Format::Csv => csv(account.to_csv(), &format!("history-{peer}")),
        })
    };
    answer().unwrap_or_else(Refusal::answer)
}

fn csv(text: String, name: &str) -> HttpResponse {
    let disposition = format!("attachment; filename=\"{name}.csv\"");
    HttpResponse::Ok().content_type(CSV).insert_header((CONTENT_DISPOSITION, disposition)).body(text)
}

fn chronicle(settings: &Settings) -> Result<std::sync::Arc<Chronicle>, Refusal> {
    let history = settings.history.as_ref();
    let off = || Refusal::new(StatusCode::NOT_FOUND, "off: set history.enabled = true to have it");
    history.map(|history| history.borrow().clone()).ok_or_else(off)
}

fn now(settings: &Settings) -> UnixSeconds {
    settings.clock.now().as_unix().max(0.0) as UnixSeconds
}

fn peer(id: &str, field: &str) -> Result<PeerId, Refusal> {
    let wrong = |error: libp2p::identity::ParseError| {
        Refusal::wrong(vec![Wrong { field: field.to_owned(), problem: error.to_string() }])
    };
    id.parse().map_err(wrong)
}

fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Refusal> {
    let query = web::Query::<T>::from_query(request.query_string());
    query.map(web::Query::into_inner).map_err(|error| {
        Refusal::wrong(vec![Wrong { field: "the query".to_owned(), problem: error.to_string() }])
    })
}
