//! Addresses of peers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| petald_actors::fuzzing::addresses(bytes));
