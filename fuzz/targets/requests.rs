//! What the admin API is asked, and what a model server says.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| petald_actors::fuzzing::requests(bytes));
