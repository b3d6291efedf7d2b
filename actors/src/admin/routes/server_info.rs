//! What we serve: told, and changed while the node runs.

use std::time::Duration;

use actix_web::{HttpResponse, http::StatusCode, web};
use hivemind_proto::records::{Rps, ServerState};
use serde_json::{Map, Value, json};

use super::{
    node::{SERVER_INFO, tree_status},
    refusal::{Answer, Refusal, Wrong, answer, object},
};
use crate::{
    admin::Settings,
    server_info::messages::{Change, Source, Update, UpdateError, WhenSaved},
};

/// For a change to be taken, and then to be on disk.
const UPDATE_DEADLINE: Duration = Duration::from_secs(3);

/// Of a name for the map, in characters.
const LONGEST_NAME: usize = 200;

pub(super) async fn show(settings: web::Data<Settings>) -> HttpResponse {
    let found = tree_status(&settings).await.and_then(|tree| {
        let actor = tree.actors.into_iter().find(|actor| actor.name == SERVER_INFO);
        let actor = actor.ok_or_else(|| {
            Refusal::new(StatusCode::NOT_FOUND, "this node serves no blocks: its config has no [server]")
        })?;
        actor.report.ok_or_else(|| Refusal::unavailable("not known yet"))
    });
    answer(found.map(|report| (StatusCode::OK, report)))
}

/// Merges a JSON object into what we serve: all of it, or nothing.
pub(super) async fn change(settings: web::Data<Settings>, body: web::Payload) -> HttpResponse {
    answer(changed(&settings, body).await)
}

async fn changed(settings: &Settings, body: web::Payload) -> Answer {
    let change = parse(object(body).await?).map_err(Refusal::wrong)?;
    let gone = || Refusal::unavailable("server_info is being restarted");
    let store = settings.doors.server_info.get().ok_or_else(gone)?;
    let update = store.send(Update { source: Source::Admin, change });
    let version = match tokio::time::timeout(UPDATE_DEADLINE, update).await {
        Ok(Ok(Ok(version))) => version,
        Ok(Ok(Err(error @ UpdateError::NothingOffered))) => {
            return Err(Refusal::new(StatusCode::NOT_FOUND, error.to_string()));
        }
        Ok(Ok(Err(error))) => return Err(Refusal::new(StatusCode::CONFLICT, error.to_string())),
        _ => return Err(gone()),
    };
    let saved = tokio::time::timeout(UPDATE_DEADLINE, store.send(WhenSaved { version })).await;
    let saved = match saved {
        Ok(Ok(saved)) => saved.map_err(|error| error.to_string()),
        _ => Err("server_info is being restarted".to_owned()),
    };
    Ok((StatusCode::OK, json!({ "version": version, "saved": saved.is_ok(), "save_error": saved.err() })))
}

/// What is to change, or everything that is wrong with it.
fn parse(fields: Map<String, Value>) -> Result<Change, Vec<Wrong>> {
    let (mut change, mut wrong) = (Change::default(), Vec::new());
    for (field, value) in fields {
        let taken = match field.as_str() {
            "state" => state(&value, &mut change),
            "throughput" => rate(&value).map(|rate| change.throughput = Some(rate)),
            "network_rps" => rate(&value).map(|rate| change.network_rps = Some(rate)),
            "forward_rps" => rate(&value).map(|rate| change.forward_rps = Some(rate)),
            "inference_rps" => rate(&value).map(|rate| change.inference_rps = Some(rate)),
            "cache_tokens_left" => value
                .as_u64()
                .map(|tokens| change.cache_tokens_left = Some(tokens))
                .ok_or_else(|| "expected a whole number of at least 0".to_owned()),
            "public_name" => name(&value).map(|name| change.public_name = Some(name)),
            _ => Err("cannot be changed while the node runs, or is not known".to_owned()),
        };
        if let Err(problem) = taken {
            wrong.push(Wrong { field, problem });
        }
    }
    if wrong.is_empty() { Ok(change) } else { Err(wrong) }
}

fn state(value: &Value, change: &mut Change) -> Result<(), String> {
    match value.as_str() {
        Some("online") => change.state = Some(ServerState::Online),
        Some("joining") => change.state = Some(ServerState::Joining),
        Some("auto") => change.follow_backend = true,
        _ => return Err(r#"expected "online", "joining" or "auto""#.to_owned()),
    }
    Ok(())
}

fn rate(value: &Value) -> Result<Rps, String> {
    let number = value.as_f64().ok_or_else(|| "expected a number".to_owned())?;
    Rps::try_from(number).map_err(|error| error.to_string())
}

fn name(value: &Value) -> Result<String, String> {
    match value.as_str() {
        Some(name) if name.trim().is_empty() => Err("is empty".to_owned()),
        Some(name) if name.chars().count() > LONGEST_NAME => {
            Err(format!("is longer than {LONGEST_NAME} characters"))
        }
        Some(name) if name.chars().any(char::is_control) => Err("holds control characters".to_owned()),
        Some(name) => Ok(name.to_owned()),
        None => Err("expected a text".to_owned()),
    }
}

/// Whatever a request asks for is read as a change, or all that is wrong with it is named: see [`crate::fuzzing`].
#[cfg(any(test, fuzzing))]
pub(crate) fn judge(body: &[u8]) {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else { return };
    let asked = fields.len();
    match parse(fields) {
        Ok(change) => {
            let name = change.public_name.as_deref().unwrap_or("-");
            assert!(!name.trim().is_empty() && name.chars().count() <= LONGEST_NAME);
        }
        Err(wrong) => assert!((1..=asked).contains(&wrong.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: Value) -> Result<Change, Vec<String>> {
        let Value::Object(fields) = value else { panic!() };
        parse(fields).map_err(|wrong| wrong.into_iter().map(|wrong| wrong.field).collect())
    }

    #[test]
    fn every_field_is_read_and_every_error_told() {
        let all = json!({
            "state": "online", "throughput": 2, "network_rps": 1.5, "forward_rps": 0, "inference_rps": 3,
            "cache_tokens_left": 7, "public_name": "a node",
        });
        let rps = |rate| Some(Rps::try_from(rate).unwrap());
        let expected = Change {
            state: Some(ServerState::Online),
            throughput: rps(2.0),
            network_rps: rps(1.5),
            forward_rps: rps(0.0),
            inference_rps: rps(3.0),
            cache_tokens_left: Some(7),
            public_name: Some("a node".to_owned()),
            ..Change::default()
        };
        assert_eq!(parsed(all), Ok(expected));
        assert_eq!(parsed(json!({})), Ok(Change::default()));
        let auto = Change { follow_backend: true, ..Change::default() };
        assert_eq!(parsed(json!({ "state": "auto" })), Ok(auto));
        let wrong = json!({
            "state": "offline", "throughput": -1, "network_rps": "fast", "cache_tokens_left": 1.5,
            "public_name": "a\nb", "blocks": "0:4",
        });
        let named = ["blocks", "cache_tokens_left", "network_rps", "public_name", "state", "throughput"];
        assert_eq!(parsed(wrong).unwrap_err(), named);
        for name in [json!(" "), json!(null), json!("x".repeat(LONGEST_NAME + 1))] {
            assert!(parsed(json!({ "public_name": name })).is_err());
        }
    }
}
