//! A limit on one wait.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use futures_bounded::Delay;

/// The wait took too long.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Elapsed;

/// Runs `future` for at most `limit`. No timer is set if it is ready at once, as most reads are: a
/// caller's request usually arrives together with the name of its handler.
pub(super) async fn within<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    let mut delay = None;
    poll_fn(|cx: &mut Context<'_>| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        let delay = delay.get_or_insert_with(|| Delay::tokio(limit));
        Pin::new(delay).poll(cx).map(|_| Err(Elapsed))
    })
    .await
}
