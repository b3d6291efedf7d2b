//! Help, manual pages and completions, as they were last looked at: `tests/golden/` holds them.
//!
//! After a change that is meant, renew them and read the difference: `PETALD_RENEW_GOLDEN=1 cargo test --test operator`.
//! The package takes manual pages and completions from there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::printed;

const COMMANDS: &[&str] = &[
    "",
    "run",
    "check",
    "status",
    "map",
    "probe",
    "identity",
    "identity new",
    "identity show",
    "identity import",
    "identity export",
    "completions",
    "man",
];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// Compares, or renews.
fn assert_golden(name: &str, text: &str) {
    let file = golden(name);
    if std::env::var_os("PETALD_RENEW_GOLDEN").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        return fs::write(&file, text).unwrap();
    }
    let held = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert!(
        held == text,
        "petald prints something else than {}:\n{text}\n\nif that is meant: PETALD_RENEW_GOLDEN=1 cargo test --test \
         operator, and look at git diff",
        file.display()
    );
}

#[test]
fn help_is_as_it_was() {
    let mut all = String::new();
    for command in COMMANDS {
        let line = format!("{command} --help");
        all += &format!("$ petald {}\n{}\n", line.trim(), printed(line.trim()));
    }
    assert_golden("help.txt", &all);
}

#[test]
fn manual_pages_are_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    printed(&format!("man --dir {}", folder.path().display()));
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = COMMANDS.iter().map(|command| format!("petald {command}").trim().replace(' ', "-") + ".1");
    // The config's page is made of config/reference.toml.
    let mut expected: Vec<_> = expected.chain(["petald.toml.5".to_owned()]).collect();
    expected.sort();
    assert_eq!(names, expected, "a page for every command");
    for name in expected {
        let text = fs::read_to_string(folder.path().join(&name)).unwrap();
        let (page, _) = name.rsplit_once('.').unwrap();
        assert_eq!(printed(&format!("man {page}")), text);
        assert_golden(&format!("man/{name}"), &text);
    }
}

#[test]
fn completions_are_as_they_were() {
    for (shell, file) in [("bash", "petald.bash"), ("zsh", "_petald"), ("fish", "petald.fish")] {
        assert_golden(&format!("completions/{file}"), &printed(&format!("completions {shell}")));
    }
}
