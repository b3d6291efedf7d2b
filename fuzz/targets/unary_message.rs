//! The message of a unary call.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hivemind_proto::fuzzing::unary_message(bytes));
