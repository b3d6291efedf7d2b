//! The package as a machine meets it: unit files, alert rules, and the `.deb` under a systemd of its own.
//!
//! What needs a tool, or root, that is not here is counted as ignored, with its reason.
#![allow(clippy::print_stdout, reason = "a test program explains itself by printing")]

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, ExitCode};

/// What one scenario came to.
enum Outcome {
    Passed,
    Failed(String),
    /// What is missing.
    Ignored(String),
}

/// The last words of a script that lacks something: see `deb.sh`.
const LACKS: i32 = 77;

type Scenario = fn() -> Outcome;

const SCENARIOS: &[(&str, Scenario)] = &[("alerts", alerts), ("container", container), ("deb", deb)];

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |name: &str| names.is_empty() || names.iter().any(|part| name.contains(part.as_str()));
    let (mut passed, mut failed, mut ignored) = (0, 0, 0);
    println!();
    for (name, scenario) in SCENARIOS.iter().filter(|(name, _)| wanted(name)) {
        match scenario() {
            Outcome::Passed => {
                println!("package {name} ... ok");
                passed += 1;
            }
            Outcome::Failed(why) => {
                println!("package {name} ... FAILED: {why}");
                failed += 1;
            }
            Outcome::Ignored(what) => {
                println!("package {name} ... ignored: {what}");
                ignored += 1;
            }
        }
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("package result: {result}. {passed} passed; {failed} failed; {ignored} ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a command; a program that is not installed is what is missing.
fn run(program: &str, arguments: &[&str]) -> Outcome {
    let output = match Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output()
    {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Outcome::Ignored(format!("it needs {program}"));
        }
        Err(error) => return Outcome::Failed(format!("{program}: {error}")),
    };
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.code() {
        Some(0) => {
            print!("{}", said(&output.stdout));
            Outcome::Passed
        }
        Some(LACKS) => Outcome::Ignored(said(&output.stderr).trim().to_owned()),
        _ => Outcome::Failed(format!("{}\n{}{}", output.status, said(&output.stdout), said(&output.stderr))),
    }
}

/// Prometheus's own tool (Debian's package prometheus) reads the rules and runs their tests.
fn alerts() -> Outcome {
    match run("promtool", &["check", "rules", "config/prometheus/alerts.yaml"]) {
        Outcome::Passed => run("promtool", &["test", "rules", "config/prometheus/alerts_test.yaml"]),
        other => other,
    }
}

/// No engine builds it here; what it copies must be there, and it must not run as root.
fn container() -> Outcome {
    let file = match std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Containerfile")) {
        Ok(file) => file,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    let last = file.rsplit("\nFROM ").next().unwrap_or_default();
    for line in ["USER ", "HEALTHCHECK ", "ENTRYPOINT [\"petald\"]", "VOLUME "] {
        if !last.lines().any(|text| text.starts_with(line)) {
            return Outcome::Failed(format!("the last stage has no line {line}"));
        }
    }
    let copied = file.lines().filter(|line| line.starts_with("COPY ") && !line.contains("--from="));
    for source in copied.flat_map(|line| {
        let words: Vec<_> = line.split_whitespace().skip(1).collect();
        words[..words.len().saturating_sub(1)].to_vec()
    }) {
        if !Path::new(env!("CARGO_MANIFEST_DIR")).join(source).exists() {
            return Outcome::Failed(format!("{source} is copied, and not there"));
        }
    }
    Outcome::Passed
}

fn deb() -> Outcome {
    run("bash", &["tests/package/deb.sh", env!("CARGO_BIN_EXE_petald")])
}
