//! What other actors ask of the announcer.

use actix::Message;

/// Store every record now, not only at the end of the period.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AnnounceNow;
