//! A wrong config is refused at once, with every key that is wrong and the exit code that service managers know.

use crate::support::petald::refused;

/// EX_CONFIG of sysexits.h.
const CONFIG: i32 = 78;

/// Runs `check` and `run` on a file with this text; both must refuse it and name all keys.
async fn assert_refused(text: &str, keys: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wrong.toml");
    std::fs::write(&file, text).unwrap();
    for command in ["check", "run"] {
        let output = refused(&[command, "--config", file.to_str().unwrap()]).await;
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(CONFIG), "{command}: {said}");
        for key in keys {
            assert!(said.contains(key), "{command} does not name {key}:\n{said}");
        }
    }
}

#[tokio::test]
async fn every_error_is_named() {
    let text = r#"
        [node]
        data_dir = 7
        [network]
        listen = ["127.0.0.1:80"]
        colour = "blue"
        initial_peers = ["/ip4/127.0.0.1/tcp/1"]
        [model]
        dht_prefix = "has space"
        num_blocks = 0
        [server]
        blocks = "8:4"
        throughput = "fast"
        state = "sometimes"
        [announce]
        period = "soon"
        [admin]
        listen = "nowhere"
        [weather]
        sunny = true
    "#;
    let keys = [
        "node.data_dir",
        "network.listen",
        "network.colour",
        "network.initial_peers",
        "model.dht_prefix",
        "model.num_blocks",
        "server.blocks",
        "server.throughput",
        "server.state",
        "announce.period",
        "admin.listen",
        "weather",
    ];
    assert_refused(text, &keys).await;
}

#[tokio::test]
async fn joining_nobody_is_an_error() {
    assert_refused("[network]\nswarm = \"join\"\ninitial_peers = []\n", &["network.initial_peers"]).await;
}

#[tokio::test]
async fn what_readers_would_refuse_is_refused_here() {
    let text = r#"
        [network]
        swarm = "seed"
        [model]
        dht_prefix = "a.b"
        num_blocks = 8
        [server]
        blocks = "4:4"
        throughput = nan
    "#;
    assert_refused(text, &["model.dht_prefix", "server.blocks", "server.throughput"]).await;
}

#[tokio::test]
async fn no_toml_at_all() {
    assert_refused("[network\nlisten = [", &["wrong.toml"]).await;
}

#[tokio::test]
async fn an_absent_file_is_named() {
    for command in ["check", "run"] {
        let output = refused(&[command, "--config", "/nowhere/petald.toml"]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(CONFIG), "{said}");
        assert!(said.contains("/nowhere/petald.toml"), "{said}");
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    for command in ["check", "run"] {
        let output = refused(&[command, "--config", folder]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(CONFIG), "{said}");
        assert!(said.contains(folder), "{said}");
    }
}

#[tokio::test]
async fn what_is_odd_is_shown_and_refuses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (folder.path().join("odd.toml"), folder.path().join("identity"));
    let text = format!("[network]\nswarm = \"seed\"\nidentity = {key:?}\n[announce]\nttl = \"2h\"\n");
    std::fs::write(&file, text).unwrap();
    std::fs::write(&key, "a key").unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let output = refused(&["check", "--offline", "--config", file.to_str().unwrap()]).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let warnings: Vec<_> = said.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert_eq!(warnings.len(), 2, "{said}");
    assert!(warnings[0].contains("odd.toml:5: announce.ttl: "), "{said}");
    assert!(warnings[1].contains("others can get at the key (mode 0644)"), "{said}");
}
