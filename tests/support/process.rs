//! A child process that cannot outlive its test, with all that it has started.
//!
//! It leads a process group of its own, and the group is killed when the value is dropped: a Python peer's p2pd is its
//! child and would otherwise survive a killed parent.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::deadline::within;

/// Lines of a process's own output that a failed test shows.
const SHOWN_LINES: usize = 40;

pub(crate) struct Process {
    name: String,
    child: Child,
    group: Pid,
    output: PathBuf,
}

impl Process {
    /// Starts `command`; its stderr, and its stdout unless that is piped, go to the file `output`.
    pub(crate) fn start(name: &str, mut command: Command, output: &Path, pipes: bool) -> Process {
        let log = File::options().create(true).append(true).open(output).unwrap();
        command.process_group(0).kill_on_drop(true).stderr(log.try_clone().unwrap());
        match pipes {
            true => command.stdin(Stdio::piped()).stdout(Stdio::piped()),
            false => command.stdin(Stdio::null()).stdout(log),
        };
        let child = command.spawn().unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        let id = child.id().expect("a child that was not waited for has an id");
        let group = Pid::from_raw(id.try_into().expect("process ids are positive")).expect("and not zero");
        Process { name: name.to_owned(), child, group, output: output.to_owned() }
    }

    pub(crate) fn pipes(&mut self) -> (ChildStdin, ChildStdout) {
        (self.child.stdin.take().expect("piped"), self.child.stdout.take().expect("piped"))
    }

    pub(crate) fn id(&self) -> i32 {
        self.group.as_raw_nonzero().get()
    }

    /// Sends a signal to the process alone.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.group, signal).expect("the process is there");
    }

    pub(crate) async fn exit(&mut self, limit: Duration) -> ExitStatus {
        within(limit, &format!("{} exits", self.name), self.child.wait()).await.unwrap()
    }

    /// The exit status, if it has ended already.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// What it has written outside its pipes.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.output).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails when the whole group has ended, which is what is wanted.
        let _ = kill_process_group(self.group, Signal::KILL);
        if std::thread::panicking() {
            let output = self.output();
            let lines: Vec<_> = output.lines().collect();
            let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
            println!("--- the last output of {} ---\n{shown}", self.name);
        }
    }
}
