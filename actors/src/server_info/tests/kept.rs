//! What outlives the actor, and what outlives the process.

use std::{fs, path::Path};

use super::*;

fn settings(file: &Path, stated: &[Field]) -> Settings {
    // A memory of its own each time, as each process has.
    Settings {
        offer: Some(offer()),
        stated: stated.to_vec(),
        dialable: true,
        memory: Memory::in_file(file.to_owned()),
    }
}

fn rps(rate: f64) -> Option<Rps> {
    Some(Rps::try_from(rate).unwrap())
}

async fn saved(store: &Addr<ServerInfoStore>, version: u64) {
    store.send(WhenSaved { version }).await.unwrap().unwrap();
}

/// Says this, waits until it is on disk, and ends.
async fn process_that_says(settings: Settings, source: Source, change: Change) -> u64 {
    let store = start(settings);
    let version = say(&store, source, change).await.unwrap();
    saved(&store, version).await;
    version
}

#[actix_rt::test]
async fn figures_and_the_count_outlive_the_process_but_not_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server_info");
    let said = Change {
        throughput: rps(12.25),
        network_rps: rps(3.0),
        forward_rps: rps(4.0),
        inference_rps: rps(5.0),
        cache_tokens_left: Some(8192),
        using_relay: Some(true),
        ..online()
    };
    assert_eq!(process_that_says(settings(&file, &[]), Source::Backend, said).await, 2);

    let store = start(settings(&file, &[]));
    let report = report(&store).await;
    assert_eq!((&report["state"], &report["version"]), (&json!("joining"), &json!(3)));
    for (field, value) in [
        ("throughput", json!(12.25)),
        ("network_rps", json!(3.0)),
        ("forward_rps", json!(4.0)),
        ("inference_rps", json!(5.0)),
        ("cache_tokens_left", json!(8192)),
        ("using_relay", json!(true)),
    ] {
        assert_eq!(report[field], value, "{field}");
        assert_eq!(report["sources"][field], json!({ "source": "backend", "version": 2 }), "{field}");
    }
    assert_eq!(report["sources"]["state"], json!(null));
    assert_eq!(report["file"]["set_aside"], json!(null));
    saved(&store, 3).await;
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
}

#[actix_rt::test]
async fn what_the_config_states_wins_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server_info");
    let said = Change { throughput: rps(12.0), ..tokens(5) };
    process_that_says(settings(&file, &[]), Source::Admin, said.clone()).await;
    let stating = settings(&file, &[Field::Throughput]);
    let version = process_that_says(stating.clone(), Source::Admin, said).await;
    // While the process runs the latest word counts, from the next start on the config again.
    let store = start(settings(&file, &[Field::Throughput]));
    let report = report(&store).await;
    assert_eq!(report["throughput"], 0.0);
    assert_eq!((&report["cache_tokens_left"], &report["version"]), (&json!(5), &json!(version + 1)));
}

#[actix_rt::test]
async fn figures_of_other_blocks_are_not_used_but_the_count_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server_info");
    process_that_says(settings(&file, &[]), Source::Backend, tokens(5)).await;
    let mut moved = settings(&file, &[]);
    moved.offer.as_mut().unwrap().server.blocks = BlockRange::new(4, 8).unwrap();
    let report = report(&start(moved)).await;
    assert_eq!((&report["cache_tokens_left"], &report["version"]), (&json!(null), &json!(3)));
}

#[actix_rt::test]
async fn a_crash_of_the_actor_loses_nothing_not_even_the_state() {
    let folder = tempfile::tempdir().unwrap();
    for memory in [Memory::volatile(), Memory::in_file(folder.path().join("server_info"))] {
        let settings = Settings { memory, ..Settings::volatile(Some(offer())) };
        let first = start(settings.clone());
        say(&first, Source::Backend, Change { cache_tokens_left: Some(5), ..online() }).await.unwrap();
        drop(first);
        let second = start(settings.clone());
        let told = report(&second).await;
        assert_eq!((&told["state"], &told["cache_tokens_left"]), (&json!("online"), &json!(5)));
        assert_eq!(told["version"], 2);
        assert_eq!(say(&second, Source::Backend, tokens(6)).await, Ok(3));

        // With another config it begins anew, as another process would.
        let mut other = settings;
        other.offer.as_mut().unwrap().server.public_name = Some("renamed".into());
        let told = report(&start(other)).await;
        assert_eq!((&told["state"], &told["cache_tokens_left"]), (&json!("joining"), &json!(6)));
        assert_eq!((&told["version"], &told["public_name"]), (&json!(4), &json!("renamed")));
    }
}

