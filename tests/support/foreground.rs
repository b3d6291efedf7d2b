//! A program whose output is the test's own, and that leaves nothing running.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Command;

/// Ends whatever a program left running, such as the p2pd of a node: all of it is in one process group.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // Fails when the whole group has ended, which is what is wanted.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

/// Its exit code; `None` if it was ended by a signal, or this process was asked to end by one.
///
/// It leads a process group of its own, so a second interrupt, which ends this process at once, does not reach it.
pub(crate) async fn run(mut command: Command) -> Option<i32> {
    let mut program = command.stdin(Stdio::null()).process_group(0).spawn().unwrap();
    let id = program.id().expect("a child that was not waited for has an id");
    let _group =
        Group(Pid::from_raw(id.try_into().expect("process ids are positive")).expect("and not zero"));
    tokio::select! {
        ended = program.wait() => ended.unwrap().code(),
        _ = tokio::signal::ctrl_c() => None,
    }
}
