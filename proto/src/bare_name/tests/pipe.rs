//! An in-memory connection that splits, delays and squeezes every read and write at random.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use futures::{AsyncRead, AsyncWrite};

/// A small generator (xorshift), so that a seed names a whole test run.
#[derive(Clone)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        rng.next();
        rng
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 11) as usize % bound
    }
}

#[derive(Default)]
pub(super) struct Half {
    data: VecDeque<u8>,
    closed: bool,
    wakers: Vec<Waker>,
    /// Everything that was ever written.
    pub(super) log: Vec<u8>,
    /// In how many pieces.
    pub(super) writes: usize,
}

impl Half {
    fn wake(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

pub(super) struct End {
    rx: Arc<Mutex<Half>>,
    pub(super) tx: Arc<Mutex<Half>>,
    rng: Rng,
    capacity: usize,
    nasty: bool,
}

/// Two ends, wide enough for a lazy dialer and its listener to write before they read.
pub(super) fn pipe(seed: u64, nasty: bool) -> (End, End) {
    pipe_of(seed, nasty, 24_000)
}

/// Two ends that hold `least` bytes or a few more on the way.
pub(super) fn pipe_of(seed: u64, nasty: bool, least: usize) -> (End, End) {
    let mut rng = Rng::new(seed);
    let (a, b) = (Arc::new(Mutex::new(Half::default())), Arc::new(Mutex::new(Half::default())));
    let capacity = if nasty { least + rng.below(64) } else { 1 << 20 };
    let mut end = |rx: &Arc<Mutex<Half>>, tx: &Arc<Mutex<Half>>| End {
        rx: rx.clone(),
        tx: tx.clone(),
        rng: Rng::new(rng.next()),
        capacity,
        nasty,
    };
    (end(&a, &b), end(&b, &a))
}

impl End {
    /// Now and then nothing goes, for no reason.
    fn hiccup(&mut self, cx: &mut Context<'_>) -> bool {
        let hiccup = self.nasty && self.rng.below(4) == 0;
        if hiccup {
            cx.waker().wake_by_ref();
        }
        hiccup
    }

    fn at_once(&mut self) -> usize {
        if self.nasty { 1 + self.rng.below(20) } else { usize::MAX }
    }
}

impl AsyncRead for End {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.hiccup(cx) {
            return Poll::Pending;
        }
        let most = self.at_once();
        let mut half = self.rx.lock().unwrap();
        if half.data.is_empty() {
            if half.closed {
                return Poll::Ready(Ok(0));
            }
            half.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        let count = buf.len().min(most).min(half.data.len());
        for (slot, byte) in buf.iter_mut().zip(half.data.drain(..count)) {
            *slot = byte;
        }
        half.wake();
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for End {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.hiccup(cx) {
            return Poll::Pending;
        }
        let most = self.at_once();
        let capacity = self.capacity;
        let mut half = self.tx.lock().unwrap();
        if half.closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = capacity.saturating_sub(half.data.len());
        if room == 0 {
            half.wakers.push(cx.waker().clone());
            return Poll::Pending;
        }
        let count = buf.len().min(most).min(room);
        half.data.extend(&buf[..count]);
        half.log.extend(&buf[..count]);
        half.writes += 1;
        half.wake();
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.hiccup(cx) { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.hiccup(cx) {
            return Poll::Pending;
        }
        let mut half = self.tx.lock().unwrap();
        half.closed = true;
        half.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut half = self.tx.lock().unwrap();
        half.closed = true;
        half.wake();
    }
}
