//! Every wait of a test ends, and says what it waited for.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, sleep, timeout};

/// How often a condition that cannot be subscribed to (a file, another process's view) is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits for `future`; panics with `what` when the time is over.
pub(crate) async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match timeout(limit, future).await {
        Ok(value) => value,
        Err(_) => panic!("not within {limit:?}: {what}"),
    }
}

/// Looks until `look` gives a value, and returns it with the time it took. `look` says what it sees meanwhile, so that
/// the failure can tell.
pub(crate) async fn eventually<T>(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> (T, Duration) {
    let started = Instant::now();
    let mut seen = "nothing yet".to_owned();
    loop {
        match timeout(limit.saturating_sub(started.elapsed()), look()).await {
            Ok(Ok(value)) => return (value, started.elapsed()),
            Ok(Err(why)) => seen = why,
            Err(_) => panic!("not within {limit:?}: {what}; last seen: {seen}"),
        }
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}; last seen: {seen}");
        sleep(LOOK_AGAIN).await;
    }
}
