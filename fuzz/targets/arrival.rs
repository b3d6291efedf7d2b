//! A substream that the remote opened, until it is known what it is for.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hivemind_proto::fuzzing::arrival(bytes));
