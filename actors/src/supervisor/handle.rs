//! How the rest of the program speaks to a running tree, from any thread.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};

use super::status::TreeStatus;

/// Questions and crash requests that may wait for the supervisor, which answers each within one turn of its loop.
pub(super) const COMMANDS: usize = 64;

/// A running tree, as others see it. Cheap to clone; dropping all of them changes nothing.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    stop: watch::Sender<bool>,
    last: LastStatus,
}

/// What is left to read when the tree is gone.
pub(super) type LastStatus = Arc<Mutex<TreeStatus>>;

#[derive(Debug)]
pub(super) enum Command {
    Status(oneshot::Sender<TreeStatus>),
    Crash(String, oneshot::Sender<Result<(), CrashError>>),
}

/// Why an actor was not made to panic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrashError {
    /// See [`TreeStatus`] for the names.
    #[error("no actor is called {0}")]
    Unknown(String),
    /// It is waiting for its turn or for its backoff to end: try again later.
    #[error("{0} is not running now")]
    NotRunning(String),
    /// The tree has ended.
    #[error("the tree has ended")]
    Ended,
}

impl Handle {
    pub(super) fn new(last: LastStatus) -> (Self, mpsc::Receiver<Command>, watch::Receiver<bool>) {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let (stop, stopping) = watch::channel(false);
        (Self { commands, stop, last }, receiver, stopping)
    }

    /// The state of every actor. Once the tree has ended, the state in which it ended.
    pub async fn status(&self) -> TreeStatus {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(Command::Status(reply)).await.is_ok()
            && let Ok(status) = answer.await
        {
            return status;
        }
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops the tree from its last actor to its first. Returns at once; the outcome tells when it is done.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Makes an actor panic inside its own task, as a fault of its own would.
    pub async fn crash(&self, name: &str) -> Result<(), CrashError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Crash(name.to_owned(), reply)).await.map_err(|_| CrashError::Ended)?;
        answer.await.map_err(|_| CrashError::Ended)?
    }
}
