//! SIGTERM and SIGINT: the first drains the node, a second one ends the process at once. SIGHUP ends nothing: it asks for
//! the config to be read and the logs to be opened again.

use std::convert::Infallible;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What shells report for a process that a signal ended: this and the signal's number.
const ENDED_BY_SIGNAL: i32 = 128;

/// The signals that stop us. From its creation on they no longer end the process by themselves.
#[derive(Debug)]
pub(crate) struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

/// SIGHUP. From its creation on it no longer ends the process.
#[derive(Debug)]
pub(crate) struct Hangups(Signal);

impl Hangups {
    /// Listens from now on.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self(signal(SignalKind::hangup())?))
    }

    /// Calls `hung_up` at each. Several in quick succession may count as one.
    pub(crate) async fn each(mut self, hung_up: impl Fn()) -> Infallible {
        while self.0.recv().await.is_some() {
            hung_up();
        }
        // Signals end with the runtime, and so do we.
        std::future::pending().await
    }
}

impl Stops {
    /// Listens from now on.
    pub(crate) fn listen() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { terminate, interrupt })
    }

    /// Waits for the first, calls `drain`, and ends the process at the second, whatever it is doing then; the
    /// log's last lines may be lost with it. The work of draining goes on beside.
    pub(crate) async fn drain(mut self, drain: impl FnOnce()) -> Infallible {
        let (signal, _) = self.wait().await;
        tracing::info!(signal, "petald drains");
        drain();
        let (_, second) = self.wait().await;
        std::process::exit(ENDED_BY_SIGNAL + second.as_raw_value())
    }

    async fn wait(&mut self) -> (&'static str, SignalKind) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", SignalKind::terminate()),
            _ = self.interrupt.recv() => ("SIGINT", SignalKind::interrupt()),
        }
    }
}
