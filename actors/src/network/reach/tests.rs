//! The finding, as data: what it never says, whatever it is told.

mod facts;
mod properties;
mod standing;
