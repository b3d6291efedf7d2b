//! The files of the data folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| petald_actors::fuzzing::files(bytes));
