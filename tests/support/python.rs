//! A Python program of `tests/peers`, asked by JSON lines (see `json_lines.py`).

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{ChildStdin, ChildStdout, Command},
    sync::Mutex,
};

use super::{deadline::within, peers::programs, process::Process};

/// Importing torch and hivemind takes 2 s on an idle machine, and CI has 2 cores.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// An exception in the Python program: its class and text.
#[derive(Debug)]
pub(crate) struct Raised {
    pub(crate) kind: String,
    pub(crate) text: String,
}

pub(crate) struct Python {
    name: &'static str,
    pipes: Mutex<(ChildStdin, Lines<BufReader<ChildStdout>>)>,
    process: Process,
    folder: TempDir,
}

impl Python {
    pub(crate) fn start(interpreter: &Path, program: &'static str) -> Python {
        Python::start_by(Command::new(interpreter), program)
    }

    /// Starts `program` by a command that ends with the interpreter.
    pub(crate) fn start_by(mut command: Command, program: &'static str) -> Python {
        let folder = tempfile::tempdir().unwrap();
        command
            .arg("-B") // no bytecode in the source tree
            .arg(programs().join(program))
            .env("PEER_SOCKETS", folder.path())
            .env("TMPDIR", folder.path())
            .env("PYTHONWARNINGS", "ignore");
        let mut process = Process::start(program, command, &folder.path().join("output"), true);
        let (input, output) = process.pipes();
        let pipes = Mutex::new((input, BufReader::new(output).lines()));
        Python { name: program, pipes, process, folder }
    }

    /// A folder that lives as long as the program.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has written to stderr.
    pub(crate) fn output(&self) -> String {
        self.process.output()
    }

    /// Asks for `command` with the fields of `arguments`.
    pub(crate) async fn try_ask(&self, command: &str, arguments: Value) -> Result<Value, Raised> {
        let mut request = arguments;
        request["do"] = json!(command);
        let mut pipes = self.pipes.lock().await;
        pipes.0.write_all(format!("{request}\n").as_bytes()).await.expect("the Python peer reads");
        let what = format!("{} answers {request}", self.name);
        let line = within(ANSWER_LIMIT, &what, pipes.1.next_line()).await.unwrap();
        let line = line.unwrap_or_else(|| panic!("{} ended; its output is below", self.name));
        let mut answer: Value = serde_json::from_str(&line).unwrap();
        match answer.get("error") {
            None => Ok(answer["ok"].take()),
            Some(text) => Err(Raised {
                kind: answer["kind"].as_str().unwrap_or_default().to_owned(),
                text: text.as_str().unwrap_or_default().to_owned(),
            }),
        }
    }

    pub(crate) async fn ask(&self, command: &str, arguments: Value) -> Value {
        match self.try_ask(command, arguments).await {
            Ok(value) => value,
            Err(raised) => panic!("{} {command}: {}: {}", self.name, raised.kind, raised.text),
        }
    }
}
