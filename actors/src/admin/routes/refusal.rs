//! What is said when there is no answer, and how what is asked is read.

use std::time::Duration;

use actix_web::{HttpResponse, http::StatusCode, web};
use futures::StreamExt;
use serde_json::{Map, Value, json};

/// Of a request's body: a change of every field of the server is under 1 KiB.
const LARGEST_BODY_BYTES: usize = 16 << 10;

/// For a request's body to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(5);

/// Why there is no answer: a status, a text for the one who asked, and each thing that is wrong with what was asked.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) error: String,
    wrong: Vec<Wrong>,
}

/// A field that is wrong, and what would be right.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) field: String,
    pub(super) problem: String,
}

/// An answer in JSON, or none.
pub(super) type Answer = Result<(StatusCode, Value), Refusal>;

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { status, error: error.into(), wrong: Vec::new() }
    }

    pub(super) fn unavailable(error: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }

    /// All that is wrong with a request.
    pub(super) fn wrong(wrong: Vec<Wrong>) -> Self {
        let told = wrong.iter().map(|wrong| format!("{}: {}", wrong.field, wrong.problem));
        let error = told.collect::<Vec<_>>().join("; ");
        Self { wrong, ..Self::new(StatusCode::BAD_REQUEST, error) }
    }

    pub(super) fn answer(self) -> HttpResponse {
        let mut answer = json!({ "error": self.error });
        if !self.wrong.is_empty() {
            let wrong = self.wrong.iter();
            answer["errors"] =
                wrong.map(|wrong| json!({ "field": wrong.field, "problem": wrong.problem })).collect();
        }
        HttpResponse::build(self.status).json(answer)
    }
}

pub(super) fn answer(answer: Answer) -> HttpResponse {
    match answer {
        Ok((status, value)) => HttpResponse::build(status).json(value),
        Err(refusal) => refusal.answer(),
    }
}

/// The JSON object in a request's body.
pub(super) async fn object(mut body: web::Payload) -> Result<Map<String, Value>, Refusal> {
    let reading = async {
        let mut bytes = Vec::new();
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))?;
            if bytes.len() + chunk.len() > LARGEST_BODY_BYTES {
                let error = format!("the body is larger than {LARGEST_BODY_BYTES} bytes");
                return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    };
    let late = |_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time");
    let bytes = tokio::time::timeout(BODY_DEADLINE, reading).await.map_err(late)??;
    let no_object = |error: &dyn std::fmt::Display| {
        Refusal::new(StatusCode::BAD_REQUEST, format!("the body must be a JSON object: {error}"))
    };
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(no_object(&"it is something else")),
        Err(error) => Err(no_object(&error)),
    }
}
