//! What an operator holds in hands: the command line, its help, the manual, and what README says of them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod golden;
mod program;
mod readme;
