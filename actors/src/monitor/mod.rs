//! The monitor keeps this true: what a whole swarm looks like from outside is known, with an age.

pub mod messages;
pub mod record;
pub mod state;
