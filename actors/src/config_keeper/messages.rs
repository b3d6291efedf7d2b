//! What an actor that reloads is asked, in this order. The first question changes nothing; after the second the new
//! settings hold, unless some actor refused at the first.

use std::sync::Arc;

use actix::Message;

/// Could you live by these settings?
#[derive(Debug)]
pub struct Validate<S>(pub Arc<S>);

impl<S: 'static> Message for Validate<S> {
    type Result = Result<(), Refusal>;
}

/// Live by these settings from now on. They have been validated, and the next incarnation is built from them.
#[derive(Debug)]
pub struct Apply<S>(pub Arc<S>);

impl<S: 'static> Message for Apply<S> {
    type Result = ();
}

/// Why an actor cannot live by new settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);
