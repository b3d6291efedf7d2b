//! The program `petald`.

mod config;
mod data_dir;
mod durable;
mod identity;
mod logging;

fn main() {}
