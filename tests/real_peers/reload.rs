//! SIGHUP: real peers see what changed, what needs a restart is named, and a broken file changes nothing.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    deadline::eventually,
    petald::{Config, Home, PUBLIC_NAME, Petald, THROUGHPUT},
    reader::{Reader, Span},
    shared,
    swarm::Swarm,
};

const VISIBLE_LIMIT: Duration = Duration::from_secs(20);
/// A file is read and some actors are told; then the supervisor asks for the next report.
const RELOAD_LIMIT: Duration = Duration::from_secs(10);

/// What config_keeper says once it has carried out so many reloads.
async fn reloads(petald: &Petald, number: u64) -> Value {
    let (report, _) = eventually(RELOAD_LIMIT, "the reload is carried out", async || {
        let report = petald.node().await?["reports"]["config_keeper"].take();
        let carried_out = report["accepted"].as_u64().unwrap_or(0) + report["refused"].as_u64().unwrap_or(0);
        match carried_out == number && report["reloading"] == false {
            true => Ok(report),
            false => Err(report.to_string()),
        }
    })
    .await;
    report
}

async fn seen(reader: &Reader, petald: &Petald, config: &Config, what: &str, expected: (Span, f64, &str)) {
    let (span, throughput, name) = expected;
    eventually(VISIBLE_LIMIT, what, async || {
        let servers = reader.servers(&config.dht_prefix, config.num_blocks).await;
        let block = servers.blocks[span.start as usize].get(&petald.peer_id).cloned();
        let of_block = block.as_ref().map(|server| (server.throughput, server.public_name.as_deref()));
        match (servers.spans.get(&petald.peer_id), of_block) {
            (Some(seen), Some((told, Some(named)))) if (*seen, told, named) == (span, throughput, name) => {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn a_stranger_sees_what_was_reloaded_and_crashes_do_not_undo_it() {
    let _machine = shared().await;
    let swarm = Swarm::new().await;
    let nodes = swarm.start(&["a", "b", "c"], &[]).await;
    let reader = Reader::client(&nodes[2].addresses).await;
    let config = Config { initial_peers: nodes[0].addresses.clone(), ..Config::default() };
    let home = Home::new(&config);
    let petald = home.run().await;
    let all = Span { start: 0, end: 8 };
    seen(&reader, &petald, &config, "the first config", (all, THROUGHPUT, PUBLIC_NAME)).await;

    // Accepted: other blocks, another throughput, another name.
    home.edit(&[
        ("blocks = \"0:8\"", "blocks = \"2:6\""),
        (&format!("throughput = {THROUGHPUT}"), "throughput = 99.0"),
        (PUBLIC_NAME, "another name"),
        ("ttl = \"180s\"", "ttl = \"240s\""),
    ]);
    petald.hang_up();
    let report = reloads(&petald, 1).await;
    let changed = json!(["announce.ttl", "node.public_name", "server.blocks", "server.throughput"]);
    assert_eq!(
        (&report["last"]["outcome"], &report["last"]["changed"]),
        (&json!("accepted"), &changed),
        "{report}"
    );
    assert_eq!(report["last"]["restart"], json!([]));
    let some = Span { start: 2, end: 6 };
    seen(&reader, &petald, &config, "the second config", (some, 99.0, "another name")).await;
    eventually(VISIBLE_LIMIT, "the blocks that were left are OFFLINE", async || {
        let servers = reader.servers(&config.dht_prefix, config.num_blocks).await;
        let left = [servers.states(&petald.peer_id, 0..2), servers.states(&petald.peer_id, 6..8)].concat();
        if left == ["OFFLINE", "OFFLINE"] { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;

    // Partly impossible: what needs a restart keeps its value, the rest is seen.
    home.edit(&[
        ("listen = [\"/ip4/127.0.0.1/tcp/0\"]", "listen = [\"/ip4/127.0.0.1/tcp/1\"]"),
        ("throughput = 99.0", "throughput = 100.0"),
        ("num_blocks = 8", "num_blocks = 9"),
    ]);
    petald.hang_up();
    let report = reloads(&petald, 2).await;
    assert_eq!(report["last"]["changed"], json!(["server.throughput"]), "{report}");
    assert_eq!(report["last"]["restart"], json!(["model.num_blocks", "network.listen"]), "{report}");
    seen(&reader, &petald, &config, "the third config", (some, 100.0, "another name")).await;
    let node = petald.node().await.unwrap();
    assert_eq!((&node["listen"], &node["name"]), (&json!(petald.addresses), &json!("another name")));

    // Refused: all that is wrong is told, and nothing changes.
    home.edit(&[
        ("throughput = 100.0", "throughput = \"fast\"\nspeed = 1"),
        ("period = \"60s\"", "period = \"90s\""),
        ("another name", "a third name"),
    ]);
    petald.hang_up();
    let report = reloads(&petald, 3).await;
    let problems = report["last"]["problems"].to_string();
    for key in ["server.throughput", "server.speed", "announce.ttl"] {
        assert!(problems.contains(key), "{key}: {problems}");
    }
    assert_eq!((&report["accepted"], &report["refused"]), (&json!(2), &json!(1)));

    // Whoever crashes comes back with what was accepted last.
    for actor in ["server_info", "announcer", "config_keeper"] {
        assert_eq!(petald.post(&format!("/debug/crash/{actor}")).await.unwrap().status, 202, "{actor}");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let (server_info, _) = eventually(RELOAD_LIMIT, "server_info reports again", async || {
        let report = petald.node().await?["reports"]["server_info"].take();
        if report["offered"] == true { Ok(report) } else { Err(report.to_string()) }
    })
    .await;
    assert_eq!((&server_info["blocks"], &server_info["throughput"]), (&json!("2:6"), &json!(100.0)));
    seen(&reader, &petald, &config, "the third config after crashes", (some, 100.0, "another name")).await;

    // And a file that is right again is taken by the keeper that came back.
    home.edit(&[
        ("throughput = \"fast\"\nspeed = 1", "throughput = 5.0"),
        ("period = \"90s\"", "period = \"60s\""),
    ]);
    petald.hang_up();
    let report = reloads(&petald, 4).await;
    assert_eq!(report["last"]["changed"], json!(["node.public_name", "server.throughput"]), "{report}");
    seen(&reader, &petald, &config, "the fourth config", (some, 5.0, "a third name")).await;
    petald.terminate();
    assert!(petald.exit().await.success());
}

#[tokio::test]
async fn the_log_is_opened_again_and_tells_each_reload_in_one_line() {
    let home = Home::new(&Config::default());
    home.edit(&[("[admin]", "[log]\nrotation = \"never\"\n[admin]")]);
    let petald = home.run().await;
    let (file, moved) = (home.log_file(), home.log_file().with_extension("1"));
    std::fs::rename(&file, &moved).unwrap();
    home.edit(&[(
        "rotation = \"never\"",
        "rotation = \"never\"\nlevel = \"warn,petald_actors::announcer=debug\"\nkeep = 0",
    )]);
    petald.hang_up();
    reloads(&petald, 1).await;
    home.edit(&[("keep = 0", "keep = 2"), ("period = \"60s\"", "period = \"1s\"")]);
    petald.hang_up();
    reloads(&petald, 2).await;
    let text = || std::fs::read_to_string(&file).unwrap_or_default();
    eventually(RELOAD_LIMIT, "the announcer's debug lines are in the new file", async || {
        if text().contains("announced again") || text().contains("DEBUG") { Ok(()) } else { Err(text()) }
    })
    .await;
    let new = text();
    let count = |line: &str| new.lines().filter(|logged| logged.contains(line)).count();
    assert_eq!(count("config not reloaded, the old one holds"), 1, "{new}");
    assert_eq!(count("log.keep: 0 is out of range"), 1, "{new}");
    // Told at info before the new levels hold, or not at all after them.
    assert!(count("config reloaded") <= 1, "{new}");
    let old = std::fs::read_to_string(&moved).unwrap();
    assert!(old.contains("petald starts") && !old.contains("config not reloaded"), "{old}");
}
