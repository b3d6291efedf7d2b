//! The muxer of one connection as the swarm sees it: without the calls of our handlers.
//!
//! libp2p's swarm sets a timer for each stream, boxes it, and negotiates and hands it over in turns of its own; and each
//! time a connection wakes, it asks every behaviour's handler whether it has something to do, and which protocols it
//! speaks. For a call of some hundred bytes that is most of its cost. So each connection has a task of its own that drives
//! it and serves our handlers (`driver`), and the swarm's wakes only for what is the swarm's: streams of other protocols
//! reach it as if nobody had looked at them.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use libp2p::{
    PeerId,
    core::muxing::{StreamMuxer, StreamMuxerEvent},
};
use tokio::task::AbortHandle;

use super::{Registry, Settings, driver::Driver, inbound::Host};
use crate::bare_name::BareStream;

/// A `StreamMuxer` whose substreams are [`BareStream`]s, and which serves what a [`Registry`] serves.
///
/// It must wrap every connection's muxer, relayed ones included: without it handlers can be neither called nor served.
pub struct Muxer<M: StreamMuxer> {
    shared: Arc<Shared<M>>,
    driver: AbortHandle,
}

/// How a connection fails.
#[derive(Debug, thiserror::Error)]
pub enum MuxerError<E> {
    /// The connection itself.
    #[error(transparent)]
    Connection(E),
    /// The task that drove it is gone.
    #[error("nobody drives the connection any more")]
    Abandoned,
}

/// What the swarm's task and the driver share.
pub(super) struct Shared<M: StreamMuxer>(Mutex<State<M>>);

pub(super) struct State<M: StreamMuxer> {
    pub(super) inner: M,
    /// Streams for the swarm; the driver bounds them.
    pub(super) handed_on: VecDeque<BareStream<M::Substream>>,
    /// Why the driver has ended.
    pub(super) end: Option<MuxerError<M::Error>>,
    driver: Option<Waker>,
    swarm: Option<Waker>,
}

impl<M: StreamMuxer> Shared<M> {
    /// The state is whole between any two statements, so a panic elsewhere does not spoil it.
    pub(super) fn lock(&self) -> MutexGuard<'_, State<M>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: StreamMuxer> State<M> {
    pub(super) fn wake_swarm(&mut self) {
        wake(&mut self.swarm);
    }

    /// The driver's waker: also for what the muxer below does not wake it for.
    pub(super) fn driven_by(&mut self, cx: &Context<'_>) {
        remember(&mut self.driver, cx);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn remember(waker: &mut Option<Waker>, cx: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

impl<M> Muxer<M>
where
    M: StreamMuxer + Unpin + Send + 'static,
    M::Substream: Unpin + Send + 'static,
    M::Error: Send + 'static,
{
    /// Wraps the muxer of an upgraded connection with `peer`, and drives it from now on: within a tokio runtime.
    pub fn new(inner: M, peer: PeerId, settings: Settings, registry: Registry) -> Self {
        let state = State { inner, handed_on: VecDeque::new(), end: None, driver: None, swarm: None };
        let shared = Arc::new(Shared(Mutex::new(state)));
        let host = Host { caller: registry.callers.get(peer), settings, registry };
        let driver = tokio::spawn(Driver::new(shared.clone(), host)).abort_handle();
        Self { shared, driver }
    }
}

impl<M: StreamMuxer> Drop for Muxer<M> {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl<M> StreamMuxer for Muxer<M>
where
    M: StreamMuxer + Unpin,
    M::Substream: Unpin,
{
    type Substream = BareStream<M::Substream>;
    type Error = MuxerError<M::Error>;

    fn poll_inbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let mut state = self.shared.lock();
        if let Some(stream) = state.handed_on.pop_front() {
            // It may have waited for room.
            wake(&mut state.driver);
            return Poll::Ready(Ok(stream));
        }
        remember(&mut state.swarm, cx);
        Poll::Pending
    }

    fn poll_outbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Self::Error>> {
        let mut state = self.shared.lock();
        let stream = ready!(Pin::new(&mut state.inner).poll_outbound(cx)).map_err(MuxerError::Connection)?;
        // yamux listens to a new stream only when it is polled again.
        wake(&mut state.driver);
        Poll::Ready(Ok(BareStream::dialer(stream)))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // From now on it is driven from here.
        self.driver.abort();
        let inner = &mut self.shared.lock().inner;
        Pin::new(inner).poll_close(cx).map_err(MuxerError::Connection)
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        let mut state = self.shared.lock();
        if let Some(end) = state.end.take() {
            return Poll::Ready(Err(end));
        }
        remember(&mut state.swarm, cx);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, future::poll_fn, io, time::Duration};

    use futures::io::Cursor;
    use tokio::time::timeout;

    use super::*;

    /// A connection on which nothing happens, or that breaks in one way or another.
    struct Fake {
        polled: fn() -> Poll<Result<Infallible, io::Error>>,
        _held: Arc<()>,
    }

    impl StreamMuxer for Fake {
        type Substream = Cursor<Vec<u8>>;
        type Error = io::Error;

        fn poll_inbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<Self::Substream>> {
            (self.polled)().map_ok(|never| match never {})
        }

        fn poll_outbound(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<Self::Substream>> {
            Poll::Pending
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
            Poll::Pending
        }
    }

    fn muxer(polled: fn() -> Poll<Result<Infallible, io::Error>>, held: &Arc<()>) -> Muxer<Fake> {
        let fake = Fake { polled, _held: held.clone() };
        Muxer::new(fake, PeerId::random(), Settings::default(), Registry::new())
    }

    async fn end(mut muxer: Muxer<Fake>) -> MuxerError<io::Error> {
        let event = poll_fn(|cx| Pin::new(&mut muxer).poll(cx));
        timeout(Duration::from_secs(10), event).await.expect("the swarm hears of it").unwrap_err()
    }

    #[tokio::test]
    async fn the_swarm_hears_of_a_broken_connection() {
        let broken = muxer(|| Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())), &Arc::default());
        let error = end(broken).await;
        assert!(
            matches!(&error, MuxerError::Connection(e) if e.kind() == io::ErrorKind::BrokenPipe),
            "{error:?}"
        );
    }

    #[tokio::test]
    async fn the_swarm_hears_of_a_driver_that_panicked() {
        let error = end(muxer(|| panic!("of the test"), &Arc::default())).await;
        assert!(matches!(error, MuxerError::Abandoned), "{error:?}");
    }

    #[tokio::test]
    async fn a_connection_that_is_dropped_or_closed_is_let_go_of() {
        for closes in [false, true] {
            let held = Arc::new(());
            let mut muxer = muxer(|| Poll::Pending, &held);
            tokio::task::yield_now().await;
            assert_eq!(Arc::strong_count(&held), 2);
            if closes {
                poll_fn(|cx| Pin::new(&mut muxer).poll_close(cx)).await.unwrap();
            }
            drop(muxer);
            tokio::task::yield_now().await;
            assert_eq!(Arc::strong_count(&held), 1);
        }
    }
}
