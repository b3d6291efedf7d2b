//! `petald status`, run as an operator runs it, on a node that is and on one that is not.

use std::{os::unix::fs::PermissionsExt, process::Output, time::Duration};

use serde_json::Value;

use crate::support::{
    deadline::{eventually, within},
    petald::{Config, Home, petald, refused},
    shared,
};

const LIMIT: Duration = Duration::from_secs(30);

/// EX_UNAVAILABLE of sysexits.h: it runs, and is not visible.
const NOT_VISIBLE: i32 = 69;
/// EX_IOERR: nobody answers.
const NOT_RUNNING: i32 = 74;
const USAGE: i32 = 64;

async fn status(home: &Home, more: &[&str]) -> Output {
    let config = home.config();
    let mut arguments = vec!["status", "--config", config.to_str().unwrap()];
    arguments.extend(more);
    refused(&arguments).await
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn it_shows_a_running_node_and_says_when_there_is_none() {
    let _machine = shared().await;
    let home = Home::new(&Config::default());
    let absent = status(&home, &[]).await;
    assert_eq!(absent.status.code(), Some(NOT_RUNNING));
    assert!(String::from_utf8_lossy(&absent.stderr).contains("no petald runs here"), "{absent:?}");

    let node = home.run().await;
    let (shown, _) = eventually(LIMIT, "it is shown as visible", async || {
        let shown = status(&home, &[]).await;
        match shown.status.code() {
            Some(0) => Ok(out(&shown)),
            Some(NOT_VISIBLE) if !out(&shown).contains("visible    visible") => Err(out(&shown)),
            _ => panic!("{shown:?}"),
        }
    })
    .await;
    for line in [
        "visible    visible",
        "serves     test-model blocks 0:8 of 8  ONLINE  throughput 12.5",
        "blocks     0:8 found ONLINE",
        "  announcer    running",
        "  watchdog     running",
    ] {
        assert!(shown.lines().any(|shown| shown.starts_with(line)), "no {line:?} in\n{shown}");
    }
    assert!(shown.contains(&node.peer_id) && !shown.contains('\x1b'), "no colours off a terminal: {shown}");

    let raw: Value = serde_json::from_str(&out(&status(&home, &["--json"]).await)).unwrap();
    assert_eq!((&raw["peer_id"], &raw["visibility"]["ready"]), (&node.peer_id.clone().into(), &true.into()));
    assert_eq!(raw["visibility"]["look"]["blocks"].as_array().map(Vec::len), Some(8));

    let address = std::fs::read_to_string(home.data().join("admin.addr")).unwrap();
    let named = refused(&["status", "--admin", address.trim()]).await;
    assert_eq!(named.status.code(), Some(0), "{named:?}");
    let watched = refused(&["status", "--watch", "--admin", address.trim()]).await;
    assert_eq!(watched.status.code(), Some(USAGE), "{watched:?}");
    assert_eq!(refused(&["status", "--admin", "nowhere"]).await.status.code(), Some(USAGE));

    // As after a kill: the address is there, and nobody behind it.
    node.kill().await;
    let gone = status(&home, &[]).await;
    assert_eq!(gone.status.code(), Some(NOT_RUNNING), "{gone:?}");
    assert!(String::from_utf8_lossy(&gone.stderr).contains("no petald answers at 127.0.0.1:"), "{gone:?}");
}

#[tokio::test]
async fn it_speaks_over_a_unix_socket_and_with_a_token() {
    let _machine = shared().await;
    let home = Home::new(&Config::default());
    let socket = format!("admin.listen=unix:{}", home.data().join("a.sock").display());
    let mut node = home.spawn_set(&[&socket]);
    eventually(LIMIT, "it answers over its socket", async || {
        match status(&home, &["--set", &socket]).await {
            shown if out(&shown).contains("peer id") => Ok(()),
            shown => Err(format!("{shown:?}")),
        }
    })
    .await;
    node.end().await;

    let token = home.data().join("token");
    std::fs::write(&token, "0123456789abcdef0123456789abcdef\n").unwrap();
    let (file, anywhere) = (format!("admin.token_file={}", token.display()), "admin.listen=0.0.0.0:0");
    let checked = async |settings: &[&str]| {
        let config = home.config();
        let mut arguments = vec!["check", "--offline", "--config", config.to_str().unwrap()];
        settings.iter().for_each(|setting| arguments.extend(["--set", setting]));
        let output = refused(&arguments).await;
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = checked(&[anywhere]).await;
    assert!(code == Some(78) && said.contains("admin.token_file"), "without a token: {said}");
    std::fs::set_permissions(&token, PermissionsExt::from_mode(0o644)).unwrap();
    let (code, said) = checked(&[anywhere, &file]).await;
    assert!(code == Some(78) && said.contains("can be read by others"), "{said}");
    std::fs::set_permissions(&token, PermissionsExt::from_mode(0o600)).unwrap();
    let (code, said) = checked(&["admin.token_file=/nowhere/token"]).await;
    assert!(code == Some(78) && said.contains("/nowhere/token cannot be read"), "{said}");
    assert_eq!(checked(&[anywhere, &file]).await.0, Some(0));

    let mut node = home.spawn_set(&[&file]);
    eventually(LIMIT, "the token opens it", async || match status(&home, &["--set", &file]).await {
        shown if out(&shown).contains("peer id") => Ok(()),
        shown => Err(format!("{shown:?}")),
    })
    .await;
    let closed = status(&home, &[]).await;
    assert_eq!(closed.status.code(), Some(NOT_RUNNING), "{closed:?}");
    assert!(
        String::from_utf8_lossy(&closed.stderr).contains("status 401: a bearer token is needed"),
        "{closed:?}"
    );
    node.end().await;
}

/// On a terminal it is drawn again each second, in colours. `script` of util-linux gives it one.
#[tokio::test]
async fn on_a_terminal_it_is_drawn_again_and_again() {
    let _machine = shared().await;
    let home = Home::new(&Config::default());
    let node = home.run().await;
    let program = petald().as_std().get_program().to_str().unwrap().to_owned();
    let drawn = async |environment: &str| {
        let command = format!(
            "{environment} timeout -s INT 4 {program} status --watch --config {}",
            home.config().display()
        );
        let mut script = tokio::process::Command::new("script");
        script.args(["-qec", &command, "/dev/null"]).kill_on_drop(true);
        out(&within(LIMIT, "the watching ends", script.output()).await.unwrap())
    };
    let coloured = drawn("env -u NO_COLOR").await;
    assert!(coloured.matches("\x1b[H\x1b[J").count() >= 2, "{coloured}");
    assert!(coloured.contains(&node.peer_id) && coloured.contains("\x1b[32mrunning"), "{coloured}");
    let plain = drawn("env NO_COLOR=1").await;
    assert!(plain.contains(&node.peer_id) && !plain.contains("\x1b[32m"), "{plain}");
}
