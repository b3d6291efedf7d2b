//! The finding, as data: what it never says, whatever it is told.

mod properties;
mod standing;
