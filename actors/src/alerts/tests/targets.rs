//! Programs and webhooks that are there, and the ways in which they can fail.

use std::{
    net::TcpListener,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use actix_web::{App, HttpResponse, HttpServer, web};
use tokio::sync::watch;

use super::*;

/// Long enough for a program to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

fn notice() -> Notice {
    let mut times = Times::begin();
    let mut watch = times.watch();
    let sightings = [Sighting::Online, Sighting::Joining, Sighting::Joining, Sighting::Joining];
    sightings.into_iter().find_map(|sighting| watch.look(times.see(sighting))).expect("a notice")
}

fn command(words: &[&str]) -> Target {
    Target::Command(words.iter().map(|word| (*word).to_owned()).collect())
}

#[actix_rt::test]
async fn a_program_is_given_json_and_nothing_of_it_as_an_argument() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("told; touch no").display().to_string();
    let notice = notice();
    command(&["tee", &file]).tell(&notice, PATIENCE).await.unwrap();
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(told, serde_json::to_value(&notice).unwrap());
    assert_eq!((&told["public_name"], &told["to"]), (&"\"; rm -rf /".into(), &"joining".into()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "there is no shell");
}

#[actix_rt::test]
async fn a_program_that_fails_is_known_to() {
    let failed = |words: &'static [&'static str]| async move {
        command(words).tell(&notice(), PATIENCE).await.unwrap_err()
    };
    assert!(matches!(failed(&["false"]).await, TellError::Exit(_)));
    assert!(matches!(failed(&["/no/such/program"]).await, TellError::Run(_)));
    let short = Duration::from_millis(100);
    let late = command(&["sleep", "60"]).tell(&notice(), short).await;
    assert_eq!(late, Err(TellError::Deadline(short)));
    assert_eq!(command(&["true"]).tell(&notice(), PATIENCE).await, Ok(()), "one that reads nothing");
}

#[actix_rt::test]
async fn a_program_sees_nothing_of_our_environment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("environment");
    let script = folder.path().join("script");
    std::fs::write(&script, format!("#!/bin/sh\nenv > '{}'\n", file.display())).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&script, executable).unwrap();
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    command(&[&script.display().to_string()]).tell(&notice(), PATIENCE).await.unwrap();
    let environment = read(&file);
    assert!(environment.contains("PATH=") && !environment.contains("CARGO"), "{environment}");
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap()
}

/// An address that refuses at first, and what it was told.
#[actix_rt::test]
async fn a_webhook_that_refuses_is_told_again_until_it_takes_it() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    static TOLD: Mutex<Vec<serde_json::Value>> = Mutex::new(Vec::new());
    async fn hook(body: web::Json<serde_json::Value>) -> HttpResponse {
        if ASKED.fetch_add(1, Ordering::Relaxed) == 0 {
            return HttpResponse::ServiceUnavailable().finish();
        }
        TOLD.lock().unwrap().push(body.into_inner());
        HttpResponse::NoContent().finish()
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let server = HttpServer::new(|| App::new().route("/hook", web::post().to(hook)));
    let server = server.workers(1).disable_signals().shutdown_timeout(0).listen(listener).unwrap().run();
    let handle = server.handle();
    actix_rt::spawn(server);

    let mut times = Times::begin();
    let (told, histories) = watch::channel(Arc::new(times.chronicle.clone()));
    let rules = vec![times.rule(Target::Webhook(url.parse().unwrap()))];
    let settings = Settings { rules, histories, seed: 7 };
    let alerts = Alerts::new(settings, Birth::detached().0).start();
    for sighting in [Sighting::Online; 3].into_iter().chain([Sighting::Unreachable; 3]) {
        told.send_replace(Arc::new(times.see(sighting).clone()));
        // Each crawl is looked at.
        alerts.send(Probe).await.unwrap();
    }
    let status = async {
        loop {
            let status = alerts.send(Probe).await.unwrap().0;
            if status["told"] == 1 {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let status = tokio::time::timeout(PATIENCE, status).await.expect("it is told");
    assert_eq!((&status["attempts_failed"], &status["waiting"]), (&1.into(), &0.into()));
    assert_eq!(status["errors"], serde_json::json!([]));
    let all = TOLD.lock().unwrap().clone();
    assert_eq!((all.len(), &all[0]["to"], &all[0]["from"]), (1, &"unreachable".into(), &"online".into()));
    handle.stop(false).await;
}
