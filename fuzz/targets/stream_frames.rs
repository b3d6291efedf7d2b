//! The frames of a streaming call.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hivemind_proto::fuzzing::stream_frames(bytes));
