//! A thread for crawls of the whole swarm: in one of thousands they make thousands of handshakes, beside which this
//! node's own calls would wait.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// The thread, for as long as the value lives.
#[derive(Debug)]
pub(crate) struct Crawler(Option<Runtime>);

impl Crawler {
    pub(crate) fn start() -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("crawler").enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    /// Where its work is given to.
    pub(crate) fn handle(&self) -> Option<Handle> {
        self.0.as_ref().map(|runtime| runtime.handle().clone())
    }
}

impl Drop for Crawler {
    /// Without a wait: it is dropped where nobody may wait.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
