//! SIGTERM and SIGINT: the first drains the node, a second one ends the process at once. SIGHUP ends nothing.

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
    hangup: Signal,
}

impl Stops {
    /// Listens from now on.
    pub(crate) fn listen() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hangup = signal(SignalKind::hangup())?;
        Ok(Self { terminate, interrupt, hangup })
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
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return ("SIGTERM", SignalKind::terminate()),
                _ = self.interrupt.recv() => return ("SIGINT", SignalKind::interrupt()),
                _ = self.hangup.recv() => {
                    tracing::warn!("SIGHUP changes nothing: restart to apply another config");
                }
            }
        }
    }
}
