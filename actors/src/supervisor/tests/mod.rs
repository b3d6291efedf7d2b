//! The tree at work, in virtual time, with actors that fail in every way that we know of.

mod crashes;
mod escalation;
mod hangs;
mod lab;
mod logs;
mod program;
mod rebuild;
mod stopping;
