//! What is left after an error, and after a kill, at each step.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use super::*;

const KIND: &str = "counter";
/// Given to a child process of a test: the file that it writes, and where it is to die.
const CHILD_FILE: &str = "PETALD_TEST_DURABLE_FILE";
const CHILD_STEP: &str = "PETALD_TEST_DURABLE_STEP";

/// Takes a while to write, so that the kill comes in the midst of it.
const LARGE_BYTES: usize = 4 << 20;

const STEPS: [Step; 5] =
    [Step::CreateDraft, Step::WriteDraft, Step::FlushDraft, Step::Rename, Step::FlushFolder];

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

/// This test program again, running nothing but `test`, which finds the file in its environment.
fn child(test: &str, file: &Path, step: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("durable::tests::{test}"), "--exact", "--nocapture", "--ignored"]);
    command.env(CHILD_FILE, file).env(CHILD_STEP, step).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

#[test]
fn create_never_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    create(&file, b"first").unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, FILE_MODE);
    assert_eq!(create(&file, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(read(&file, 5).unwrap(), b"first");
    assert!(read(&file, 4).is_err());
    assert_eq!(entries(folder.path()), 1, "no draft is left");
}

#[test]
fn replace_replaces_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("address");
    replace(&file, b"a longer first one").unwrap();
    replace(&file, b"second").unwrap();
    assert_eq!(read(&file, 100).unwrap(), b"second");
    assert!(replace(&folder.path().join("no/folder"), b"").is_err());
    assert_eq!(entries(folder.path()), 1, "no draft is left");
}

#[test]
fn an_error_before_any_step_leaves_the_old_or_the_new_and_no_draft() {
    for failing in STEPS {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("page");
        replace(&file, b"old").unwrap();
        let mut full = |step| if step == failing { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) };
        assert_eq!(
            replace_in_steps(&file, b"new", &mut full).unwrap_err().kind(),
            io::ErrorKind::StorageFull
        );
        let expected: &[u8] = if failing == Step::FlushFolder { b"new" } else { b"old" };
        assert_eq!(read(&file, 100).unwrap(), expected, "{failing:?}");
        assert_eq!(entries(folder.path()), 1, "{failing:?}");
    }
}

#[test]
#[ignore = "run by the test below, in a process of its own, which dies"]
fn dies_before_a_step() {
    let (Ok(file), Ok(last)) = (std::env::var(CHILD_FILE), std::env::var(CHILD_STEP)) else { return };
    let mut dying = |step| if format!("{step:?}") == last { std::process::abort() } else { Ok(()) };
    replace_in_steps(Path::new(&file), b"new", &mut dying).unwrap();
}

#[test]
fn a_process_that_dies_before_any_step_leaves_the_old_or_the_new() {
    for last in STEPS {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("page");
        replace(&file, b"old").unwrap();
        let died = child("dies_before_a_step", &file, &format!("{last:?}")).status().unwrap();
        assert_eq!(died.code(), None, "it was to be killed by a signal");
        let expected: &[u8] = if last == Step::FlushFolder { b"new" } else { b"old" };
        assert_eq!(read(&file, 100).unwrap(), expected, "{last:?}");
        let has_draft = matches!(last, Step::WriteDraft | Step::FlushDraft | Step::Rename);
        assert_eq!(entries(folder.path()), 1 + usize::from(has_draft), "{last:?}");
        sweep(&file).unwrap();
        assert_eq!(entries(folder.path()), 1, "the draft is swept");
        assert_eq!(read(&file, 100).unwrap(), expected, "{last:?}");
    }
}

#[test]
#[ignore = "run by the test below, in a process of its own, which is killed"]
fn counts_without_end() {
    let Ok(file) = std::env::var(CHILD_FILE) else { return };
    let mut content = vec![0; LARGE_BYTES];
    for count in 1u64.. {
        // At both ends: a torn file holds no two that are the same.
        content[..8].copy_from_slice(&count.to_be_bytes());
        content[LARGE_BYTES - 8..].copy_from_slice(&count.to_be_bytes());
        replace(Path::new(&file), &content).unwrap();
        println!("wrote {count}");
    }
}

#[test]
fn killed_at_any_instant_it_has_kept_what_it_said_it_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("count");
    for round in 0..12 {
        let mut counting = child("counts_without_end", &file, "").spawn().unwrap();
        let mut lines = BufReader::new(counting.stdout.take().unwrap()).lines();
        let said = |line: io::Result<String>| line.ok()?.rsplit_once("wrote ")?.1.parse::<u64>().ok();
        // It goes on writing while it is killed.
        let at_least = lines.by_ref().filter_map(said).nth(round % 3).unwrap();
        counting.kill().unwrap();
        counting.wait().unwrap();
        let content = read(&file, LARGE_BYTES as u64).unwrap();
        assert_eq!(content.len(), LARGE_BYTES);
        assert_eq!(content[..8], content[LARGE_BYTES - 8..]);
        assert!(u64::from_be_bytes(content[..8].try_into().unwrap()) >= at_least);
        sweep(&file).unwrap();
        assert_eq!(entries(folder.path()), 1);
    }
}

#[test]
fn a_sweep_takes_drafts_of_this_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page");
    let others =
        ["page", ".page.0123", ".page.0123456789abcdeg", ".pages.0123456789abcdef", "0123456789abcdef"];
    for name in others.into_iter().chain([".page.0123456789abcdef"]) {
        fs::write(folder.path().join(name), "").unwrap();
    }
    sweep(&file).unwrap();
    assert_eq!(entries(folder.path()), others.len());
    assert!(sweep(&folder.path().join("no/folder")).is_err());
}

#[test]
fn a_bounded_number_is_set_aside_the_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("page");
    for round in 0..MOST_ASIDE + 2 {
        fs::write(&file, round.to_string()).unwrap();
        let place = set_aside(&file).unwrap();
        assert_eq!(fs::read_to_string(place).unwrap(), round.to_string());
        assert!(!file.exists());
    }
    assert_eq!(entries(folder.path()), MOST_ASIDE);
    assert_eq!(fs::read_to_string(folder.path().join("page.damaged-3")).unwrap(), "2");
    assert_eq!(set_aside(&file).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_seal_shows_every_truncation_and_every_changed_bit() {
    let sealed = seal(KIND, 1, b"{\"count\": 17}\n");
    assert_eq!(unseal(KIND, 1, &sealed), Ok(&b"{\"count\": 17}\n"[..]));
    for length in 0..sealed.len() {
        assert!(unseal(KIND, 1, &sealed[..length]).is_err(), "cut to {length}");
    }
    for place in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[place] ^= 1 << bit;
            assert!(unseal(KIND, 1, &changed).is_err(), "bit {bit} of byte {place}");
        }
    }
    assert_eq!(unseal("other", 1, &sealed), Err(SealError::Foreign("other")));
    assert_eq!(unseal(KIND, 2, &sealed), Err(SealError::Format { found: "1".into(), known: 2 }));
}
