//! The actor between a monitor that says what a test wants, and a file.

mod disk;
mod model;
