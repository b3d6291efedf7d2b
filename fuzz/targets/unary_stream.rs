//! A unary call as it is read off its stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hivemind_proto::fuzzing::unary_stream(bytes));
