//! Runs the program for what it prints.

use std::process::{Command, Output, Stdio};

/// Runs petald with the words of `line`; it is no terminal, and no `PETALD__` variable of the tester's reaches it.
pub(crate) fn petald(line: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_petald"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PETALD__") {
            command.env_remove(name);
        }
    }
    // Help is wrapped at 100 columns unless a terminal or this variable says otherwise.
    command.env_remove("COLUMNS").stdin(Stdio::null());
    command.args(line.split(' ')).output().unwrap()
}

/// What it prints, of a command that succeeds.
pub(crate) fn printed(line: &str) -> String {
    let output = petald(line);
    assert!(output.status.success(), "petald {line}: {output:?}");
    assert!(!output.stdout.contains(&0x1b), "no colours where there is no terminal: petald {line}");
    String::from_utf8(output.stdout).unwrap()
}