#[test]
fn a_page_that_is_cut_or_garbled_anywhere_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server_info");
    let mut account = Account::begin(offer(), &[], None);
    let said = Change { throughput: rps(1.5), using_relay: Some(true), ..tokens(5) };
    account.apply(Source::Backend, said, false).unwrap();
    Page::of(&account).write(&file).unwrap();
    let whole = fs::read(&file).unwrap();
    let Found::Kept(page) = Page::find(&file) else { panic!("it is whole") };
    assert_eq!(page, Page::of(&account));

    let set_aside = |content: &[u8], what: &str| {
        fs::write(&file, content).unwrap();
        let Found::Unusable { aside: Ok(aside), .. } = Page::find(&file) else { panic!("{what} is usable") };
        assert_eq!(fs::read(aside).unwrap(), content, "{what}");
        assert!(matches!(Page::find(&file), Found::Nothing));
    };
    for place in 0..whole.len() {
        set_aside(&whole[..place], &format!("a page of {place} bytes"));
        let mut garbled = whole.clone();
        garbled[place] = garbled[place].wrapping_add(1);
        set_aside(&garbled, &format!("a page with byte {place} changed"));
    }
    set_aside(&[whole.clone(), b"x".to_vec()].concat(), "a page with more at its end");
    set_aside(&vec![0; 1 << 20], "a large file");
    for foreign in [
        durable_seal("server_info", 2, b"{}"),
        durable_seal("peers", 1, b"{}"),
        durable_seal("server_info", 1, b"{}"),
        durable_seal("server_info", 1, b"[1"),
        // Whole, but with a value that no record may hold.
        durable_seal("server_info", 1, &json_with_throughput("-1.0")),
        durable_seal("server_info", 1, &json_with_throughput("1e999")),
        durable_seal("server_info", 1, &json_with_throughput("\"1\"")),
    ] {
        set_aside(&foreign, &String::from_utf8_lossy(&foreign));
    }
    let Found::Kept(_) = ({
        fs::write(&file, durable_seal("server_info", 1, &json_with_throughput("1"))).unwrap();
        Page::find(&file)
    }) else {
        panic!("that one is right")
    };
    assert!(fs::read_dir(folder.path()).unwrap().count() <= 1 + crate::durable::MOST_ASIDE);
}

fn durable_seal(kind: &'static str, format: u32, content: &[u8]) -> Vec<u8> {
    crate::durable::seal(kind, format, content)
}

fn json_with_throughput(value: &str) -> Vec<u8> {
    format!(
        r#"{{"version":9,"dht_prefix":"tiny-llama-hf","blocks":"0:4","throughput":{{"value":{value},"source":"admin","version":3}}}}"#
    )
    .into_bytes()
}

#[actix_rt::test]
async fn with_a_damaged_file_it_starts_from_the_config_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server_info");
    fs::write(&file, "half a page").unwrap();
    let store = start(settings(&file, &[]));
    let told = report(&store).await;
    assert_eq!((&told["version"], &told["sources"]), (&json!(1), &json!({})));
    assert!(told["file"]["set_aside"].as_str().unwrap().contains("server_info.damaged-1"), "{told}");
    saved(&store, 1).await;
    assert!(matches!(Page::find(&file), Found::Kept(page) if page.version == 1));
}

#[actix_rt::test]
async fn a_disk_that_does_not_take_it_is_weather() {
    tokio::time::pause();
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("not there yet");
    let store = start(settings(&folder.join("server_info"), &[]));
    let version = say(&store, Source::Backend, tokens(5)).await.unwrap();
    assert!(store.send(WhenSaved { version }).await.unwrap().unwrap_err().cause.is_some());
    let told = report(&store).await;
    assert_eq!(told["cache_tokens_left"], 5);
    assert!(told["file"]["last_error"].is_string(), "{told}");
    store.send(Drain).await.unwrap();

    fs::create_dir(&folder).unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    saved(&store, version).await;
    let told = report(&store).await;
    assert_eq!((&told["file"]["last_error"], &told["file"]["failures"]), (&json!(null), &json!(0)));
    assert!(matches!(Page::find(&folder.join("server_info")), Found::Kept(page) if page.version == version));
}

#[actix_rt::test]
async fn a_drain_waits_for_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server_info");
    let store = start(settings(&file, &[]));
    for left in 1..=100 {
        say(&store, Source::Backend, tokens(left)).await.unwrap();
    }
    store.send(Drain).await.unwrap();
    let Found::Kept(page) = Page::find(&file) else { panic!("it is not there") };
    assert_eq!(page.version, 101);
}

#[test]
fn a_write_that_outlives_its_incarnation_replaces_nothing_newer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server_info");
    let memory = Memory::in_file(file.clone());
    let mut account = Account::begin(offer(), &[], None);
    memory.remember(&account);
    account.apply(Source::Backend, tokens(5), false).unwrap();
    memory.remember(&account);
    assert_eq!(memory.save().unwrap(), 2);
    fs::remove_file(&file).unwrap();
    // The late one: all of it is on disk already.
    assert_eq!(memory.save().unwrap(), 2);
    assert!(!file.exists());
}
