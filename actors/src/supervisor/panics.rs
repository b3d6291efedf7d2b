//! Panics: caught where an actor runs, counted where nobody else would notice them.
//!
//! actix runs a `ResponseFuture` in a task of its own: a panic in it ends that request and nothing else, and the
//! caller sees a closed mailbox. No supervisor can see it, but the process's panic hook can.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    panic::{self, AssertUnwindSafe},
    sync::{
        Once,
        atomic::{AtomicU64, Ordering},
    },
};

/// A panic's text is kept up to this many bytes: it may quote what a peer sent, and it is kept for as long as we live.
const LONGEST_TEXT_BYTES: usize = 512;

static STRAY: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether this thread runs something whose panic will be caught below.
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    /// Where the panic that is being caught happened.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Panics of this process that happened outside of every supervised actor's own task, since the first tree was started.
pub(super) fn stray_panics() -> u64 {
    STRAY.load(Ordering::Relaxed)
}

/// Lets the process's panic hook count and log what nobody catches here. The hook that was there is called as well.
pub(super) fn watch_panics() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map(ToString::to_string);
            if CATCHING.get() {
                PLACE.with_borrow_mut(|kept| *kept = place);
            } else {
                STRAY.fetch_add(1, Ordering::Relaxed);
                let cause = describe(info.payload(), place);
                tracing::error!(cause, "panic outside of a supervised task");
            }
            before(info);
        }));
    });
}

/// Runs `work`; a panic in it becomes a text that says what and where.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let outer = CATCHING.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    CATCHING.set(outer);
    result.map_err(|payload| describe(payload.as_ref(), PLACE.take()))
}

/// The text of a panic that tokio caught.
pub(super) fn text(payload: &(dyn Any + Send)) -> String {
    describe(payload, None)
}

fn describe(payload: &(dyn Any + Send), place: Option<String>) -> String {
    let text = if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.as_str()
    } else {
        "a panic without a text"
    };
    let text = &text[..text.floor_char_boundary(LONGEST_TEXT_BYTES)];
    match place {
        Some(place) => format!("{text}, at {place}"),
        None => text.to_owned(),
    }
}
