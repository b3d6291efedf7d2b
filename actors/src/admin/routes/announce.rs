//! Announces now, and tells what came of it.

use std::time::Duration;

use actix_web::{HttpResponse, http::StatusCode, web};
use serde_json::json;

use super::refusal::{Answer, Refusal, answer};
use crate::{
    admin::Settings,
    announcer::messages::{Announce, AnnounceError, Verdict},
};

/// For the announcement to end. In a healthy swarm it takes a second; beyond this it goes on, and the asker is let go.
const DEADLINE: Duration = Duration::from_secs(15);

pub(super) async fn announce(settings: web::Data<Settings>) -> HttpResponse {
    answer(announced(&settings).await)
}

async fn announced(settings: &Settings) -> Answer {
    let gone = || Refusal::unavailable("the announcer is being restarted");
    let announcer = settings.doors.announcer.get().ok_or_else(gone)?;
    match tokio::time::timeout(DEADLINE, announcer.send(Announce)).await {
        Err(_) => Ok((StatusCode::ACCEPTED, json!({ "confirmed": null, "pending": true }))),
        Ok(Err(_)) => Err(gone()),
        Ok(Ok(Err(error))) => {
            let status = match error {
                AnnounceError::NothingOffered => StatusCode::NOT_FOUND,
                AnnounceError::Busy => StatusCode::TOO_MANY_REQUESTS,
                AnnounceError::Draining | AnnounceError::Restarted => StatusCode::SERVICE_UNAVAILABLE,
            };
            Err(Refusal::new(status, error.to_string()))
        }
        Ok(Ok(Ok(announced))) => Ok((
            StatusCode::OK,
            json!({
                "confirmed": announced.verdict == Verdict::Confirmed,
                "pending": false,
                "verdict": announced.verdict,
                "state": announced.summary.state,
                "records": announced.summary.records,
                "confirmed_records": announced.summary.confirmed,
                "least_replicas": announced.summary.least_replicas,
                "seconds_to_expiry": announced.summary.seconds_to_expiry,
            }),
        )),
    }
}
