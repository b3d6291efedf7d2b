//! A whole node of the DHT, told anything by anybody.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hivemind_proto::fuzzing::node(bytes));
