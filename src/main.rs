//! The program `petald`.

mod config;

fn main() {}
