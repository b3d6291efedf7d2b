//! msgpack, subkeys and dictionaries.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hivemind_proto::fuzzing::values(bytes));
