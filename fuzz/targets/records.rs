//! Records of servers and models, and names in them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hivemind_proto::fuzzing::records(bytes));
