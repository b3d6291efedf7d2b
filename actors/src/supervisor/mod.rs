//! The supervisor: it keeps actors alive as OTP does, on actix 0.13.
//!
//! A tree is described by [`actor`] and [`supervisor`], checked by [`Tree::new`], and run by [`Tree::start`]:
//!
//! - Actors are started in order, each once those before it have said [`Ready::notify`], and stopped in the reverse
//!   order: [`Drain`], an answer, the stop, all within the stop deadline, then an abort.
//! - An actor that panics, that is not ready in time, or that does not answer a [`Probe`] in time, is built anew by its
//!   factory after a [`Backoff`], together with those whom its supervisor's [`Strategy`] concerns. Those are taken
//!   down at once and not drained, since the node goes on.
//! - One that fails more often than its supervisor's [`Intensity`] allows makes that supervisor fail, and so on up to
//!   the root, which drains whoever is left and ends with [`Outcome::GaveUp`].
//!
//! What a restart loses: everything that the actor knew, the mail in its queue, and whoever held its address, which
//! is why a [`Slot`] is to be asked for it each time.
//!
//! Panics are survived in the factory, in every method of the actor and in every future of its context, `stopped`
//! included. Two things are not: a destructor that panics while another panic unwinds through it aborts the
//! process, and an actor that blocks the thread blocks the supervisor as well; the service manager's watchdog is there
//! for both. A panic in a `ResponseFuture` ends one request: it is logged with its place and counted in
//! [`TreeStatus::stray_panics`].
//!
//! The rules are data, without actix and without a clock: `policy`, `backoff`, `intensity`, `plan` and `machine`. What
//! runs is `incarnation`, one life of one actor, and `tree`.

mod backoff;
mod child;
mod handle;
mod incarnation;
mod intensity;
mod log;
mod machine;
mod messages;
mod panics;
mod plan;
mod policy;
mod settings;
mod slot;
mod status;
#[cfg(test)]
mod tests;
mod tree;

pub use backoff::{Backoff, BackoffError, LONGEST_FIRST_DELAY};
pub use child::{Child, actor, supervisor};
pub use handle::{CrashError, Handle};
pub use intensity::{Intensity, IntensityError, MOST_RESTARTS};
pub use messages::{Birth, Drain, Probe, ProbeReport, Ready, Supervised};
pub use plan::TreeError;
pub use policy::{Restart, Strategy};
pub use settings::{ChildSettings, SettingsError};
pub use slot::Slot;
pub use status::{ActorState, ActorStatus, SupervisorStatus, TreeState, TreeStatus};
pub use tree::{Outcome, Tree};
