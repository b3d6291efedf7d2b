//! What reaches the files, what is kept of them, and what becomes of a disk that takes nothing.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::time::Duration;

use hivemind_proto::time::DhtTime;
use petald_actors::clock::TokioClock;
use tracing_subscriber::registry;

use super::*;
use crate::config::{Config, Rotation};

/// 2026-11-24, 22:30:00 UTC.
const EVENING: Duration = Duration::from_secs(1_795_559_400);

fn config(arguments: &[(&str, &str)]) -> config::Log {
    let arguments: Vec<_> =
        arguments.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    Config::load(None, &arguments).unwrap().log
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The text of all files after these events.
fn logged(config: &config::Log, folder: &Path, events: impl FnOnce(&Log)) -> String {
    let (subscriber, logging, opened) = layers(config, folder, Arc::new(SystemClock)).unwrap();
    opened.unwrap();
    tracing::subscriber::with_default(subscriber, || events(logging.log()));
    drop(logging);
    names(folder).iter().map(|name| fs::read_to_string(folder.join(name)).unwrap()).collect()
}

/// Files that are written without a thread between, at a time that tests move.
fn files(policy: Policy, folder: &Path) -> (LogFiles, Arc<Shared>) {
    let shared = Shared::new(policy);
    let clock = Arc::new(TokioClock::starting_at(DhtTime::since_epoch(EVENING)));
    (LogFiles::new(folder, clock, Arc::clone(&shared)).0, shared)
}

const LARGE: Policy = Policy { rotation: Rotation::Daily, keep: 14, keep_bytes: 1 << 20 };

#[test]
fn events_of_the_level_reach_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[("log.console", "off"), ("log.level", "info,chatty=error")]);
    let text = logged(&config, &folder.path().join("new/log"), |_| {
        tracing::info!(answer = 42, "heard");
        tracing::debug!("too quiet");
        tracing::warn!(target: "chatty", "too chatty");
    });
    assert!(text.contains("INFO") && text.contains("heard answer=42"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn json_is_an_object_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[("log.console", "off"), ("log.format", "json"), ("log.rotation", "never")]);
    let text = logged(&config, folder.path(), |_| tracing::info!(answer = 42, "heard\nnews"));
    assert_eq!(text.lines().count(), 1, "{text}");
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&line["message"], &line["answer"]), (&"heard\nnews".into(), &42.into()));
    assert!(folder.path().join("petald.log").is_file());
}

#[test]
fn levels_change_at_run_time_and_tell_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&[("log.console", "off"), ("log.level", "warn")]);
    let text = logged(&config, folder.path(), |log| {
        tracing::info!("too early");
        let console = Some("error".parse().unwrap());
        let louder = Levels { files: "info,chatty=error".parse().unwrap(), console };
        log.levels().set(louder.clone()).unwrap();
        assert_eq!(log.levels().get(), louder);
        tracing::info!("in time");
        tracing::info!(target: "chatty", "too chatty");
        log.levels().set(Levels { files: "warn".parse().unwrap(), console: None }).unwrap();
        tracing::info!("too late");
    });
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("in time"), "{text}");
}

#[test]
fn a_level_is_refused_as_in_the_config() {
    let error = "inof".parse::<config::Directives>().unwrap_err().to_string();
    assert!(error.starts_with("\"inof\" is not a level; expected a level (error, warn"), "{error}");
}

#[test]
fn a_folder_that_cannot_be_made_costs_the_log_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let config = config(&[("log.console", "off")]);
    let (subscriber, logging, opened) = layers(&config, &file.join("log"), Arc::new(SystemClock)).unwrap();
    assert!(opened.is_err());
    tracing::subscriber::with_default(subscriber, || tracing::info!("nowhere"));
    let log = logging.log().clone();
    drop(logging);
    assert_eq!(log.dropped_lines(), 1);
}

