//! What a stranger is sent out for. It runs off the actors' thread, within a deadline, and ends when nobody waits for it
//! any more.

use std::time::Duration;

use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{error::Elapsed, timeout},
};

/// Runs `work` on `pool`. A panic there is one here.
pub(crate) async fn errand<T: Send + 'static>(
    pool: &Handle,
    deadline: Duration,
    work: impl Future<Output = T> + Send + 'static,
) -> Result<T, Elapsed> {
    let mut task = Task(pool.spawn(work));
    match timeout(deadline, &mut task.0).await? {
        Ok(result) => Ok(result),
        Err(error) => panic!("the stranger died: {error}"),
    }
}

/// A task that ends when nobody waits for it any more.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
