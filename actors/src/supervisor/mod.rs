//! The supervisor: it keeps actors alive, as OTP does, on actix 0.13.

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