#[test]
fn lines_that_nobody_takes_are_counted() {
    /// A terminal that is stopped.
    struct Stuck(std::sync::mpsc::Receiver<()>);
    impl Write for Stuck {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(line.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (release, stuck) = std::sync::mpsc::channel();
    let (mut queue, guard) = writer("stuck", Stuck(stuck));
    let waiting = queue.error_counter();
    for _ in 0..WAITING_LINES + 100 {
        queue.write_all(b"line\n").unwrap();
    }
    // One may be in the hands of the thread already.
    assert!((99..=100).contains(&waiting.dropped_lines()), "{}", waiting.dropped_lines());
    drop((release, guard));
}

#[tokio::test(start_paused = true)]
async fn a_new_day_and_a_new_hour_begin_a_new_file() {
    for (rotation, expected) in [
        (Rotation::Daily, vec!["petald.2026-11-24.log", "petald.2026-11-25.log"]),
        (
            Rotation::Hourly,
            vec!["petald.2026-11-24-22.log", "petald.2026-11-24-23.log", "petald.2026-11-25-00.log"],
        ),
        (Rotation::Never, vec!["petald.log"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, _) = files(Policy { rotation, ..LARGE }, folder.path());
        for _ in 0..3 {
            files.write_all(b"line\n").unwrap();
            tokio::time::advance(Duration::from_secs(45 * 60)).await;
        }
        assert_eq!(names(folder.path()), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_oldest_files_go_and_those_of_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["notes.txt", "petald.notes.log"] {
        fs::write(folder.path().join(name), "not ours").unwrap();
    }
    let (mut files, _) = files(Policy { keep: 3, ..LARGE }, folder.path());
    for _ in 0..6 {
        files.write_all(b"line\n").unwrap();
        tokio::time::advance(Duration::from_secs(24 * 3600)).await;
    }
    let expected = [
        "notes.txt",
        "petald.2026-11-27.log",
        "petald.2026-11-28.log",
        "petald.2026-11-29.log",
        "petald.notes.log",
    ];
    assert_eq!(names(folder.path()), expected);
}

#[tokio::test(start_paused = true)]
async fn all_files_together_stay_below_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let policy = Policy { keep: 1000, keep_bytes: 8 * 1024, ..LARGE };
    let (mut files, _) = files(policy, folder.path());
    let line = |number: usize| format!("{number:099}\n");
    for number in 0..1000 {
        files.write_all(line(number).as_bytes()).unwrap();
        let bytes: u64 =
            names(folder.path()).iter().map(|name| folder.path().join(name).metadata().unwrap().len()).sum();
        assert!(bytes <= policy.keep_bytes, "{bytes} bytes in {:?}", names(folder.path()));
    }
    let kept = names(folder.path());
    assert!(kept.len() >= 7, "{kept:?}");
    assert!(fs::read_to_string(folder.path().join("petald.2026-11-24.log")).unwrap().ends_with(&line(999)));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_moved_or_removed_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (mut files, shared) = files(Policy { rotation: Rotation::Never, ..LARGE }, folder.path());
    let (file, moved) = (folder.path().join("petald.log"), folder.path().join("moved"));
    files.write_all(b"one\n").unwrap();
    fs::rename(&file, &moved).unwrap();
    files.write_all(b"two\n").unwrap();
    shared.reopen();
    files.write_all(b"three\n").unwrap();
    assert_eq!(fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
    assert_eq!(fs::read_to_string(&file).unwrap(), "three\n");
    fs::remove_dir_all(folder.path()).unwrap();
    shared.reopen();
    files.write_all(b"four\n").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "four\n");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_costs_lines_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("petald.log");
    // Every write to it fails with ENOSPC.
    symlink("/dev/full", &file).unwrap();
    let (mut files, shared) = files(Policy { rotation: Rotation::Never, ..LARGE }, folder.path());
    let console = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = {
        let console = Arc::clone(&console);
        move || Told(Arc::clone(&console))
    };
    let subscriber = registry().with(tracing_subscriber::fmt::layer().with_ansi(false).with_writer(told));
    let guard = tracing::subscriber::set_default(subscriber);
    for _ in 0..10 {
        files.write_all(b"lost\n").unwrap();
        tokio::time::advance(Duration::from_millis(200)).await;
    }
    assert_eq!(shared.lost(), 10);
    fs::remove_file(&file).unwrap();
    tokio::time::advance(Duration::from_secs(10)).await;
    files.write_all(b"kept\n").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept\n");
    drop(guard);
    let told = String::from_utf8(console.lock().unwrap().clone()).unwrap();
    assert_eq!(told.lines().count(), 2, "one line when it begins, one when it has ended:\n{told}");
    assert!(told.contains("No space left") && told.contains("written again lost=10"), "{told}");
}

struct Told(Arc<std::sync::Mutex<Vec<u8>>>);

impl Write for Told {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
