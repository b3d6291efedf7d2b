//! What is logged: told, and changed while the node runs. The config holds again from the next start on.

use actix_web::{HttpResponse, http::StatusCode, web};
use serde_json::{Value, json};

use super::refusal::{Answer, Refusal, Wrong, answer, object};
use crate::admin::{LogControl, LogLevels, Settings};

/// Says that nothing goes to the console.
const OFF: &str = "off";

pub(super) async fn show(settings: web::Data<Settings>) -> HttpResponse {
    answer(log(&settings).map(|log| (StatusCode::OK, told(&log.levels()))))
}

pub(super) async fn change(settings: web::Data<Settings>, body: web::Payload) -> HttpResponse {
    answer(changed(&settings, body).await)
}

async fn changed(settings: &Settings, body: web::Payload) -> Answer {
    let log = log(settings)?;
    let (mut levels, mut wrong) = (log.levels(), Vec::new());
    let fields = object(body).await?;
    if fields.is_empty() {
        wrong.push(Wrong { field: "files".into(), problem: "expected files, console or both".into() });
    }
    for (field, value) in fields {
        match (field.as_str(), value.as_str()) {
            ("files", Some(directives)) => levels.files = directives.to_owned(),
            ("console", Some(OFF)) => levels.console = None,
            ("console", Some(directives)) => levels.console = Some(directives.to_owned()),
            ("files" | "console", None) => wrong.push(Wrong { field, problem: "expected a text".into() }),
            _ => wrong.push(Wrong { field, problem: "is not known; expected files or console".into() }),
        }
    }
    if wrong.is_empty()
        && let Err(problems) = log.set(&levels)
    {
        wrong = problems.into_iter().map(|(field, problem)| Wrong { field: field.into(), problem }).collect();
    }
    if !wrong.is_empty() {
        return Err(Refusal::wrong(wrong));
    }
    tracing::info!(
        files = levels.files,
        console = levels.console.as_deref().unwrap_or(OFF),
        "log levels changed"
    );
    Ok((StatusCode::OK, told(&log.levels())))
}

fn log(settings: &Settings) -> Result<&dyn LogControl, Refusal> {
    settings
        .log
        .as_deref()
        .ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "there is no log to be changed"))
}

fn told(levels: &LogLevels) -> Value {
    json!({ "files": levels.files, "console": levels.console.as_deref().unwrap_or(OFF) })
}
